"""``snapshot.seal``: can somebody open what is sealed in the newest snapshot, and when was it opened last?"""

from __future__ import annotations

from datetime import datetime

from difyops.runbook.parameters import Duration
from difyops.runbook.resources import Resources
from difyops.runbook.result import Fail, Pass, Result, Skipped, Value, Warn
from difyops.runbook.threads import apart
from difyops.snapshot.seals import SealStatus, status


async def check(resources: Resources, *, max_age: Duration = 7_776_000.0) -> Result:
    """Try to open the sealed values of the newest snapshot with what this machine has.

    Recipients that this machine did not agree to fail. A seal that no identity opened on this machine within
    ``max_age`` (90 d) is a warning: who can open it is named. A store without recipients passes, and it is said that
    only fingerprints are kept: that is its owner's choice. No store is nothing to look at.
    """
    return await apart(lambda: _looked(resources, max_age))


def _looked(resources: Resources, max_age: float) -> Result:
    if not resources.config.store.exists():
        return Skipped(text="there is no store")
    store = resources.open_store()
    if store.head(resources.context_name) is None:
        return Skipped(text=f"there is no snapshot of {resources.context_name}")
    return _judged(
        status(store, resources.context_name, resources.access, resources.clock), resources.clock.now(), max_age
    )


def _judged(found: SealStatus, now: datetime, max_age: float) -> Result:
    values = (
        Value(name="sealed", value=found.values, unit="values"),
        Value(name="lost", value=found.lost, unit="values"),
        Value(name="recipients", value=len(found.recipients)),
    )
    if not found.is_agreed:
        text = "the recipients of the store are not those that this machine agreed to"
        return Fail(text=text, values=values, excerpt=", ".join(found.recipients), hint="difyops snapshot seal status")
    if not found.values:
        return Pass(text="nothing is sealed", values=values)
    if not found.recipients:
        text = (
            f"{found.lost} secret values have only a fingerprint here: difyops snapshot seal init keeps them, encrypted"
        )
        return Pass(text=text, values=values)
    if found.opens:
        lost = f", {found.lost} have a fingerprint only" if found.lost else ""
        text = f"an identity of this machine opens the {found.values - found.lost} sealed values{lost}"
        return (Warn if found.lost else Pass)(text=text, values=values)
    return _not_here(found, values, now, max_age)


def _not_here(found: SealStatus, values: tuple[Value, ...], now: datetime, max_age: float) -> Result:
    who = f"can be opened by {', '.join(found.recipients)}"
    if found.opened_at is None:
        text = f"no identity of this machine opens the {found.values} sealed values; they {who}"
        return Warn(text=text, values=values, hint="Where an identity is: difyops snapshot seal status")
    age = (now - datetime.fromisoformat(found.opened_at)).total_seconds()
    text = f"sealed values were last opened here {age / 86400:.1f} days ago; they {who}"
    return (Warn if age > max_age else Pass)(text=text, values=values)
