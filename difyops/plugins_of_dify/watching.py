"""Runs of the apps that use a plugin, after its upgrade against before it, by the judge of releases.

Each app is judged by itself and all of them together: what broke in one of fifty shows there, what broke in all of them
shows after a few runs each. Half of alpha goes to either. A look comes with new runs; two looks in a row that fail are
a no.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path

from difyops.api.instance import Instance
from difyops.api.server_time import server_time
from difyops.clock import Clock
from difyops.counting import counted
from difyops.errors import AnswerIsNo, NotFound, RateLimited, ServerFault, Unreachable
from difyops.fanout import Done, Failed, FanoutOptions, fan_out
from difyops.release.gates import FAIL, OPEN, PASS, GateEvent, look
from difyops.release.plan import Gates
from difyops.release.watch import RunSource, moment, timezone_of

_EVERY = 10.0
_LOOKS = 2
_BACK = 7 * 86400.0
_AT_ONCE = 2
Events = Mapping[str, Sequence[GateEvent]]  # by app id


@dataclass(frozen=True, slots=True, kw_only=True)
class UpgradeLook:
    """One look at all apps: a word of the gates, how many new runs counted, and why in words."""

    word: str
    events: int
    text: str


def judge(before: Events, after: Events, gates: Gates, *, number: int, wanted: int) -> UpgradeLook:
    """Judge the runs of some apps together and each by itself. Pure; ``number`` counts the looks from 1 on."""
    half = gates.alpha / 2
    each = replace(gates, alpha=half / max(1, len(after)))
    looks = [look(before.get(app, ()), new, each, number=number, wanted=wanted) for app, new in after.items()]
    count, failed = sum(item.events for item in looks), sum(item.failed for item in looks)
    was, was_failed = sum(item.old_events for item in looks), sum(item.old_failed for item in looks)
    told = f"{failed} of {counted(count, 'run')} failed after the upgrade, {was_failed} of {was} before it"
    together = math.exp(min(700.0, sum(math.log(item.e) for item in looks)))  # wagers on other runs: they multiply
    if together >= 1 / half:
        return UpgradeLook(word=FAIL, events=count, text=f"{told} (e = {together:.3g}, proof from {1 / half:g} on)")
    worse = [item.text for item in looks if item.word == FAIL]
    if worse:
        return UpgradeLook(
            word=FAIL,
            events=count,
            text=f"{worse[0]} ({len(worse)} of {counted(len(looks), 'app is', 'apps are')} worse)",
        )
    return UpgradeLook(word=PASS if count >= wanted else OPEN, events=count, text=told)


@dataclass(slots=True, kw_only=True)
class UpgradeWatch:
    """A watch over apps for ``seconds``. ``least``: new runs between two looks; ``wanted``: runs that are enough."""

    instance: Instance
    app_ids: Sequence[str]
    clock: Clock
    state: Path
    seconds: float
    least: int = 3
    wanted: int = 10
    gates: Gates = field(default_factory=Gates)
    say: Callable[[str], None] = field(default=lambda _: None)
    last: UpgradeLook = field(default_factory=lambda: UpgradeLook(word=OPEN, events=0, text="no run ended"))
    _sources: dict[str, RunSource] = field(default_factory=dict)
    _before: dict[str, list[GateEvent]] = field(default_factory=dict)

    async def begin(self) -> None:
        """Read what the apps did before the upgrade."""
        now = moment((await server_time(self.instance, self.clock)).earliest)

        async def one(app_id: str) -> tuple[RunSource, list[GateEvent]]:
            app = await self.instance.console.app(app_id)
            source = RunSource(instance=self.instance, app=app, timezone=await timezone_of(self.instance, app))
            return source, await source.old(self.state, "", now, _BACK)

        async for result in fan_out(self.app_ids, one, FanoutOptions(limit=_AT_ONCE)):
            match result:
                case Done(item=app_id, value=(source, events)):
                    self._sources[app_id], self._before[app_id] = source, events
                case Failed(error=error):
                    raise error

    async def __call__(self) -> None:
        """Look until the time is over.

        Raises:
            AnswerIsNo: two looks in a row were proven worse than before.
        """
        since = moment((await server_time(self.instance, self.clock)).latest)
        end = self.clock.monotonic() + self.seconds
        self.say(f"watching {counted(len(self._sources), 'app')} for {self.seconds:g} s")
        number = bad = 0
        while True:
            try:
                after = await self._after(since)
            except (Unreachable, ServerFault, RateLimited) as error:  # the next look goes on
                self.say(f"The log could not be read now ({error.message}); the watch goes on.")
                after = {}
            found = judge(self._before, after, self.gates, number=number + 1, wanted=self.wanted)
            if found.events >= self.last.events + self.least:
                number, bad, self.last = number + 1, bad + 1 if found.word == FAIL else 0, found
                if bad >= _LOOKS:
                    raise AnswerIsNo(f"{found.text}.")
            if self.clock.monotonic() >= end:
                return
            await self.clock.sleep(min(_EVERY, max(0.0, end - self.clock.monotonic())))

    async def _after(self, since: datetime) -> dict[str, list[GateEvent]]:
        until = moment((await server_time(self.instance, self.clock)).latest) + timedelta(minutes=1)

        async def one(source: RunSource) -> list[GateEvent]:
            return await source.new("", since, until)

        found: dict[str, list[GateEvent]] = {}
        async for result in fan_out(list(self._sources.values()), one, FanoutOptions(limit=_AT_ONCE)):
            match result:
                case Done(item=source, value=events):
                    found[source.app.id] = events
                case Failed(error=error) if not isinstance(error, NotFound):  # an app that was deleted is no run
                    raise error
        return found
