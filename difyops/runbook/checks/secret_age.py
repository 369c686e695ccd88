"""``secret.age``: secrets that are older than the policy allows."""

from __future__ import annotations

from difyops.counting import counted
from difyops.rotation.inventory import ListedSecret, SecretInventory, take_inventory
from difyops.rotation.reading import WorkspaceReading
from difyops.runbook.parameters import Duration
from difyops.runbook.resources import Resources
from difyops.runbook.result import Fail, Inconclusive, Pass, Result, Value, Warn
from difyops.runbook.rotations import policy, workbench

_DAY = 86400.0
_CLOCKS = "Compare the clocks of this machine and of the server: difyops doctor."


async def check(
    resources: Resources,
    *,
    kinds: list[str] | None = None,
    max_age: Duration = 7776000.0,
    warn_age: Duration | None = None,
    max_in_clear: int | None = None,
) -> Result:
    """Hold the age of keys, credentials and secret variables to ``max_age`` (90 days) and to the policy's own rules.

    The age counts from the last rotation by difyops, else from the day that the server keeps: it does so for service
    keys and not for credentials and variables, whose age is unknown until their first rotation; unknown is no failure.
    One that is dated in the future fails: a clock is wrong, and its age with it. More than ``max_in_clear`` secrets
    that stand in apps in clear are a warning. Secrets are named, never shown.
    """
    bench = await workbench(resources)
    found = await take_inventory(bench, WorkspaceReading(bench.instance), policy(resources))
    chosen = [item for item in found.secrets if not kinds or item.kind in kinds]
    known = sorted((item for item in chosen if item.age is not None), key=lambda item: -(item.age or 0.0))
    old = [item for item in known if (item.age or 0.0) > max_age or item.overdue]
    oldest = (known[0].age or 0.0) if known else 0.0
    values = _values(found, chosen, len(known), len(old), (oldest, warn_age, max_age))
    text = (
        f"{len(old)} of {counted(len(chosen), 'secret')} are over their age, of {len(chosen) - len(known)}"
        " it is not known"
    )
    if ahead := [item for item in known if item.is_ahead]:
        said = f"{counted(len(ahead), 'secret is', 'secrets are')} dated in the future; first: {_label(ahead[-1])}"
        return Fail(text=said, values=values, excerpt="; ".join(_label(item) for item in ahead[:12]), hint=_CLOCKS)
    if old:
        hint = "difyops secret list --overdue; secret.rotate renews one in a runbook"
        excerpt = "; ".join(_label(item) for item in old[:12])
        return Fail(text=f"{text}; oldest: {_label(old[0])}", values=values, excerpt=excerpt, hint=hint)
    if found.problems:
        return Inconclusive(text=f"{text}; not all were read: {found.problems[0]}", values=values)
    if max_in_clear is not None and len(found.in_clear) > max_in_clear:
        first = found.in_clear[0]
        text = (
            f"{counted(len(found.in_clear), 'secret stands', 'secrets stand')} in apps in clear; first:"
            f" {first.app}, {first.label}"
        )
        return Warn(text=text, values=values, hint=first.advice)
    if warn_age is not None and oldest > warn_age:
        return Warn(text=f"{_label(known[0])} is due soon", values=values)
    return Pass(text=text, values=values)


def _values(
    found: SecretInventory, chosen: list[ListedSecret], known: int, old: int, ages: tuple[float, float | None, float]
) -> tuple[Value, ...]:
    oldest, warn, limit = ages
    soon = None if warn is None else round(warn / _DAY, 2)
    return (
        Value(name="oldest", value=round(oldest / _DAY, 1), unit="days", warn=soon, fail=round(limit / _DAY, 2)),
        Value(name="over", value=old, unit="secrets", fail=0),
        Value(name="unknown", value=len(chosen) - known, unit="secrets"),
        Value(name="secrets", value=len(chosen), unit="secrets"),
        Value(name="in_clear", value=len(found.in_clear), unit="secrets"),
    )


def _label(item: ListedSecret) -> str:
    return f"{item.kind} {item.name} of {item.owner} ({(item.age or 0.0) / _DAY:.0f} days)"
