"""What was cut off, whatever kind it is: tell its state, bring it to its end, take it back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from difyops.api.instance import Instance
from difyops.changes.change import Change, Checkpoint, no_checkpoint
from difyops.changes.journal import ChangeRecord, Journal
from difyops.errors import DifyopsError, NotFound, NotSupported, PartialFailure, Refused, SelectorError


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How a change ended. ``state``: finished, undone, overtaken (somebody changed the same meanwhile), gone.

    ``text`` says what is true now; ``missed``: scheduled runs that did not come meanwhile; ``data`` is the kind's own
    (proofs, ids). ``state`` is blank where a change went on as far as it can now and waits: it stays open.
    """

    state: str
    text: str
    warnings: tuple[str, ...] = ()
    missed: tuple[str, ...] = ()
    data: Mapping[str, Any] | None = None

    @property
    def error(self) -> DifyopsError | None:
        """Return an error where somebody else's change stands in place of what was asked for, or a run did not come."""
        if self.missed and self.state != "overtaken":
            return PartialFailure(f"{self.text}, but {self.missed[0]}.")
        return Refused(self.text) if self.state == "overtaken" else None


class Recoverable(Protocol):
    """What a kind of change offers for recovery. Each begins by looking at the instance as it is."""

    async def tell(self, instance: Instance, change: Change) -> str:
        """Return one sentence on the state that the instance is in now."""
        ...

    async def finish(self, instance: Instance, change: Change) -> Ended:
        """Bring the change to its end, and prove it."""
        ...

    async def undo(self, instance: Instance, change: Change) -> Ended:
        """Put back what is still ours."""
        ...


@runtime_checkable
class Waiting(Recoverable, Protocol):
    """A kind whose changes may rest for long, for a time or for a person, without being cut off."""

    def is_cut_off(self, change: Change, *, to_end: bool) -> bool:
        """Say whether an open change stopped where something was to be done, and nobody works on it now.

        ``to_end``: it would be ended together with others; one that a person must look at by itself is left out.
        """
        ...


Kinds = Mapping[str, Recoverable]


@dataclass(frozen=True, slots=True, kw_only=True)
class Recovery:
    """The recovery of one context. ``kinds``: by the kind's name."""

    journal: Journal
    kinds: Kinds

    def chosen(self, selector: str | None, *, to_end: bool = False) -> list[ChangeRecord]:
        """Return the open changes that ``selector`` means: an id or its beginning, an app id or name.

        ``None``: all that were cut off, ``to_end`` without those that a person must look at one by one.

        Raises:
            SelectorError: there is none.
        """
        records = self.journal.open()
        if selector is None:
            return [record for record in records if self._is_cut_off(record, to_end=to_end)]
        found = [
            record
            for record in records
            if record.id.startswith(selector) or selector in (record.label, record.subject.partition("/")[2])
        ]
        if not found:
            raise SelectorError(f"No change of {selector!r} was cut off.", hint="difyops changes list")
        return found

    async def tell(self, instance: Instance, record: ChangeRecord) -> str:
        """Return what state the instance is in."""
        try:
            return await self._kind(record).tell(instance, Change(self.journal, record))
        except NotFound:
            return "it was deleted; undo removes this record"

    async def finish(self, instance: Instance, record: ChangeRecord, checkpoint: Checkpoint = no_checkpoint) -> Ended:
        """Bring a change to its end and close it; where the world moved on, that is said, and it is closed too.

        Raises:
            DifyopsError: a call or the proof failed; the change stays open.
        """
        return await self._end(instance, record, "finish", checkpoint)

    async def undo(self, instance: Instance, record: ChangeRecord, checkpoint: Checkpoint = no_checkpoint) -> Ended:
        """Put back what is still ours, and close the change.

        Raises:
            DifyopsError: a call failed; the change stays open, and this can be done again.
        """
        return await self._end(instance, record, "undo", checkpoint)

    async def _end(self, instance: Instance, record: ChangeRecord, way: str, checkpoint: Checkpoint) -> Ended:
        with self.journal.lock(record.subject, holding=f"{record.kind} of {record.label!r}"):
            now = self.journal.read(record.id, record.subject)
            if not now.is_open:
                raise Refused(f"The {record.kind} of {record.label!r} was ended by somebody else meanwhile.")
            self.journal.refuse_held_elsewhere(now)
            change = Change(self.journal, now, checkpoint)
            kind = self._kind(record)
            try:
                ended = await (kind.finish if way == "finish" else kind.undo)(instance, change)
            except NotFound as error:
                if error.server_code not in ("app_not_found", "agent_not_found_error"):
                    raise
                ended = Ended(state="gone", text="the app was deleted; nothing to put back")
            if ended.state and self.journal.read(record.id, record.subject).is_open:
                change.close(ended.state)
            return ended

    def _is_cut_off(self, record: ChangeRecord, *, to_end: bool) -> bool:
        kind = self.kinds.get(record.kind)
        return not isinstance(kind, Waiting) or kind.is_cut_off(Change(self.journal, record), to_end=to_end)

    def _kind(self, record: ChangeRecord) -> Recoverable:
        kind = self.kinds.get(record.kind)
        if kind is None:
            raise NotSupported(f"This difyops does not know how to end a change of kind {record.kind!r}.")
        return kind
