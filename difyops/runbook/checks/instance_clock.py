"""``instance.clock``: do this machine and the server agree on the time?"""

from __future__ import annotations

from email.utils import parsedate_to_datetime

from difyops.clock import Clock, SystemClock
from difyops.runbook.parameters import Duration
from difyops.runbook.reaching import setup_page
from difyops.runbook.resources import Resources
from difyops.runbook.result import Inconclusive, Result, Skipped, Value, held


async def check(resources: Resources, *, max_skew: Duration = 60.0, patience: Duration = 10.0) -> Result:
    """Hold the difference between the server's time (its ``Date`` header) and ours to ``max_skew``.

    A machine whose time is off loses sessions at once, and its ages and windows mean nothing. A server that does not
    send a time that can be read is not looked at.
    """
    if resources.context is None:
        return Inconclusive(text="no instance is configured", hint="difyops context add NAME --url https://...")
    stamp = (await setup_page(resources, resources.context, patience)).headers.get("date")
    if not stamp:
        return Skipped(text="the server does not send its time")
    try:
        skew = abs(_here(resources).now().timestamp() - parsedate_to_datetime(stamp).timestamp())
    except (ValueError, OverflowError):
        return Skipped(text="the server sends a time that cannot be read")
    value = Value(name="skew", value=round(skew), unit="s", fail=max_skew)
    return held(value, f"{skew:.0f} s apart from the server", hint="Set both clocks by NTP.")


def _here(resources: Resources) -> Clock:
    """Return the clock of this machine: where the state is shared, what counts for records is PostgreSQL's."""
    is_shared = resources.ledger is not None and resources.ledger.is_shared
    return SystemClock() if is_shared else resources.clock
