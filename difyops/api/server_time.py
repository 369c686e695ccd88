"""What time it is at the server, as sure as its answers tell. Times that the server wrote are compared with these only.

Two clocks disagree on ordinary days, by minutes on machines nobody looks after. The server's ``Date`` header says its
time to a second; an answer without one leaves our own clock, and a minute of doubt.
"""

from __future__ import annotations

from dataclasses import dataclass
from email.utils import parsedate_to_datetime

from difyops.api.console import BASE
from difyops.api.instance import Instance
from difyops.api.shapes import moment
from difyops.clock import Clock

UNKNOWN = 60.0  # seconds of doubt where the server does not tell its time
_TICK = 0.5  # a Date header is cut to whole seconds: the middle of one is at most this far off


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerTime:
    """The server's time in unix seconds: between ``now - doubt`` and ``now + doubt``."""

    now: float
    doubt: float

    @property
    def earliest(self) -> float:
        """Return the time that it is at least."""
        return self.now - self.doubt

    @property
    def latest(self) -> float:
        """Return the time that it is at most."""
        return self.now + self.doubt


async def server_time(instance: Instance, clock: Clock) -> ServerTime:
    """Ask the server for the time (``GET /console/api/setup``: no account, every version)."""
    asked = clock.monotonic()
    answer = await instance.transport.request("GET", f"{BASE}/setup", doing="ask the server for the time")
    took = clock.monotonic() - asked
    told = _unix(answer.headers.get("date", ""))
    if told is None:
        return ServerTime(now=clock.now().timestamp(), doubt=UNKNOWN)
    return ServerTime(now=told + _TICK + took / 2, doubt=_TICK + took / 2)


def _unix(text: str) -> float | None:
    try:
        return moment(parsedate_to_datetime(text).timestamp())
    except (ValueError, OverflowError):
        return None
