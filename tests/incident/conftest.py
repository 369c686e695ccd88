"""An instance in trouble: what worked for an hour, was published anew ten minutes ago, and fails since."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from difyops.emulator import Emulator
from difyops.emulator.fleet_runs import Past, load_past
from difyops.emulator.store import App
from tests.snapshot.colleague import Colleague, break_prompt

Change = Callable[[dict[str, Any]], None]
BROKEN = "Variable #start.amount# was not found"


@dataclass
class Trouble:
    """What happened to an app of an emulator."""

    emulator: Emulator
    colleague: Colleague

    def ran(
        self, app: App, *, ago: float, until: float, count: int = 20, failing: float = 0.0, error: str = ""
    ) -> None:
        """Let an app have run between two moments before now (seconds)."""
        now = float(self.emulator.instance.now())
        past = Past(count=count, since=now - ago, until=now - until, failing=failing, retrying=0.0, seed=int(ago))
        for run in load_past(self.emulator.instance, app, past):
            if run.status == "failed" and error:
                run.error = error

    def published(self, name: str, *, ago: float, change: Change = break_prompt) -> str:
        """Let a colleague have published a change some seconds ago; return the version that was live before."""
        app = self.emulator.app_named(name)
        before = str(self.colleague.live(app.id)["id"])
        self.colleague.edit(app.id, change)
        self.colleague.publish(app.id, "friday")
        self.backdate(app, ago)
        return before

    def backdate(self, app: App, ago: float) -> None:
        """Let the newest version be older than it is."""
        newest = max(app.versions, key=lambda version: version.created_at)
        newest.created_at = self.emulator.instance.now() - int(ago)


@pytest.fixture
def colleague(emulator: Emulator, url: str) -> Colleague:
    assert emulator.admin_key
    return Colleague(url, emulator.admin_key, emulator.workspace_id)


@pytest.fixture
def trouble(emulator: Emulator, colleague: Colleague) -> Trouble:
    for app in emulator.instance.apps.values():  # what was there is a day old
        for version in app.versions:
            version.created_at -= 86_400
        app.updated_at -= 86_400
        app.changed()
    return Trouble(emulator=emulator, colleague=colleague)
