"""What a change will cost: checked against the price list by hand, node by node."""

from __future__ import annotations

import copy
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from difyops.cost.diff import CostDiff, compare_costs
from difyops.cost.recorded import recorded
from difyops.cost.tier import plan_tier, with_model
from difyops.emulator import Emulator
from difyops.emulator.fleet_runs import Past, load_past
from difyops.errors import UsageError
from tests.conftest import Cli
from tests.cost.conftest import CONTEXT, DAY, NOON, OPENAI, Book, node
from tests.history.conftest import now

TODAY = int(NOON // DAY)


def document(**changes: Any) -> dict[str, Any]:
    """Return a graph: retrieval, a draft that reads it, a check. ``changes`` are settings by node."""
    nodes: dict[str, dict[str, Any]] = {
        "search": {"type": "knowledge-retrieval", "multiple_retrieval_config": {"top_k": 4}},
        "draft": {"type": "llm", "model": {"provider": OPENAI, "name": "gpt-4o", "completion_params": {}},
                  "prompt_template": [{"role": "system", "text": "x" * 400}],
                  "context": {"enabled": True, "variable_selector": ["search", "result"]}},
        "check": {"type": "llm", "model": {"provider": OPENAI, "name": "gpt-4o-mini", "completion_params": {}},
                  "prompt_template": [{"role": "system", "text": "check"}]},
    }  # fmt: skip
    for name, settings in changes.items():
        if settings is None:
            del nodes[name]
        else:
            nodes[name] = {**copy.deepcopy(nodes.get(name, {})), **settings}
    return {"graph": {"nodes": [{"id": name, "data": {"title": name.title(), **data}} for name, data in nodes.items()]}}


def model(name: str, provider: str = OPENAI, **parameters: Any) -> dict[str, Any]:
    return {"model": {"provider": provider, "name": name, "completion_params": parameters}}


def compare(book: Book, old: dict[str, Any], new: dict[str, Any]) -> CostDiff:
    kept = recorded(book.history, CONTEXT, "shop", "workflow", since=NOON - DAY, until=NOON + DAY)
    return compare_costs("shop", (("a", old), ("b", new)), kept, book.prices, day=TODAY)


def price(book: Book, name: str, prompt: int, completion: int) -> Decimal:
    rate = book.prices.rate(OPENAI, name, TODAY)
    assert rate is not None
    amount = rate.amount(prompt, completion)
    assert amount is not None
    return amount


@pytest.fixture
def runs(book: Book) -> Book:
    """Forty runs: a draft of 1,000 in and 100 out, a check of 200 in and 10 out twice."""
    for number in range(40):
        book.run(
            "shop",
            {**node("search"), "type": "knowledge-retrieval", "output_size": 2000, "tokens": 0, "model": ""},
            node("draft", 1000 + 10 * (number % 5), 100),
            node("check", 200, 10),
            node("check", 200, 10),
            at=NOON - 60 * number,
        )
    return book


def test_another_model_is_priced_with_recorded_tokens(runs: Book) -> None:
    found = compare(runs, document(), document(draft=model("gpt-4o-mini")))
    (line,) = found.nodes
    assert line.what == ("model gpt-4o to gpt-4o-mini",)
    assert (line.calls, line.prompt, line.completion) == (1.0, 1020.0, 100.0)
    assert line.before == price(runs, "gpt-4o", 1020, 100) * 1000
    assert line.after == price(runs, "gpt-4o-mini", 1020, 100) * 1000
    assert line.difference == line.after - line.before
    assert line.low is not None
    assert line.high is not None
    assert line.low < line.difference < line.high < 0
    assert found.unchanged == 1
    assert found.sums[0].difference == line.difference
    assert "as many tokens" in line.assumes[0]


def test_prompts_limits_and_retrieval_move_the_tokens(runs: Book) -> None:
    longer = document(draft={"prompt_template": [{"role": "system", "text": "x" * 800}]})
    (line,) = compare(runs, document(), longer).nodes
    assert line.difference == price(runs, "gpt-4o", 100, 0) * 1000  # 400 characters are 100 tokens
    shorter = document(draft=model("gpt-4o", max_tokens=40))
    (line,) = compare(runs, document(), shorter).nodes
    assert line.difference == -price(runs, "gpt-4o", 0, 60) * 1000
    more = document(search={"multiple_retrieval_config": {"top_k": 8}})
    (line,) = compare(runs, document(), more).nodes
    assert line.what == ("top_k of Search 4 to 8",)
    assert line.difference == price(runs, "gpt-4o", 500, 0) * 1000  # 2,000 characters more
    twice = document(check=model("gpt-4o"))
    (line,) = compare(runs, document(), twice).nodes
    assert line.calls == 2.0
    assert line.after == price(runs, "gpt-4o", 400, 20) * 1000


def test_what_is_not_known_is_never_zero(runs: Book) -> None:
    new = {"type": "llm", **model("gpt-4o")}
    found = compare(runs, document(), document(extra=new, draft=model("nobody-knows", "acme/acme/acme"), check=None))
    lines = {line.node: line for line in found.nodes}
    assert lines["extra"].difference is None
    assert "no recorded call" in lines["extra"].unknown
    assert "no list price" in lines["draft"].unknown
    assert lines["check"].what == ("gone",)
    assert lines["check"].after == 0
    assert lines["check"].difference == -price(runs, "gpt-4o-mini", 400, 20) * 1000
    assert len(found.incomplete) == 2
    assert found.sums[0].difference == lines["check"].difference
    nothing = compare(runs, document(), document())
    assert (nothing.nodes, nothing.unchanged) == ((), 2)


def test_a_part_of_the_runs_stands_for_all(book: Book) -> None:
    for number in range(200):
        book.run("shop", node("draft", 1000, 100), at=NOON - number, chance=0.5 if number % 2 else None)
    found = compare(book, document(), document(draft=model("gpt-4o-mini")))
    assert (found.runs, found.all_runs) == (100, 200)
    (line,) = found.nodes
    assert line.before == price(book, "gpt-4o", 1000, 100) * 1000


def test_a_chat_app_by_its_messages(book: Book) -> None:
    def chat(name: str) -> dict[str, Any]:
        return {"model_config": {"pre_prompt": "hi", **model(name)}}

    kept = recorded(book.history, CONTEXT, "shop", "chat", since=0, until=NOON)
    none = compare_costs("shop", (("a", chat("gpt-4o")), ("b", chat("gpt-4o-mini"))), kept, book.prices, day=TODAY)
    assert none.nodes[0].unknown
    assert none.warnings


def test_a_smaller_model_is_planned_with_its_own_price_first(runs: Book) -> None:
    kept = recorded(runs.history, CONTEXT, "shop", "workflow", since=NOON - DAY, until=NOON + DAY)
    plan = plan_tier("shop", document(), "gpt-4o-mini", kept, runs.prices, day=TODAY)
    assert (plan.nodes, plan.needed, plan.calls) == (("Draft",), 1546, 3092)
    both = price(runs, "gpt-4o", 1020, 100) + price(runs, "gpt-4o-mini", 1020, 100)
    assert plan.costs == {"USD": both * 1546}
    assert plan.saves[0].difference == (price(runs, "gpt-4o-mini", 1020, 100) - price(runs, "gpt-4o", 1020, 100)) * 1000
    with pytest.raises(UsageError, match="No node would change"):
        plan_tier("shop", document(), "gpt-4o-mini", kept, runs.prices, day=TODAY, nodes=["check"])
    with pytest.raises(UsageError, match="no node that calls a model"):
        plan_tier("shop", document(), "gpt-4o-mini", kept, runs.prices, day=TODAY, nodes=["search"])
    chat = {"model_config": {**model("gpt-4o")}}
    target, changed = with_model(chat, "acme/acme/acme/tiny")
    assert changed == ["chat"]
    assert target["model_config"]["model"]["provider"] == "acme/acme/acme"
    assert chat["model_config"]["model"]["name"] == "gpt-4o"
    soul = {"agent_soul": {"model": {"plugin_id": "a/b", "model_provider": "a/b/c", "model": "gpt-4o"}}}
    agent, _ = with_model(soul, "acme/acme/acme/tiny")
    wanted = {"plugin_id": "acme/acme", "model_provider": "acme/acme/acme", "model": "tiny"}
    assert agent["agent_soul"]["model"] == wanted


def test_the_command_reads_files_versions_and_snapshots(
    cli: Cli, emulator: Emulator, connected: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DIFYOPS_STORE", str(tmp_path / "snapshots"))
    app = emulator.app_named("wf-llm")
    load_past(emulator.instance, app, Past(count=30, since=now() - 2 * DAY, until=now() - 300))
    assert cli("history", "sync", "wf-llm", "--nodes", "100%").code == 0
    assert cli("snapshot", "create").code == 0
    same = cli("cost", "diff", "latest", "live", "--app", "wf-llm", "-o", "json")
    assert same.code == 0, same.err
    assert same.json["data"]["nodes"] == []
    assert app.live is not None
    graph = copy.deepcopy(app.live.graph)
    next(item for item in graph["nodes"] if "model" in item["data"])["data"]["model"]["name"] = "gpt-4o"
    file = tmp_path / "new.yml"
    file.write_text(json.dumps({"app": {"name": "wf-llm", "mode": "workflow"}, "workflow": {"graph": graph}}))
    changed = cli("cost", "diff", "live", str(file), "-o", "markdown")
    assert changed.code == 0, changed.err
    assert "to gpt-4o" in changed.out
    assert cli("cost", "diff", app.live.id, str(file)).code == 0
    planned = cli("cost", "advise", "wf-llm", "--tier", "gpt-4.1-nano")
    assert planned.code == 0, planned.err
    assert "cases needed" in planned.out
    assert cli("cost", "advise", "wf-llm").code == 0
    assert cli("cost", "advise", "wf-llm", "--tier", "x", "--node", "nowhere").code == 2
    for words, code in (
        (("live", "missing.yml"), 2),
        (("live", "live"), 2),
        (("live", "draft", "--app", "nobody"), 2),
        (("no-such-tag", "live", "--app", "wf-llm"), 2),
        (("00000000-0000-4000-8000-000000000000", "live", "--app", "wf-llm"), 1),
    ):
        ran = cli("cost", "diff", *words)
        assert ran.code == code, (words, ran.err)
        assert "fault of difyops" not in ran.err
