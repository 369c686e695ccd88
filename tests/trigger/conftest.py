"""An emulated instance whose schedules have a past: versions and runs at the moments that a test says."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from difyops import clock as clocks
from difyops.api.server_time import ServerTime
from difyops.emulator import Emulator
from difyops.emulator.publishing import copied
from difyops.emulator.records import Run
from difyops.emulator.store import App
from difyops.trigger import audit

NOW = datetime(2026, 6, 10, 12, 34, 56, tzinfo=UTC)


@dataclass(slots=True)
class At:
    """A clock that stands where a test puts it; waiting moves it."""

    time: datetime = NOW

    def now(self) -> datetime:
        return self.time

    def monotonic(self) -> float:
        return self.time.timestamp()

    async def sleep(self, seconds: float) -> None:
        self.time += timedelta(seconds=seconds)


def named(emulator: Emulator, name: str) -> App:
    return next(app for app in emulator.instance.apps.values() if app.name == name)


def schedule(emulator: Emulator, app: App, cron: str, *, zone: str = "UTC", since: datetime) -> None:
    """Publish the app with this schedule, long ago: ``since`` is when the version went live."""
    assert app.live is not None
    version = copied(emulator.instance, app.live, app.created_by)
    graph: dict[str, Any] = version.graph
    for node in graph["nodes"]:
        if node["data"]["type"] == "trigger-schedule":
            node["data"] |= {"mode": "cron", "cron_expression": cron, "timezone": zone}
    version.store_graph(graph, version.features)
    version.created_at = version.updated_at = int(since.timestamp())
    if app.live.created_at > version.created_at:  # the known app's own version: as if it had never been
        app.versions.clear()
    app.versions.append(version)
    app.live = version
    app.changed()


def ran(app: App, moments: Iterable[datetime], source: str = "schedule", **more: Any) -> None:
    for moment in moments:
        second = int(moment.timestamp())
        run = Run(
            id=str(uuid.uuid4()), task_id="", app_id=app.id, workflow_id="", version="1", graph_text="{}",
            triggered_from=source, inputs={}, created_at=second, started=0.0, log_id=str(uuid.uuid4()),
            logged_at=second, elapsed_time=0.5, status="succeeded", finished_at=second, account=app.created_by, **more,
        )  # fmt: skip
        app.runs = sorted([*app.runs, run], key=lambda item: item.created_at)


def hours(first: int, last: int, day: int = 10) -> list[datetime]:
    """Return 11 s after each full hour of a day of June 2026, ``last`` included."""
    return [datetime(2026, 6, day, hour, 0, 11, tzinfo=UTC) for hour in range(first, last + 1)]


@pytest.fixture
def stands(monkeypatch: pytest.MonkeyPatch) -> Callable[[datetime], None]:
    """Let the clocks of this machine and of the server stand at a moment."""

    def stand(moment: datetime) -> None:
        async def told(*_: Any) -> ServerTime:
            return ServerTime(now=moment.timestamp(), doubt=0.5)

        monkeypatch.setattr(clocks.SystemClock, "now", lambda _self: moment)
        monkeypatch.setattr(audit, "server_time", told)

    return stand


@pytest.fixture
def second_cron(emulator: Emulator) -> App:
    """Return another app with a schedule, to compare with."""
    from copy import copy

    first = named(emulator, "wf-cron")
    twin = copy(first)
    twin.id, twin.name = str(uuid.uuid4()), "wf-cron-2"
    twin.versions, twin.runs, twin.cache = list(first.versions), [], {}
    twin.triggers = {node: copy(item) for node, item in first.triggers.items()}
    for item in twin.triggers.values():
        item.id = str(uuid.uuid4())
    emulator.instance.apps[twin.id] = twin
    return twin
