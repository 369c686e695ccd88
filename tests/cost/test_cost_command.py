"""``difyops cost`` as a pipe sees it, over a history that was synced from an emulator."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path

import pytest

from difyops.emulator import Emulator
from difyops.emulator.fleet_runs import Past
from difyops.emulator.records import Run
from tests.conftest import Cli
from tests.history.conftest import DAY, carried, filled, now


@pytest.fixture(scope="module")
def past(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Run]]:
    """Runs with retries and an iteration, all read."""
    state = tmp_path_factory.mktemp("cost") / "state"
    plan = Past(count=60, since=now() - 2 * DAY, until=now() - 300, retrying=0.3)
    return state, filled(state, {"wf-echo": plan}, share=1.0)["wf-echo"]


@pytest.fixture
def runs(past: tuple[Path, list[Run]], connected: str, own_place: Path) -> list[Run]:
    """The same, as the history of this test."""
    carried(past[0], own_place / "state")
    return past[1]


def truth(runs: list[Run]) -> Decimal:
    """Return what the nodes say: every model call once."""
    rows = [row for run in runs for row in (run.make_nodes() if run.make_nodes else run.nodes)]
    priced = [row for row in rows if row.status != "retry" and row.node_type != "iteration"]
    return sum((Decimal((row.metadata or {}).get("total_price", "0")) for row in priced), Decimal(0))


def test_the_sum_is_what_the_nodes_say_in_every_grouping_and_format(cli: Cli, runs: list[Run]) -> None:
    wanted = truth(runs)
    for by in ("app", "node", "model", "user", "version", "day", "source"):
        found = cli("cost", "summary", "wf-echo", "--by", by, "-o", "json")
        assert found.code == 0, found.err
        data = found.json["data"]
        assert found.json["kind"] == "cost.summary"
        assert Decimal(data["total"]["said"][0]["amount"]) == wanted
        assert sum(Decimal(line["said"][0]["amount"]) for line in data["lines"]) == wanted
        assert data["total"]["exact"] is True
    for form in ("table", "ndjson", "csv", "yaml", "name"):
        shown = cli("cost", "summary", "-o", form)
        assert shown.code == 0, (form, shown.err)
        assert shown.out
    assert "USD" in cli("cost", "summary", "-o", "markdown").out


def test_no_call_is_made(cli: Cli, runs: list[Run], emulator: Emulator) -> None:
    emulator.control.reset_counts()
    assert cli("cost", "summary").code == 0
    assert cli("cost", "prices", "check").code in (0, 5)
    assert emulator.control.counts()["total"] == 0


def test_what_the_command_line_refuses(cli: Cli, runs: list[Run], tmp_path: Path) -> None:
    bad = tmp_path / "rates.yaml"
    bad.write_text("currency: USD\nrates: {CNY: free}\n")
    for words, said in (
        (("summary", "no-such-app"), "no app"), (("summary", "--by", "colour"), "--by"),
        (("summary", "--since", "soon"), "duration"), (("summary", "--rates", str(bad)), "rates.CNY"),
        (("summary", "--rates", "nowhere.yaml"), "cannot be read"), (("prices", "list", "--on", "soon"), "no day"),
        (("prices", "set", "openai", "x"), "--input-price"),
            (("prices", "set", "openai", "x", "--remove"), "no own price"),
        (("prices", "set", "openai", "x", "--input-price", "-1", "--output-price", "0"), "amounts"),
        (("prices", "check", "--plugins", str(tmp_path)), "no model plugin"),
    ):  # fmt: skip
        found = cli("cost", *words)
        assert found.code == 2, (words, found)
        assert said in found.err, (words, found.err)
        assert "hint: " in found.err


def test_a_price_of_your_own_goes_before_the_list(cli: Cli, runs: list[Run], own_place: Path) -> None:
    words = (
        "cost",
        "prices",
        "set",
        "langgenius/openai/openai",
        "gpt-4o-*",
        "--input-price",
        "1",
        "--output-price",
        "1",
    )
    assert cli(*words, "--dry-run").code == 0
    file = own_place / "config" / "difyops" / "prices.json"
    assert not file.exists()
    assert cli(*words, "--note", "our contract").code == 0
    assert json.loads(file.read_text())["prices"][0]["provider"] == "openai"
    total = cli("cost", "summary", "-o", "json").json["data"]["total"]
    assert Decimal(total["listed"][0]["amount"]) == Decimal(total["tokens"]) / 1_000_000
    assert "you, " in cli("cost", "prices", "list", "gpt-4o").out
    assert cli(*words[:5], "--remove").code == 0
    assert json.loads(file.read_text()) == {"prices": []}
    file.write_text("{")
    broken = cli("cost", "summary")
    assert broken.code == 2
    assert "prices.json: line 2" in broken.err


def test_where_dify_reckons_otherwise_is_exit_5(cli: Cli, runs: list[Run]) -> None:
    used = cli("cost", "prices", "check", "-o", "json")
    assert [(item["model"], item["status"]) for item in used.json["data"]["models"]] == [("gpt-4o-mini", "agrees")]
    assert used.code == 0
    every = cli("cost", "prices", "check", "--all", "-o", "json")
    assert every.code == 5
    data = every.json["data"]
    assert sum(data["counts"].values()) == len(data["models"]) > 1200
    assert data["models"][0]["model"] == "anthropic/claude-haiku-4.5"
    assert data["models"][0]["factor"] == 1000


def test_the_cost_stands_in_the_report_of_performance(cli: Cli, runs: list[Run]) -> None:
    found = cli("perf", "report", "wf-echo", "-o", "json")
    assert found.code == 0, found.err
    assert Decimal(found.json["data"]["cost"]["total"]["said"][0]["amount"]) == truth(runs)
    assert "list price" in cli("perf", "report", "wf-echo", "-o", "markdown").out
    page = cli("perf", "report", "wf-echo", "-o", "html")
    assert "list price" in page.out


def test_a_budget_from_the_command_line(cli: Cli, runs: list[Run]) -> None:
    assert cli("cost", "budget", "status").code == 2
    assert cli("cost", "budget", "set", "echo", "wf-echo", "--hard", "1000000", "--dry-run").code == 0
    assert cli("cost", "budget", "status").code == 2  # nothing was written
    assert cli("cost", "budget", "set", "echo", "wf-echo", "--hard", "1000000", "--period", "month").code == 0
    shown = cli("cost", "budget", "check", "-o", "json")
    assert shown.code == 0, shown.err
    assert shown.json["data"]["budgets"][0]["state"] == "kept"
    assert cli("cost", "budget", "set", "tiny", "--hard", "0.000001", "--soft", "50%").code == 0
    over = cli("cost", "budget", "check")
    assert over.code == 5
    assert "tiny" in over.err
    assert cli("cost", "budget", "status", "tiny").code == 0
    assert cli("cost", "budget", "check", "echo").code == 0
    assert cli("cost", "budget", "check", "echo", "--max-age", "1s").code == 3
    assert cli("cost", "budget", "set", "tiny", "--remove").code == 0
    assert cli("cost", "budget", "check").code == 0


def test_what_a_budget_refuses(cli: Cli, runs: list[Run]) -> None:
    for words, code in (
        (("set", "x"), 2), (("set", "x", "--hard", "-1"), 2), (("set", "x", "--hard", "1", "--soft", "2"), 2),
        (("set", "x", "--hard", "1", "--period", "year"), 2), (("set", "x", "no-such-app", "--hard", "1"), 2),
        (("set", "x", "--remove"), 2), (("status", "x"), 2), (("set", "x", "--hard", "1", "--key", "app-1"), 6),
    ):  # fmt: skip
        found = cli("cost", "budget", *words)
        assert found.code == code, (words, found)
        assert "hint: " in found.err


def test_a_broadcast_holds_and_settles(cli: Cli, runs: list[Run]) -> None:
    assert cli("cost", "budget", "set", "echo", "wf-echo", "--hard", "1000", "--period", "month").code == 0
    assert cli("broadcast", "hello", "--to", "wf-echo").code == 0
    assert cli("cost", "budget", "set", "echo", "wf-echo", "--hard", "0.000001", "--soft", "1%").code == 0
    refused = cli("broadcast", "hello", "--to", "wf-echo")
    assert refused.code == 7
    assert "echo has 0 left" in refused.err


def test_a_forecast_wants_two_weeks(cli: Cli, runs: list[Run]) -> None:
    found = cli("cost", "forecast", "-o", "json")
    assert found.code == 3
    assert "14 whole days are needed" in found.json["data"]["refused"]


def test_repeats_from_the_command_line(cli: Cli, runs: list[Run]) -> None:
    found = cli("cache", "stats", "-o", "json")
    assert found.code == 0, found.err
    (row,) = [row for row in found.json["data"]["rows"] if row["type"] == "llm"]
    assert 0 < row["repeats"] < row["calls"]
    for *words, form in (
        ("stats", "table"), ("top", "-n", "2", "csv"), ("stats", "--lifetime", "llm=1s", "markdown"),
        ("top", "ndjson"), ("stats", "yaml"), ("top", "name"),
    ):  # fmt: skip
        assert cli("cache", *words, "-o", form).code == 0
    assert cli("cache", "stats", "--lifetime", "tea=1h").code == 2
