"""``snapshot.create``: keep what there is before anything is changed."""

from __future__ import annotations

from difyops.runbook.resources import Resources
from difyops.runbook.result import Acted, Planned, Value
from difyops.snapshot.take import TakeOptions, take


async def plan(
    resources: Resources, *, apps: list[str] | None = None, tag: str | None = None, message: str = "taken by a runbook"
) -> Planned:
    """Take a snapshot of the apps (all without them) into the store. Changes nothing on the instance, needs no undo.

    A snapshot in which something could not be read fails the step and says what; the rest of it is kept.
    """
    instance = await resources.instance()
    options = TakeOptions(
        selectors=tuple(apps or ("all",)),
        tag=tag,
        message=message,
        limit=instance.context.max_in_flight,
        access=resources.access,
    )

    async def apply() -> Acted:
        taken = await take(instance, resources.make_store(), options, clock=resources.clock)
        if taken.error is not None:
            raise taken.error
        commit = (taken.commit or "")[:10]
        text = f"snapshot {commit} taken" if taken.changed else f"nothing changed since snapshot {commit}"
        return Acted(text=text, values=(Value(name="commit", value=commit),))

    what = ", ".join(apps) if apps else "all apps"
    return Planned(text=f"take a snapshot of {what} on {instance.name}", apply=apply, asks=False)
