"""Evaluation cases and the price as gates of a release: in the shadow, once live, against a baseline."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from difyops.emulator import Emulator
from difyops.evaluation.result import Bound, CaseRow, Evaluation
from difyops.release.cases import judged_look
from difyops.release.gates import GateEvent, look
from difyops.release.plan import CasesGate, Gates, ReleasePlan, Version
from tests.conftest import Cli
from tests.release.conftest import node_of
from tests.snapshot.agent_author import AgentAuthor
from tests.snapshot.colleague import Colleague

COUNT = 8


def write(file: Path, *, wanted: str = "SAY", count: int = COUNT) -> str:
    rows = [{"id": f"c{n}", "inputs": {"text": f"say {n}"}, "expect": [{"contains": wanted}]} for n in range(count)]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(file)


def quiet(document: dict[str, Any]) -> None:
    """An edit after which runs succeed and say something else."""
    node_of(document, "template-transform")["template"] = "nothing to say"


def better(document: dict[str, Any]) -> None:
    node_of(document, "end")["title"] = "The end"


@pytest.fixture
def colleague(connected: str, emulator: Emulator) -> Colleague:
    return Colleague(connected, str(emulator.admin_key), emulator.workspace_id)


def apply(cli: Cli, *words: str) -> Any:
    return cli("release", "apply", "p.json", "--yes", "--wait", "0s", "-o", "json", *words)


def test_cases_that_are_lost_in_the_shadow_stop_it(cli: Cli, colleague: Colleague, tmp_path: Path) -> None:
    file = write(tmp_path / "cases.jsonl")
    colleague.edit(colleague.app_id("wf-echo"), quiet)
    words = ("release", "plan", "wf-echo", "--plan", "p.json", "--slower", "1000", "--calls", "8", "--cases", file)
    assert cli(*words).code == 0
    found = apply(cli)
    assert found.code == 5, found.err
    data = found.json["data"]
    assert data["state"] == "not published"
    assert [(row["where"], row["word"], row["passed"], row["passed_before"]) for row in data["cases"]] == [
        ("shadow", "fail", 0, COUNT)
    ]
    assert "cases: 0 of 8 pass, 8 before; lost: c0, c1" in data["text"]
    write(tmp_path / "cases.jsonl", wanted="say")
    moved = apply(cli)
    assert moved.code == 8
    assert "cases were changed" in moved.err + moved.out
    assert cli("release", "plan", "wf-echo", "--margin", "2%").code == 2
    assert cli("release", "plan", "wf-echo", "--cases", "none.jsonl").code == 2
    assert cli("release", "plan", "wf-echo", "--cases", file, "--baseline", "newest").code in (1, 2)


def test_cases_that_are_lost_live_take_it_back(cli: Cli, colleague: Colleague, tmp_path: Path) -> None:
    app = colleague.app_id("wf-echo")
    former = colleague.live(app)["graph"]
    colleague.edit(app, quiet)
    words = ("release", "plan", "wf-echo", "--plan", "p.json", "--no-shadow", "--cases", write(tmp_path / "c.jsonl"))
    assert cli(*words).code == 0
    found = apply(cli)
    assert found.code == 5, found.err
    data = found.json["data"]
    assert data["state"] == "rolled back"
    assert [(row["where"], row["word"]) for row in data["cases"]] == [("live", "fail")] * 2
    assert colleague.live(app)["graph"] == former
    held = cli(*words)
    assert held.code == 8
    assert "cases: 0 of 8" in cli("release", "status", "-o", "json").out


def test_a_good_version_passes_against_a_baseline_and_the_wait_is_told(
    cli: Cli, colleague: Colleague, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DIFYOPS_STORE", str(tmp_path / "snapshots"))
    app, file = colleague.app_id("wf-echo"), write(tmp_path / "c.jsonl")
    assert cli("snapshot", "create", "wf-echo").code == 0
    assert cli("eval", "run", "wf-echo", file, "--to", "r.json").code == 0
    assert cli("eval", "baseline", "wf-echo", "r.json").code == 0
    colleague.edit(app, better)
    words = (
        "release",
        "plan",
        "wf-echo",
        "--plan",
        "p.json",
        "--slower",
        "1000",
        "--cases",
        file,
        "--baseline",
        "newest",
    )
    planned = cli(*words, "--events", "4", "--least", "2")
    assert planned.code == 0, planned.err
    assert "against the baseline eval-" in planned.out
    held = apply(cli)
    assert held.code == 3, held.err
    data = held.json["data"]
    assert [(row["where"], row["word"]) for row in data["cases"]] == [("shadow", "pass"), ("live", "pass")]
    assert data["looks"] == []  # the cases that we asked are no traffic
    waits = cli("app", "disable", "wf-echo", "--yes")
    assert waits.code == 8
    assert "waits for a decision" in waits.err
    assert "cut off" not in waits.err
    assert "difyops release status 'wf-echo'" in waits.err
    assert "waits for a decision" in cli("changes", "list").out
    for number in range(5):
        colleague.run(app, {"text": f"hi {number}"})
    passed = apply(cli)
    assert passed.code == 0, passed.err
    stale = cli(*words[:2], "wf-echo", "--cases", file, "--baseline", "newest")
    assert stale.code == 8
    assert "is not of what is live" in stale.err


def test_cases_that_nobody_can_judge_hold_it(cli: Cli, colleague: Colleague, tmp_path: Path) -> None:
    file = tmp_path / "c.jsonl"
    rows = [{"id": str(n), "inputs": {"text": f"t{n}"}, "expect": [{"judge": "chat-basic"}]} for n in range(3)]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    colleague.edit(colleague.app_id("wf-echo"), better)
    planned = cli("release", "plan", "wf-echo", "--plan", "p.json", "--calls", "3", "--cases", file)
    assert planned.code == 0, planned.err
    assert "too few to tell chance" in planned.err
    found = apply(cli)
    assert found.code == 3, found.err
    assert found.json["data"]["cases"][0]["word"] == "inconclusive"
    for number in range(8):
        colleague.run(colleague.app_id("wf-echo"), {"text": f"before {number}"})
    words = ("release", "plan", "wf-echo", "--plan", "p.json", "--no-shadow", "--events", "4", "--least", "2")
    assert cli(*words, "--slower", "1000", "--cases", file).code == 0
    assert apply(cli).json["data"]["state"] == "held"
    file.unlink()
    for number in range(5):
        colleague.run(colleague.app_id("wf-echo"), {"text": f"hi {number}"})
    held = apply(cli)
    assert held.code == 3, held.err
    assert "cases: they could not be asked" in held.json["data"]["text"]
    assert cli("release", "abort", "wf-echo", "--yes").code == 0


def plan(**fields: Any) -> ReleasePlan:
    given = {"gates": Gates(), "cases": CasesGate(file="c", hash="h", count=3), **fields}
    return ReleasePlan(
        context="c", url="u", app_id="a", app_name="a", mode="workflow", made_at="2026-01-01T00:00:00Z",
        live=Version(hash="1"), target=Version(hash="2"), **given,
    )  # fmt: skip


def result(words: str) -> Evaluation:
    bound = Bound(context="c", app_id="a", app="a", mode="workflow", version="", content=words, models=(), cases="h")
    names = {"p": "pass", "f": "fail", "?": "not judged"}
    rows = tuple(CaseRow(id=str(n), hash=str(n), word=names[word]) for n, word in enumerate(words))
    return Evaluation(began="", seconds=0.0, bound=bound, rows=rows)


@pytest.mark.parametrize(
    ("before", "after", "margin", "word"),
    [
        ("p" * 40, "p" * 40, 0.0, "pass"),
        ("p" * 40, "p" * 38 + "ff", 0.0, "pass"),  # two of forty are no proof
        ("p" * 40, "p" * 20 + "f" * 20, 0.0, "fail"),
        ("ppp", "ppf", 0.0, "fail"),  # so few that each counts
        ("ppf", "ppp", 0.0, "pass"),
        ("p" * 40, "p" * 40, 0.02, "inconclusive"),  # not proven with forty
        ("p" * 300, "p" * 300, 0.02, "pass"),
        ("ppp", "???", 0.0, "inconclusive"),
        ("p" * 10, "p" * 4 + "?" * 6, 0.0, "inconclusive"),
    ],
)
def test_the_gate_of_cases(before: str, after: str, margin: float, word: str) -> None:
    made = plan(cases=CasesGate(file="c", hash="h", count=3, margin=margin))
    found = judged_look(made, "shadow", result(before), result(after))
    assert found.word == word, found


def test_the_gate_of_the_price() -> None:
    def events(price: float, count: int = 40) -> list[GateEvent]:
        return [
            GateEvent(id=str(n), outcome="good", ended=float(n), price=price * (1 + n / 1000)) for n in range(count)
        ]

    def words(old: list[GateEvent], new: list[GateEvent], pricier: float | None) -> dict[str, str]:
        found = look(old, new, Gates(pricier=pricier), number=1, wanted=10)
        return {gate.name: gate.word for gate in found.gates}

    assert words(events(0.01), events(0.02), 0.25)["price"] == "fail"
    assert words(events(0.01), events(0.011), 0.25)["price"] == "pass"
    assert words(events(0.02), events(0.01), 0.25)["price"] == "pass"
    assert "price" not in words(events(0.01), events(0.02), None)
    unknown = [replace(event, price=None) for event in events(0.02)]
    for old, new in ((events(0.01), unknown), (unknown, events(0.01))):
        assert words(old, new, 0.25)["price"] == "inconclusive"  # what was asked for and nobody knows is no pass
    free = events(0.0)
    assert words(free, free, 0.25)["price"] == "pass"
    yuan = [replace(event, currency="CNY") for event in events(0.07)]
    dollars = [replace(event, currency="USD") for event in events(0.01)]
    assert words(yuan, dollars, 0.25)["price"] == "inconclusive"  # seven yuan are not seven times a dollar


def test_a_dearer_model_is_stopped_by_its_price(cli: Cli, colleague: Colleague) -> None:
    app = colleague.app_id("wf-llm")
    for number in range(12):
        colleague.run(app, {"query": f"question {number} [[delay=0]]"})

    def dearer(document: dict[str, Any]) -> None:
        node_of(document, "llm")["model"]["name"] = "gpt-4o"

    colleague.edit(app, dearer)
    words = ("release", "plan", "wf-llm", "--plan", "p.json", "--calls", "12", "--slower", "1000", "--alpha", "0.05")
    assert cli(*words, "--pricier", "0.25").code == 0
    found = apply(cli)
    assert found.code == 5, found.err
    assert "price: " in found.json["data"]["text"]
    assert cli(*words).code == 0
    assert apply(cli).json["data"]["shadow"]["word"] == "pass"  # by tokens alone it is the same


class TestAgents:
    """Agent apps stand in a shadow too: a copy is an agent of its own."""

    @pytest.fixture
    def emulator(self) -> Emulator:
        return Emulator("1.16.1")

    def test_an_agent_app_in_a_shadow(self, cli: Cli, emulator: Emulator, colleague: Colleague, tmp_path: Path) -> None:
        helper = AgentAuthor(colleague)
        helper.fill()
        helper.edit(lambda soul: soul["tools"].update(cli_tools=[], dify_tools=[]))
        helper.publish("first")
        helper.say("You are another helper.")
        rows = [{"id": str(n), "query": f"q{n}", "expect": [{"contains": "echo"}]} for n in range(10)]
        (tmp_path / "c.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        apps = sorted(app.name for app in emulator.instance.apps.values())
        words = ("release", "plan", "helper", "--plan", "p.json", "--slower", "1000", "--cases", "c.jsonl")
        planned = cli(*words)
        assert planned.code == 0, planned.err
        assert "no shadow is possible" not in planned.err
        found = apply(cli)
        assert found.json["data"]["shadow"]["word"] == "pass", found.err
        assert found.json["data"]["cases"][-1]["where"] == "live"
        assert sorted(app.name for app in emulator.instance.apps.values()) == apps
        assert cli("release", "abort", "helper", "--yes").code == 0
        helper.fill()
        assert "it acts outside: tools of the agent" in cli(*words).err
