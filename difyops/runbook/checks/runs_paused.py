"""``runs.paused``: runs that wait for a person."""

from __future__ import annotations

from difyops.clock import from_unix, iso
from difyops.counting import counted
from difyops.errors import NotSupported
from difyops.runbook.parameters import Duration
from difyops.runbook.resources import Resources
from difyops.runbook.result import Inconclusive, Result, Skipped, Value, held
from difyops.waiting import Wait, waits


async def check(
    resources: Resources,
    *,
    apps: list[str],
    older_than: Duration = 3600.0,
    expires_within: Duration | None = None,
    max_waiting: int = 0,
) -> Result:
    """Count runs that have waited for a person longer than ``older_than`` (1.13.0 and newer; skipped on older servers).

    ``expires_within``: also those whose form ends so soon, however young. At most ``max_waiting`` may wait.
    """
    instance = await resources.instance()
    now = resources.clock.now().timestamp()
    try:
        found = await waits(instance, await resources.chosen(apps), now=now)
    except NotSupported as error:
        return Skipped(text=error.message)
    late = [item for item in found.waits if _is_late(item, now, older_than, expires_within)]
    value = Value(name="late", value=len(late), unit="runs", fail=max_waiting)
    others = (Value(name="waiting", value=len(found.waits), unit="runs"),)
    text = f"{len(late)} of {counted(len(found.waits), 'waiting run')} of {counted(found.apps, 'app')} wait too long"
    listed = "; ".join(f"{item.app} {item.run} at {item.title} since {_when(item.since)}" for item in late[:10])
    hint = f"difyops app resume {late[0].app!r} {late[0].run}" if late else None
    result = held(value, text, excerpt=listed, hint=hint, others=others)
    if found.unread and result.word == "pass":
        return Inconclusive(text=f"{text}; {found.unread[0]} could not be read", values=(value, *others))
    return result


def _is_late(item: Wait, now: float, older_than: float, expires_within: float | None) -> bool:
    ends_soon = expires_within is not None and item.expires is not None and item.expires - now <= expires_within
    return now - item.since > older_than or ends_soon


def _when(moment: float) -> str:
    found = from_unix(moment)
    return iso(found) if found else "an unknown time"
