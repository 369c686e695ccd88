"""Switching one thing on or off, as a change: an app's API or web page, its triggers, a provider's current credential.

Each is looked at, written to the journal, switched, read back. After a kill it is finished or put back; what somebody
else switched meanwhile is left alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from difyops.api.instance import Instance
from difyops.api.model import App, Trigger
from difyops.changes import Change, Ended
from difyops.errors import DifyopsError, ServerFault, Unreachable
from difyops.workspace import Workspace

JsonObject = dict[str, Any]


class Switch(Protocol):
    """One thing that has a state, by the facts in the journal of its change."""

    async def read(self, instance: Instance, facts: JsonObject) -> Any:
        """Return the state that it is in now."""
        ...

    async def write(self, instance: Instance, facts: JsonObject, state: Any) -> None:
        """Put it into a state."""
        ...


class AppSwitch:
    """The service API of an app, or its web page (``site``)."""

    async def read(self, instance: Instance, facts: JsonObject) -> Any:
        """Return whether it is on."""
        app = await instance.console.app(facts["app_id"])
        return app.enable_site if facts["site"] else app.enable_api

    async def write(self, instance: Instance, facts: JsonObject, state: Any) -> None:
        """Switch it."""
        console = instance.console
        await (console.set_site if facts["site"] else console.set_api)(facts["app_id"], enabled=bool(state))


class TriggerSwitch:
    """Some triggers of an app: their statuses by trigger id."""

    async def read(self, instance: Instance, facts: JsonObject) -> Any:
        """Return the statuses of the triggers of this change."""
        wanted = facts["wanted"]
        return {item.id: item.status for item in await instance.console.triggers(facts["app_id"]) if item.id in wanted}

    async def write(self, instance: Instance, facts: JsonObject, state: Any) -> None:
        """Switch those that have another status."""
        now = await self.read(instance, facts)
        for trigger, status in state.items():
            if trigger in now and now[trigger] != status:
                await instance.console.set_trigger(facts["app_id"], trigger, enabled=status == "enabled")


_APP, _TRIGGERS = AppSwitch(), TriggerSwitch()
KINDS: dict[str, Switch] = {
    "app.enable": _APP,
    "app.disable": _APP,
    "trigger.enabled": _TRIGGERS,
    "trigger.disabled": _TRIGGERS,
}


@dataclass(frozen=True, slots=True)
class Switches:
    """The recovery of one kind of switch."""

    switch: Switch

    async def tell(self, instance: Instance, change: Change) -> str:
        """Return one sentence on the state that it is in."""
        facts = dict(change.record.facts)
        now = await self.switch.read(instance, facts)
        return "it is switched" if now == facts["wanted"] else "it is not switched"

    async def finish(self, instance: Instance, change: Change) -> Ended:
        """Switch it, unless it is switched already."""
        facts = dict(change.record.facts)
        if await self.switch.read(instance, facts) != facts["wanted"]:
            await change.effect("switch", lambda: self.switch.write(instance, facts, facts["wanted"]), audited=False)
            await _read_back(self.switch, instance, change)
        return Ended(state="finished", text="it is switched (read back)")

    async def undo(self, instance: Instance, change: Change) -> Ended:
        """Put back what it was before, where it is still what this change made it."""
        facts = dict(change.record.facts)
        now = await self.switch.read(instance, facts)
        if now == facts["before"]:
            return Ended(state="undone", text="it is what it was before")
        if now != facts["wanted"]:
            return Ended(state="overtaken", text="somebody switched it meanwhile; it is left alone")
        await change.effect("switch back", lambda: self.switch.write(instance, facts, facts["before"]), audited=False)
        return Ended(state="undone", text="it is what it was before")


async def switch_app(workspace: Workspace, app: App, *, site: bool, on: bool) -> bool:
    """Switch an app's API or web page; ``False`` when it was so already.

    Raises:
        LockHeld, Refused: another change of the app is under way or was cut off. ServerFault: the server said yes and
        did not. DifyopsError: a call failed; the change stays open where nobody knows whether it was done.
    """
    facts = {"app_id": app.id, "site": site, "wanted": on}
    return await _switched(workspace, f"app.{'enable' if on else 'disable'}", app, facts, site=site)


async def switch_triggers(workspace: Workspace, app: App, triggers: Sequence[Trigger], *, on: bool) -> bool:
    """Switch triggers of an app; ``False`` when they were so already. Raises as ``switch_app`` does.

    Enabling a schedule can start a run that it missed, at once (seen on 1.15).
    """
    word = "enabled" if on else "disabled"
    facts = {"app_id": app.id, "wanted": {item.id: word for item in triggers}}
    return await _switched(workspace, f"trigger.{word}", app, facts, trigger=", ".join(item.id for item in triggers))


async def _switched(workspace: Workspace, kind: str, app: App, facts: JsonObject, **told: Any) -> bool:
    instance, journal, switch = workspace.instance, workspace.journal, KINDS[kind]
    subject = f"app/{app.id}"
    with journal.lock(subject, holding=f"a change of {app.name!r}"):
        journal.refuse_open(subject)
        before = await switch.read(instance, facts)
        if before == facts["wanted"]:
            return False
        url = instance.context.url
        change = Change.begin(
            journal, kind, subject=subject, label=app.name, url=url, facts={**facts, "before": before}
        )
        try:
            await change.effect("switch", lambda: switch.write(instance, facts, facts["wanted"]), audited=False)
            await _read_back(switch, instance, change)
        except DifyopsError as error:
            raise await _failed(switch, instance, change, error) from error
        change.close("done", **told)
    return True


async def _read_back(switch: Switch, instance: Instance, change: Change) -> None:
    facts = dict(change.record.facts)
    if await switch.read(instance, facts) != facts["wanted"]:
        raise ServerFault(f"{change.record.kind} of {change.record.label!r}: it is not switched; the server said yes.")


async def _failed(switch: Switch, instance: Instance, change: Change, error: DifyopsError) -> DifyopsError:
    """Close the change where it is known how it stands, and return the error to raise."""
    hint = f"difyops changes show {change.id} tells the state; difyops changes finish {change.id} (or undo) ends it."
    try:
        now = await switch.read(instance, dict(change.record.facts))
    except DifyopsError:
        return DifyopsError(f"{error.message} Whether it was switched is unknown.", hint=hint, retryable=True)
    if isinstance(error, Unreachable) and now == change.record.facts["before"]:
        return DifyopsError(f"{error.message} Whether the server acts on it is unknown.", hint=hint, retryable=True)
    change.close("done" if now == change.record.facts["wanted"] else "failed", error=error.code)
    return error
