"""One switch under way, and its recovery."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

from difyops.api.instance import Instance
from difyops.changes import Change, Ended
from difyops.changes.change import Checkpoint, no_checkpoint
from difyops.errors import DifyopsError, Refused, ServerFault, Unreachable
from difyops.workspace import Workspace

JsonObject = dict[str, Any]
_ANY = object()


class Switch(Protocol):
    """One thing that has a state, by the facts in the journal of its change."""

    async def read(self, instance: Instance, facts: JsonObject) -> Any:
        """Return the state that it is in now."""
        ...

    async def write(self, instance: Instance, facts: JsonObject, state: Any) -> None:
        """Put it into a state."""
        ...

    async def confirm(self, instance: Instance, facts: JsonObject, state: Any) -> None:
        """Do what is left to do where it is in the state, but the answer to the write was lost; nothing for most."""
        ...

    async def reachable(self, instance: Instance, facts: JsonObject, state: Any) -> Any:
        """Return how much of ``state`` it can still be put into; ``None``: nothing, for what it names is gone."""
        ...


@dataclass(frozen=True, slots=True)
class Switches:
    """The recovery of one kind of switch."""

    switch: Switch

    async def tell(self, instance: Instance, change: Change) -> str:
        """Return one sentence on the state that it is in."""
        facts = dict(change.record.facts)
        now = await self.switch.read(instance, facts)
        if now == facts["wanted"]:
            return "it is switched"
        return "it is not switched" if now == facts["before"] else "it is switched in part, or by somebody else"

    async def finish(self, instance: Instance, change: Change) -> Ended:
        """Switch it, unless it is switched already; what somebody put into a third state is left alone."""
        return await self._put(instance, change, "wanted", "switch")

    async def undo(self, instance: Instance, change: Change) -> Ended:
        """Put back what it was before, where it is still what this change made it."""
        return await self._put(instance, change, "before", "switch back")

    async def _put(self, instance: Instance, change: Change, aim: str, effect: str) -> Ended:
        facts, switch = dict(change.record.facts), self.switch
        now, target = await switch.read(instance, facts), await switch.reachable(instance, facts, facts[aim])
        state, text = ("finished", "it is switched") if aim == "wanted" else ("undone", "it is what it was before")
        if target == now:
            if not change.record.effect_done:  # whether all of it came through is not known
                await change.effect(f"{effect} again", lambda: switch.confirm(instance, facts, target), audited=False)
                await _read_back(switch, instance, change, target)
            return Ended(state=state, text=f"{text} (read back)")
        if _is_somebodys(now, facts) or (aim == "wanted" and _was_put_back(change, now)):
            return Ended(state="overtaken", text="somebody switched it meanwhile; it is left alone")
        if target is None:
            return Ended(state="gone", text="what it was to be switched to was deleted; it is left as it is")
        await change.effect(effect, lambda: switch.write(instance, facts, target), audited=False)
        await _read_back(switch, instance, change, target)
        return Ended(state=state, text=f"{text} (read back)")


async def switched(
    workspace: Workspace,
    switch: Switch,
    kind: str,
    subject: str,
    label: str,
    facts: JsonObject,
    *,
    expected: Any = _ANY,
    checkpoint: Checkpoint = no_checkpoint,
    **told: Any,
) -> bool:
    """Put ``subject`` into the state ``facts["wanted"]``; ``False`` when it was in it already.

    ``expected``: the state that the caller saw. ``told``: what the line of the audit trail says.

    Raises:
        LockHeld: another process works on it. Refused: a change of it was cut off, or it is in another state than
        ``expected``. ServerFault: the server said yes and did not. DifyopsError: a call failed; the change stays open
        where nobody knows whether it was done.
    """
    instance, journal = workspace.instance, workspace.journal
    with journal.lock(subject, holding=f"a change of {label!r}"):
        journal.refuse_open(subject)
        before = await switch.read(instance, facts)
        if before == facts["wanted"]:
            return False
        if expected is not _ANY and before != expected:
            raise Refused(f"{label} was switched by somebody else meanwhile; it is left alone.")
        change = Change.begin(
            journal,
            kind,
            subject=subject,
            label=label,
            url=instance.context.url,
            facts={**facts, "before": before},
            checkpoint=checkpoint,
        )
        try:
            await change.effect("switch", lambda: switch.write(instance, facts, facts["wanted"]), audited=False)
            await _read_back(switch, instance, change, facts["wanted"])
        except DifyopsError as error:
            if failure := await _failed(switch, instance, change, error):
                raise failure from error
        change.close("done", **told)
    return True


def _is_somebodys(now: Any, facts: JsonObject) -> bool:
    """Say whether neither we nor time put it into this state: each part is what it was, what we want, or gone."""
    before, wanted = facts["before"], facts["wanted"]
    if isinstance(now, dict):
        return any(state not in (before.get(part), wanted.get(part)) for part, state in now.items())
    return now not in (before, wanted, None)


def _was_put_back(change: Change, now: Any) -> bool:
    """Say whether somebody switched it back after this change had done all that it was to do."""
    record = change.record
    return record.effect == "switch" and record.effect_done and now is not None and now != record.facts["wanted"]


async def _read_back(switch: Switch, instance: Instance, change: Change, wanted: Any) -> None:
    facts = dict(change.record.facts)
    if await switch.read(instance, facts) != wanted:
        raise ServerFault(f"{change.record.kind} of {change.record.label!r}: it is not switched; the server said yes.")


async def _failed(switch: Switch, instance: Instance, change: Change, error: DifyopsError) -> DifyopsError | None:
    """Close the change where it failed for certain; return the error to raise, ``None``: it is switched (read back)."""
    hint = f"difyops changes show {change.id} tells the state; difyops changes finish {change.id} (or undo) ends it."
    facts = dict(change.record.facts)
    try:
        now = await switch.read(instance, facts)
    except DifyopsError:
        return DifyopsError(f"{error.message} Whether it was switched is unknown.", hint=hint, retryable=True)
    if isinstance(error, Unreachable) and now == facts["before"]:
        return DifyopsError(f"{error.message} Whether the server acts on it is unknown.", hint=hint, retryable=True)
    if now not in (facts["before"], facts["wanted"]) and not _is_somebodys(now, facts):
        return DifyopsError(f"{error.message} A part of it is switched.", hint=hint, retryable=True)
    if now == facts["wanted"]:
        try:
            await switch.confirm(instance, facts, now)
        except DifyopsError as second:
            said = f"{error.message} It is switched; whether it is used is unknown: {second.message}"
            return DifyopsError(said, hint=hint, retryable=True)
        change.say(f"{change.record.label!r}: {error.message} It is switched all the same (read back).")
        return None
    change.close("failed", error=error.code)
    return error
