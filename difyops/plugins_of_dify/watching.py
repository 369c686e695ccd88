"""Runs of the touched apps after an upgrade, against those before it: two looks in a row that are worse are a no."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from difyops.api.instance import Instance
from difyops.api.run_records import error_kind
from difyops.api.runs import FAILED, Run, runs_in
from difyops.api.server_time import server_time
from difyops.clock import Clock
from difyops.errors import AnswerIsNo

_EVERY = 10.0
_LOOKS = 2
_WORSE = 0.2
_THEIRS = ("rate_limit", "stopped")  # no fault of a plugin's version


@dataclass(slots=True, kw_only=True)
class UpgradeWatch:
    """A watch over apps for ``seconds``. ``least``: fewer ended runs than these are no look. ``judged``: how many."""

    instance: Instance
    app_ids: Sequence[str]
    clock: Clock
    seconds: float
    least: int = 3
    judged: int = field(default=0)
    say: Callable[[str], None] = field(default=lambda _: None)

    async def __call__(self) -> None:
        """Look until the time is over.

        Raises:
            AnswerIsNo: two looks in a row found clearly more failures than there were before.
        """
        begin = datetime.fromtimestamp((await server_time(self.instance, self.clock)).now, UTC)
        before = _share(await self._runs(begin - timedelta(seconds=max(self.seconds, 3600.0)), begin))
        end, bad = self.clock.monotonic() + self.seconds, 0
        self.say(f"watching {len(self.app_ids)} apps for {self.seconds:g} s")
        while True:
            runs = await self._runs(begin, begin + timedelta(days=1))
            self.judged = len(runs)
            if len(runs) >= self.least:
                share = _share(runs)
                bad = bad + 1 if share > before + _WORSE else 0
                if bad >= _LOOKS:
                    raise AnswerIsNo(
                        f"{share:.0%} of {len(runs)} runs failed after the upgrade, {before:.0%} before it."
                    )
            if self.clock.monotonic() >= end:
                return
            await self.clock.sleep(min(_EVERY, max(0.0, end - self.clock.monotonic())))

    async def _runs(self, since: datetime, until: datetime) -> list[Run]:
        found: list[Run] = []
        for app_id in self.app_ids:
            app = await self.instance.console.app(app_id)
            found += (await runs_in(self.instance, app, since, until)).ended
        return found


def _share(runs: Sequence[Run]) -> float:
    failed = sum(run.status == FAILED and error_kind(run.error) not in _THEIRS for run in runs)
    return failed / len(runs) if runs else 0.0
