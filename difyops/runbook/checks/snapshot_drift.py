"""``snapshot.drift``: does the instance still look like its last snapshot?"""

from __future__ import annotations

from difyops.counting import counted
from difyops.runbook.resources import Resources
from difyops.runbook.result import Fail, Inconclusive, Pass, Result, Value, Warn
from difyops.snapshot.app_drift import AppDrift
from difyops.snapshot.drift import Drift, DriftOptions, drift

_QUIET = ("draft edited", "new", "settings changed", "unreadable")


async def check(resources: Resources, *, apps: list[str] | None = None, drafts: bool = False) -> Result:
    """Compare what is live with the newest snapshot, app by app, and name who changed what and when.

    What is live, switched or deleted fails; new apps, edited drafts and changed settings (name, icon, tags) are a
    warning (``drafts: true``: a failure).
    An app that cannot be read is inconclusive. No snapshot yet is inconclusive: there is nothing to compare with.
    """
    instance = await resources.instance()
    options = DriftOptions(
        selectors=tuple(apps or ("all",)), access=resources.access, limit=instance.context.max_in_flight
    )
    found = await drift(instance, resources.open_store(), options)
    loud = [item for item in found.apps if item.kind not in _QUIET or (drafts and item.kind != "unreadable")]
    quiet = [item for item in found.apps if item not in loud and item.kind != "unreadable"]
    unread = [item for item in found.apps if item.kind == "unreadable"]
    values = (
        Value(name="drifted", value=len({item.id for item in loud}), unit="apps", fail=0),
        Value(name="drafts", value=len({item.id for item in quiet}), unit="apps"),
        Value(name="compared", value=found.compared, unit="apps"),
    )
    excerpt = "; ".join(_line(item) for item in [*loud, *quiet][:10])
    if loud:
        return Fail(text=_text(found, loud), values=values, excerpt=excerpt, hint=found.hint)
    if unread:
        text = f"{len(unread)} of {counted(found.compared, 'app')} could not be compared: {unread[0].what}"
        return Inconclusive(text=text, values=values)
    if quiet:
        return Warn(
            text=f"{counted(len(quiet), 'app is', 'apps are')} new, or have edited drafts or other settings",
            values=values,
            excerpt=excerpt,
        )
    return Pass(
        text=f"{counted(found.compared, 'app looks', 'apps look')} like snapshot {found.commit[:10]}", values=values
    )


def _text(found: Drift, loud: list[AppDrift]) -> str:
    apps = len({item.id for item in loud})
    return (
        f"{apps} of {counted(found.compared, 'app')} drifted from snapshot {found.commit[:10]}; first: {_line(loud[0])}"
    )


def _line(item: AppDrift) -> str:
    who = f" by {item.who}" if item.who else ""
    when = f" at {item.when}" if item.when else ""
    return f"{item.name}: {item.kind}{who}{when} ({item.what})"
