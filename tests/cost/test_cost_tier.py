"""``cost advise --tier``: the plan and its price first, then the test in copies, its verdict and what it saves."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from difyops.cost.diff import CostDiff, CostSum
from difyops.cost.tier import TierPlan
from difyops.emulator import Emulator
from difyops.emulator.fleet_runs import Past, load_past
from difyops.evaluation.cases import Case
from difyops.evaluation.trial import tier
from difyops.evaluation.trial.run import Trial
from difyops.evaluation.trial.tier import planned, too_few
from difyops.evaluation.trial.verdict import TriedModel, find
from tests.conftest import Cli
from tests.cost.conftest import DAY
from tests.history.conftest import now
from tests.snapshot.agent_author import AgentAuthor
from tests.snapshot.colleague import Colleague

OTHER = "gpt-4o"  # any other model that the emulator has; that it costs more is as well


def plan(**fields: Any) -> TierPlan:
    from decimal import Decimal

    total = CostSum(currency="USD", before=Decimal(10), after=Decimal(2), difference=Decimal(-8), low=Decimal(-9),
                    high=Decimal(-7), month=None)  # fmt: skip
    recorded = CostDiff(app="a", before="", after="", runs=100, all_runs=1000, days=fields.pop("days", 10.0), nodes=(),
                        sums=(total,), unchanged=0, incomplete=(), prices="")  # fmt: skip
    return TierPlan(
        app="a", model="small", nodes=("n",), margin=0.1, changed=0.1, needed=62, calls=124, saves=(total,),
        costs={"USD": Decimal("0.62")}, difference=recorded, incomplete=(),
    )  # fmt: skip


def trial(tried: Sequence[TriedModel], names: Sequence[str] = ()) -> Trial:
    classes = tuple(find(name, [one for one in tried if one.kind == name], margin=0.1, alpha=0.05) for name in names)
    return Trial(
        app_id="1", app="a", what="small", margin=0.1, overall=find("all", tried, margin=0.1, alpha=0.05),
        classes=classes, broken=(), left_out=(), ended="complete", used=0, pairs=tuple(tried),
    )  # fmt: skip


def asked(count: int, *, old: int = 100, new: int = 100, kind: str = "") -> list[TriedModel]:
    return [
        TriedModel(id=f"{kind}{n}", old="pass", new="pass", kind=kind, tokens_old=old, tokens_new=new)
        for n in range(count)
    ]


def test_a_saving_is_a_range_of_a_month_that_holds_what_the_trial_saw() -> None:
    cases = [Case(id=str(n), query="x") for n in range(50)]
    test = planned(plan(), cases)
    assert test.price == {"USD": pytest.approx(0.5)}
    (as_many,) = tier.tested(test, trial(asked(50)), sampled=False).savings
    assert [as_many.low, as_many.high, as_many.of] == [21, 27, "a month"]  # 3,000 runs a month, 7 to 9 for 1,000
    (twice,) = tier.tested(test, trial(asked(50, new=200)), sampled=False).savings
    assert [twice.low, twice.high] == [3 * (10 - 4 - 1), 27]
    easy, hard = asked(30, kind="easy"), asked(30, old=300, new=300, kind="hard")
    found = tier.tested(test, trial([*easy, *hard], ("easy", "hard")), sampled=True)
    shares = {item.name: item.high for item in found.savings}
    assert shares == {"all": 27, "easy": pytest.approx(27 / 4), "hard": pytest.approx(27 * 3 / 4)}
    assert found.ratio == 1.0
    (short,) = tier.tested(planned(plan(days=0.5), cases), trial(asked(50)), sampled=False).savings
    assert [short.low, short.high, short.of] == [7, 9, "1,000 runs"]


def test_too_few_cases_are_not_asked() -> None:
    few = planned(plan(), [Case(id="1", query="x")] * 24)
    assert "1 more even if none changes, about 62 in all" in too_few(few)
    assert too_few(planned(plan(), [Case(id="1", query="x")] * 25)) == ""
    assert too_few(planned(plan())) == "there is no case"


@pytest.fixture
def traffic(cli: Cli, emulator: Emulator, connected: str) -> None:
    """Runs of a workflow that the history knows with what was asked."""
    for number in range(9):
        dull = f"[[dull={OTHER}]]" if number > 5 else ""
        assert (
            cli("app", "run", "wf-llm", "--input", f"query=question {number}{'?' * number} [[delay=0]]{dull}").code == 0
        )
    past = Past(count=10, since=now() - DAY, until=now() - 3600)
    load_past(emulator.instance, emulator.app_named("wf-llm"), past)
    assert cli("history", "sync", "wf-llm", "--nodes", "100%").code == 0


@pytest.mark.usefixtures("traffic")
def test_recorded_runs_go_through_both(cli: Cli, emulator: Emulator) -> None:
    apps = sorted(app.name for app in emulator.instance.apps.values())
    words = ("cost", "advise", "wf-llm", "--tier", OTHER, "--margin", "30%")
    only = cli(*words, "-o", "json")
    assert only.code == 0, only.err
    assert only.json["data"]["trial"] is None
    assert "--schema FILE" in cli(*words).out
    unsaid = cli(*words, "--yes")
    assert unsaid.code == 2
    assert "What a good answer is was not said" in unsaid.err
    assert cli("cost", "advise", "wf-llm", "--by", "size").code == 2
    good = (*words, "--expect", '{"contains": "echo"}', "--by", "none", "--content")
    emulator.control.reset_counts()
    dry = cli(*good, "--dry-run", "-o", "json")
    assert (dry.code, dry.json["data"]["cases"], dry.json["data"]["trial"]) == (0, 7, None)
    every = cli(*good, "--most", "30", "--dry-run", "-o", "json")
    assert every.json["data"]["cases"] == 9
    assert any(
        "recorded runs are no cases: nothing of what was asked is kept" in text for text in every.json["warnings"]
    )
    assert cli(*good).code == 8  # nobody said yes
    few = cli(*good, "--margin", "2%", "--yes", "-o", "json")
    assert few.code == 3
    assert "124 more even if none changes" in few.json["error"]["message"]
    assert emulator.control.counts()["apps"] == {}  # nothing was asked until now
    done = cli(*good, "--yes", "-o", "json")
    assert done.code == 3, done.err  # three of seven are lost: neither proven
    overall = done.json["data"]["trial"]["overall"]
    assert (overall["judged"], overall["passed_before"], overall["broken"]) == (7, 7, 3)
    assert overall["more"] > 0
    worse = cli(*words[:5], "--margin", "30%", "--expect", "exact", "--content", "--yes", "-o", "json")
    assert worse.json["data"]["trial"]["overall"]["broken"] == 3, worse.err
    assert sorted(app.name for app in emulator.instance.apps.values()) == apps


@pytest.mark.usefixtures("traffic")
def test_cases_of_a_file_budgets_and_what_is_shown(cli: Cli, tmp_path: Path) -> None:
    assert cli("cost", "budget", "set", "all", "--hard", "5", "--price", "dify").code == 0
    rows = [
        {"id": str(n), "inputs": {"query": f"q{n} [[delay=0]]"}, "expect": [{"contains": "echo"}]} for n in range(8)
    ]
    file, schema = tmp_path / "cases.jsonl", tmp_path / "schema.json"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    schema.write_text(json.dumps({"type": "string", "minLength": 4}))
    words = ("cost", "advise", "wf-llm", "--tier", OTHER, "--margin", "0.3", "--cases", str(file))
    done = cli(*words, "--yes")
    assert done.code == 0, done.err
    for said in ("not worse", "LOST AT MOST", "SAVES", "25.3%"):
        assert said in done.out + done.err, said
    assert "8 cases through copies of both, 16 runs." in done.err
    state = cli("cost", "budget", "status", "-o", "json").json["data"]["budgets"][0]
    assert float(state["reserved"]) > 0  # what was held is settled with what the copies used
    rows[3].pop("expect")
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    blank = cli(*words, "--yes")
    assert blank.code == 2
    assert "'3' does not say what a good answer is" in blank.err
    assert cli(*words, "--schema", str(schema), "--dry-run").code == 0
    judged = cli(*words, "--expect", '{"judge": "nobody"}', "--yes")
    assert judged.code == 2, judged.err
    for wrong in (
        ("--expect", "exact"),
        ("--expect", "{}"),
        ("--by", "colour"),
        ("--margin", "2"),
        ("--schema", "none"),
    ):
        assert cli(*words, *wrong, "--yes").code == 2, wrong
    cli("cost", "budget", "set", "all", "--hard", "0.000001", "--price", "dify")
    file.write_text("".join(json.dumps({**row, "expect": [{"contains": "echo"}]}) + "\n" for row in rows))
    assert cli(*words, "--yes").code == 7


class TestAgents:
    """Agent apps: their model stands in the soul, and a copy is an agent of its own."""

    @pytest.fixture
    def emulator(self) -> Emulator:
        return Emulator("1.16.1")

    def test_an_agent_app(self, cli: Cli, emulator: Emulator, connected: str, tmp_path: Path) -> None:
        helper = AgentAuthor(Colleague(connected, str(emulator.admin_key), emulator.workspace_id))
        helper.fill()
        helper.edit(lambda soul: soul["tools"].update(cli_tools=[], dify_tools=[]))
        helper.publish("first")
        assert cli("history", "sync", "helper").code == 0
        rows = [{"id": str(n), "query": f"q{n}[[dull={OTHER}]]", "expect": [{"contains": "echo"}]} for n in range(8)]
        (tmp_path / "cases.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        apps = sorted(app.name for app in emulator.instance.apps.values())
        words = ("cost", "advise", "helper", "--tier", OTHER, "--margin", "30%", "--cases", "cases.jsonl", "--yes")
        done = cli(*words, "-o", "json")
        assert done.code == 5, done.err
        overall = done.json["data"]["trial"]["overall"]
        assert (overall["verdict"], overall["broken"]) == ("worse", 8)
        assert sorted(app.name for app in emulator.instance.apps.values()) == apps
