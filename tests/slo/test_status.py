"""Verdicts: burning, ok, not enough; whose failures burn; clocks; since when and after what."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from difyops.history.store import Batch, History
from difyops.ledger import AuditEntry, Ledger
from difyops.slo.goals_file import Goal
from difyops.slo.model import BURNING, NOT_ENOUGH, OK, GoalStatus
from difyops.slo.status import StatusRequest, kept_apps, report
from tests.slo.kept import AT, CONTEXT, DAY, HOUR, NOW, App, written

GOAL = Goal(name="g", kind="availability", apps=("all",), percent=99.0, days=28)


@pytest.fixture
def history(tmp_path: Path) -> Iterator[History]:
    with History.open(tmp_path / "state") as opened:
        yield opened


def judged(history: History, goal: Goal = GOAL, *, ledger: Ledger | None = None, **fields: Any) -> GoalStatus:
    asked = StatusRequest(
        context=CONTEXT, file="slo.yaml", goals=(goal,), apps=kept_apps(history, CONTEXT), now=NOW, **fields
    )
    return report(history, asked, ledger).goals[0]


def test_a_quiet_month_of_good_runs_is_ok(history: History) -> None:
    app = App(history)
    app.spread(2000, AT - 28 * DAY, AT)
    app.spread(4, AT - 27 * DAY, AT - 20 * DAY, "failed", kind="other", node=("code", "other"))
    app.write()
    found = judged(history)
    assert found.verdict == OK
    assert (found.events, found.bad) == (2004, 4)
    assert found.left == pytest.approx(1 - 4 / 2004 / 0.01)
    assert found.series[-1].left == pytest.approx(found.left)
    assert sum(day.events for day in found.series) == 2004


def test_an_outage_now_burns_and_one_that_is_over_does_not(history: History) -> None:
    app = App(history)
    app.spread(2000, AT - 28 * DAY, AT - HOUR)
    app.spread(60, AT - HOUR, AT, "failed", kind="other", node=("code", "other"))
    app.write()
    found = judged(history)
    assert found.verdict == BURNING
    assert found.burning_since is not None
    assert abs(found.burning_since.timestamp() - (AT - HOUR)) < 120
    later = replace(GOAL, days=7)
    app.spread(600, AT, AT + 7 * HOUR)
    app.write(upto=AT + 7 * HOUR)
    asked = StatusRequest(context=CONTEXT, file="f", goals=(later,), apps=kept_apps(history, CONTEXT), now=NOW)
    over = report(history, replace(asked, now=NOW + timedelta(hours=7)), None).goals[0]
    states = {(pair.severity, pair.speed): pair.state for pair in over.pairs}
    assert states["page", "quick"] == OK
    assert states["page", "slow"] == OK


@pytest.mark.parametrize("failing", [0, 1, 3])
def test_too_little_traffic_is_neither_ok_nor_burning(history: History, failing: int) -> None:
    app = App(history)
    app.spread(6, AT - 3 * DAY, AT - HOUR)
    app.spread(failing, AT - HOUR, AT, "failed", kind="other", node=("code", "other"))
    app.write()
    found = judged(history)
    assert found.verdict == NOT_ENOUGH
    assert "are needed" in found.said


def test_one_failure_among_enough_calls_is_no_proof(history: History) -> None:
    app = App(history)
    app.spread(24, AT - HOUR, AT - 400)
    app.run(AT - 60, "failed", kind="other", node=("code", "other"))
    app.write()
    strict = replace(GOAL, percent=99.9)
    found = judged(history, strict)
    page = found.pairs[0]
    assert page.long.rate == pytest.approx(40)
    assert page.state == NOT_ENOUGH  # 40 times too fast, of 25 calls: the interval begins at once
    assert found.verdict != BURNING or found.pairs[3].long.interval.low > found.pairs[3].factor  # type: ignore[union-attr]


def test_a_provider_that_is_down_for_everybody_burns_nobodys_budget(history: History) -> None:
    apps = [App(history, id=f"{n}1111111-0000-4000-8000-000000000001", name=f"app-{n}") for n in range(3)]
    for app in apps:
        app.spread(300, AT - 20 * DAY, AT - HOUR)
        for number in range(30):
            at = AT - HOUR + number * 100
            # most of a large outage is not read node by node: what was read tells of the rest
            app.run(at, "failed", kind="unavailable", node=("llm", "unavailable") if number % 3 == 0 else None)
    written(apps)
    found = judged(history)
    assert found.verdict == OK
    assert found.bad == 0
    assert found.classes["provider"] == 90
    counting = judged(history, replace(GOAL, counts=("ours", "provider")))
    assert counting.verdict == BURNING
    assert counting.bad == 90


def test_whose_failures_they_are(history: History) -> None:
    app = App(history)
    for status, kind, node in (
        ("succeeded", "", None), ("partial-succeeded", "", None), ("stopped", "", None), ("paused", "", None),
        ("running", "", None), ("cut-off", "", None), ("failed", "rate_limit", ("llm", "rate_limit")),
        ("failed", "auth", ("llm", "auth")), ("failed", "unavailable", ("code", "unavailable")),
        ("failed", "timeout", ("http-request", "timeout")), ("failed", "other", None), ("failed", "stopped", None),
        ("failed", "platform", ("llm", "platform")), ("failed", "invalid", ("start", "invalid")), ("odd", "", None),
    ):  # fmt: skip
        app.run(AT - HOUR, status, kind=kind, node=node)
    app.write()
    found = judged(history)
    assert found.classes == {
        "good": 2, "stopped": 2, "paused": 1, "running": 1, "caller": 2, "provider": 1, "ours": 6,
    }  # fmt: skip
    assert found.events == 8


def test_an_app_without_nodes_is_judged_by_its_message(history: History) -> None:
    app = App(history, mode="chat")
    app.run(AT - HOUR, "failed", kind="unavailable", source="chat")
    app.run(AT - HOUR, "failed", kind="auth", source="chat")
    app.write()
    assert judged(history).classes == {"provider": 1, "ours": 1}


def test_endpoints_are_apart(history: History) -> None:
    app = App(history)
    for source in ("app-run", "web-app", "webhook", "schedule"):
        app.run(AT - HOUR, "failed" if source == "webhook" else "succeeded", source=source)
    app.write()
    for word, bad in (("service-api", 0), ("web-app", 0), ("webhook", 1), ("schedule", 0)):
        found = judged(history, replace(GOAL, endpoints=(word,)))
        assert (found.events, found.bad) == (1, bad), word
    assert judged(history).events == 4
    chat = App(history, id="21111111-0000-4000-8000-000000000001", name="talk", mode="chat")
    chat.run(AT - HOUR, source="chat")
    chat.write()
    found = judged(history, replace(GOAL, apps=("talk",), endpoints=("service-api",)))
    assert found.events == 1
    assert "not told apart" in found.warnings[0]


def test_latency_counts_good_runs_and_leaves_out_those_that_wait_for_people(history: History) -> None:
    app = App(history)
    app.run(AT - HOUR, elapsed=1.0)
    app.run(AT - HOUR, elapsed=4.0)
    app.run(AT - HOUR, elapsed=4.1)
    app.run(AT - HOUR, "failed", elapsed=99.0)
    app.run(AT - HOUR, elapsed=9000.0, version="2026-10-02 00:00:00.000001")
    app.write()
    history.note_graph(CONTEXT, app.id, "2026-10-02 00:00:00.000001",
                       {"nodes": [{"id": "h", "type": "human-input"}], "edges": []})  # fmt: skip
    found = judged(history, replace(GOAL, kind="latency", within=4.0))
    assert (found.events, found.bad) == (3, 1)
    assert found.classes["waits for people"] == 1


def test_validity_judges_what_was_kept_as_it_came(history: History, tmp_path: Path) -> None:
    schema = tmp_path / "answer.json"
    schema.write_text('{"type": "object", "required": ["ok"], "properties": {"ok": {"type": "boolean"}}}')
    app = App(history, mode="chat")
    answers = ('{"ok": true}', '```json\n{"ok": true}\n```', "no", None)
    runs = [app.run(AT - HOUR, source="chat") for _ in answers]
    app.write()
    messages = [(CONTEXT, app.id, run, "c", "", "succeeded", AT - HOUR, 1.0, 1, 1, "", "", "", "u", "", 0, "", 0)
                for run in runs]  # fmt: skip
    content = [(CONTEXT, app.id, "message", run, "", text, "") for run, text in zip(runs, answers, strict=True) if text]
    history.write(CONTEXT, app.id, "messages", Batch(rows={"message": messages}, content=content))
    found = judged(history, replace(GOAL, kind="validity", schema=schema))
    assert (found.events, found.bad) == (3, 2)
    assert any("1 answer was not kept" in text for text in found.warnings)


def test_history_that_ends_early_is_not_ok(history: History) -> None:
    app = App(history)
    app.spread(2000, AT - 28 * DAY, AT - 2 * HOUR)
    app.write(upto=AT - 2 * HOUR)
    found = judged(history)
    assert found.verdict == NOT_ENOUGH
    assert "history ends 120 min ago" in found.warnings[0]


def test_a_clock_that_is_changed_in_a_window(history: History, monkeypatch: pytest.MonkeyPatch) -> None:
    """25 October 2026 has 25 hours in Berlin; a server's clock that was ahead leaves runs that lie in the future."""
    app = App(history)
    app.spread(28 * 24, AT - 28 * DAY, AT)
    app.run(AT + 2 * HOUR, "failed", kind="other", node=("code", "other"))
    app.write()
    seen = []
    for zone in ("UTC", "Europe/Berlin", "America/New_York"):
        monkeypatch.setenv("TZ", zone)
        time.tzset()
        found = judged(history)
        seen.append((found.verdict, found.events, found.bad, tuple(pair.long.n for pair in found.pairs), found.series))
    monkeypatch.delenv("TZ")
    time.tzset()
    assert seen[0] == seen[1] == seen[2]
    assert seen[0][:4] == (OK, 28 * 24, 0, (1, 6, 24, 72))
    assert {day.events for day in seen[0][4][1:-1]} == {24}


def test_since_when_and_after_what(history: History, tmp_path: Path) -> None:
    app = App(history)
    app.spread(1000, AT - 20 * DAY, AT - 2 * HOUR)
    app.spread(200, AT - 2 * HOUR, AT, "failed", kind="other", node=("code", "other"))
    good = App(history, id="31111111-0000-4000-8000-000000000001", name="other")
    good.spread(500, AT - 20 * DAY, AT)
    written([app, good])
    ledger = Ledger.open(tmp_path / "ledger.sqlite3")
    ledger.audit(
        AuditEntry(action="app.switch_model", subject=app.id, context=CONTEXT, actor="li", outcome="done",
                   when=NOW - timedelta(hours=2, minutes=5))
    )  # fmt: skip
    found = judged(history, ledger=ledger)
    assert found.verdict == BURNING
    assert found.apps[0].name == "support"
    assert found.cause is not None
    assert (found.cause.what, found.cause.by) == ("app.switch_model", "li")
