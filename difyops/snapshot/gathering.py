"""Reading the apps of one instance for a snapshot: side by side, and what failed a second time, slowly."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from difyops.api.instance import Instance
from difyops.api.model import App
from difyops.clock import Clock
from difyops.fanout import Done, Failed, FanoutOptions, fan_out
from difyops.snapshot.agreement import is_gone, left_out
from difyops.snapshot.assembly import Base, GatheredApp
from difyops.snapshot.reading import AppReading, ReadOptions, read_app
from difyops.snapshot.second_pass import may_pass_later, second_pass
from difyops.snapshot.steps import Checkpoint

log = logging.getLogger("difyops.snapshot")
Progress = Callable[[int, int, str], None]
"""What is told after each app: how many are done, of how many, and its name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Gathering:
    """The reading of apps on top of the newest snapshot, ``base``; ``limit``: so many at once."""

    instance: Instance
    base: Base
    how: ReadOptions
    limit: int
    clock: Clock
    checkpoint: Checkpoint
    progress: Progress | None = None

    async def read(self, chosen: Sequence[App]) -> GatheredApp:
        """Return what was read; an app that could not be read stands in it with its error."""
        gathered = GatheredApp()
        async for result in fan_out(chosen, self._app, FanoutOptions(limit=self.limit)):
            match result:
                case Done(item=app, value=reading):
                    gathered.readings[app.id] = reading
                case Failed(item=app, error=error):
                    gathered.failed[app.id] = error
            self.checkpoint("app read")
            if self.progress:
                self.progress(len(gathered.readings) + len(gathered.failed), len(chosen), app.name)
        again = {app_id: error for app_id, error in gathered.failed.items() if may_pass_later(error)}
        if again:
            log.info("%d apps could not be read; reading them again, slowly", len(again))
            read_now, still, gone = await second_pass(self.instance, again, self._app, self.clock)
            gathered.readings.update(read_now)
            gathered.failed = {key: error for key, error in gathered.failed.items() if key not in again} | still
            gathered.gone |= gone
        return gathered

    async def look_for_missing(self, listed: Sequence[App], gathered: GatheredApp) -> None:
        """Believe that an app of the newest snapshot is gone only when its detail says what the list says."""
        ids = {app.id for app in listed}
        missing = [app_id for app_id in self.base.apps if app_id not in ids and app_id not in gathered.gone]
        async for result in fan_out(missing, self._is_gone, FanoutOptions(limit=self.limit)):
            match result:
                case Done(item=app_id, value=True):
                    gathered.gone.add(app_id)
                case Done(item=app_id):
                    gathered.failed[app_id] = left_out()
                case Failed(item=app_id, error=error):
                    gathered.failed[app_id] = error

    async def _app(self, app: App) -> AppReading:
        return await read_app(self.instance, app, self.base.apps.get(app.id), self.how)

    async def _is_gone(self, app_id: str) -> bool:
        return await is_gone(self.instance.console, app_id)
