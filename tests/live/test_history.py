"""On a real server: history equals the server's own statistics; what these leave out stands apart. Reads only."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from difyops import config
from difyops.history.store import History
from tests.conftest import Cli
from tests.snapshot.colleague import Colleague

pytestmark = [pytest.mark.live, pytest.mark.timeout(600)]

OWN_MODES = {"workflow", "advanced-chat"}
TALKS = {"advanced-chat", "chat", "agent-chat", "completion"}


def _until(colleague: Colleague, moment: str) -> tuple[str, float]:
    """Return the whole minute before a moment, as the account's clock shows it and in unix seconds."""
    zone = ZoneInfo(str(colleague.call("GET", "/account/profile")["timezone"]))
    end = datetime.fromisoformat(moment).astimezone(UTC).replace(second=0, microsecond=0)
    return f"{end.astimezone(zone):%Y-%m-%d %H:%M}", end.timestamp()


def _said(colleague: Colleague, app: str, what: str, field: str, end: str) -> int:
    body = colleague.call("GET", f"/apps/{app}/{what}?start=2020-01-01 00:00&end={end}")
    return sum(int(row[field] or 0) for row in body["data"])


def test_runs_tokens_and_messages_are_those_of_the_statistics(colleague: Colleague, cli: Cli) -> None:
    synced = cli("history", "sync", "all", "--since", "365d", "--nodes", "0", "--max-calls", "20000", "-o", "json")
    assert synced.code == 0, synced.err
    end, limit = _until(colleague, synced.json["data"]["until"])
    state, context = Path(config.load().state), config.load().context().name
    equal, apart = 0, 0
    with History.open(state) as history:
        for app in cli("app", "list", "-o", "json").json["data"]:
            given = [context, app["id"], limit]
            test = "WHERE context = ? AND app = ? AND started < ?"
            if app["mode"] in OWN_MODES:
                ours = history.all(
                    "SELECT count(*), coalesce(sum(tokens), 0) FROM run"
                    f" {test} AND source IN ('app-run', 'web-app')", given,
                )  # fmt: skip
                runs = _said(colleague, app["id"], "workflow/statistics/daily-conversations", "runs", end)
                tokens = _said(colleague, app["id"], "workflow/statistics/token-costs", "token_count", end)
                assert ours == [(runs, tokens)], app["name"]
                equal += runs
                query = f"SELECT count(*) FROM run {test} AND source IN ('webhook', 'schedule', 'plugin')"
                left_out = history.one(query, given)
                if left_out:
                    shown = cli("perf", "summary", app["id"], "--since", "365d", "-o", "json").json["data"]["sources"]
                    assert sum(shown[name]["runs"] for name in ("webhook", "schedule") if name in shown) >= left_out
                apart += left_out
            if app["mode"] in TALKS:
                kept = history.one(f"SELECT count(*) FROM message {test}", given)
                told = _said(colleague, app["id"], "statistics/daily-messages", "message_count", end)
                assert kept == told, app["name"]
                equal += told
    print(f"{equal} runs and messages equal to the statistics; {apart} runs of webhooks and schedules apart")
    assert equal > 0
