"""Writes and publications whose answer did not come, and that a slow server may still carry out.

One that comes when somebody's draft is back overwrites it, for its hash is again the one that the write was sent over;
or it puts that draft live. So the draft keeps what we wrote until nothing can come any more: a late write is then
refused by the hash lock, and a late publication publishes what we wanted live.
"""

from __future__ import annotations

from difyops.clock import Clock
from difyops.errors import DifyopsError
from difyops.publishing.keeper import Keeper

LATE = 20.0
"""Seconds that a server may take longer over a call than we wait for its answer."""
_NOTE = "late_until"


def note(keeper: Keeper, clock: Clock, error: DifyopsError) -> None:
    """Note that a call which failed with ``error`` may still be carried out, where that is not known to be over.

    A gateway that answers in place of its server (502, 503, 504) does not know it either.
    """
    if error.retryable:
        keeper.note(**{_NOTE: clock.now().timestamp() + LATE})


def over(keeper: Keeper) -> None:
    """Note that the call was seen to be done, late or not."""
    keeper.note(**{_NOTE: None})


async def wait(keeper: Keeper, clock: Clock, app_name: str) -> None:
    """Wait until no call of this change can come any more; at once where every answer came."""
    until = keeper.memo(_NOTE)
    left = float(until) - clock.now().timestamp() if until is not None else 0.0
    if 0 < left <= LATE:  # more: a clock was set meanwhile
        keeper.say(f"An answer about {app_name!r} did not come; looking in {left:.0f} s whether the server acted late.")
        await clock.sleep(left)
    if until is not None:
        over(keeper)
