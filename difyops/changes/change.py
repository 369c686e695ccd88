"""One change under way. Whatever it does outside goes through ``effect``."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from difyops.changes.journal import ABOUT, HELD, NOTE, ChangeRecord, Journal
from difyops.errors import DifyopsError, LockLost, StateAway, StoreError
from difyops.sealing.kept import keep_body

T = TypeVar("T")
Checkpoint = Callable[[str], None]
log = logging.getLogger("difyops.changes")


def no_checkpoint(name: str) -> None:
    """Do nothing at a numbered step; tests kill the process there."""


def cut_off(error: DifyopsError, what: str, hint: str) -> DifyopsError | None:
    """Return the error of a change that cannot go on and cannot go back now, for its journal cannot be written.

    ``None``: it is another error. The change stays open; what was done is in the journal, or is brought into it.
    """
    if not isinstance(error, StateAway | LockLost):
        return None
    return type(error)(f"{what} was cut off: {error.message}", hint=f"{error.hint} {hint}", retryable=error.retryable)


@dataclass(slots=True)
class Change:
    """A change and its journal. ``checkpoint`` is called before and after each effect."""

    journal: Journal
    record: ChangeRecord
    checkpoint: Checkpoint = no_checkpoint

    @classmethod
    def begin(
        cls,
        journal: Journal,
        kind: str,
        *,
        subject: str,
        label: str,
        url: str,
        facts: Mapping[str, Any] | None = None,
        checkpoint: Checkpoint = no_checkpoint,
    ) -> Change:
        """Begin a change. The caller holds the lock of ``subject``.

        Raises:
            Refused: another change of the subject was cut off.
        """
        journal.refuse_open(subject)
        return cls(journal, journal.begin(kind, subject=subject, label=label, url=url, facts=facts or {}), checkpoint)

    @property
    def id(self) -> str:
        """Return its id: twelve hex digits."""
        return self.record.id

    def memo(self, name: str) -> Any:
        """Return what was noted under ``name``, ``None`` when nothing was."""
        return self.record.memo.get(name)

    def note(self, **facts: Any) -> None:
        """Write facts without secrets down, unless they are known already."""
        if any(name not in self.record.memo or self.record.memo[name] != fact for name, fact in facts.items()):
            self.journal.write(self.record, NOTE, memo=facts)
            self.record = replace(self.record, memo={**self.record.memo, **facts})

    def keep(self, name: str, document: dict[str, Any]) -> None:
        """Hold a document that may carry secrets, until the change is closed."""
        self._note_held(name, is_held=True)
        self.journal.files(self.id).keep(name, document)

    def kept(self, name: str) -> dict[str, Any] | None:
        """Return a held document, ``None`` when there is none."""
        return self.journal.files(self.id).read(name)

    def drop(self, name: str) -> None:
        """Let go of a held document."""
        self.journal.files(self.id).drop(name)
        self._note_held(name, is_held=False)

    def set_aside(self, name: str, title: str) -> None:
        """Move a held document to where it outlives the change, and note its name and place."""
        place, files = self.journal.kept_place(self.id, name), self.journal.files(self.id)
        held = files.read(name)
        if held is not None:
            app_id = self.record.facts.get("app_id") or self.memo("app_id")
            keep_body(self.journal.state, place, {**held, "title": title, "app_id": app_id})
            files.drop(name)
            entry = {"name": place.stem, "title": title, "place": str(place)}
            self.note(set_aside=[*(self.memo("set_aside") or []), entry])
            self._note_held(name, is_held=False)

    def _note_held(self, name: str, *, is_held: bool) -> None:
        """Note which documents this machine holds, where others could try to end the change without them."""
        if self.journal.ledger.is_shared:
            others = [each for each in self.memo(HELD) or () if each != name]
            self.note(**{HELD: [*others, name] if is_held else others})

    async def effect(self, name: str, work: Callable[[], Awaitable[T]], *, audited: bool = True, **facts: Any) -> T:
        """Change something outside: journal line before it, audit line after it with ``facts`` (no secrets).

        ``audited``: a change of one effect has one audit line, that of its end.
        """
        self.journal.write(self.record, ABOUT, name)
        self.record = replace(self.record, effect=name, effect_done=False)
        self.checkpoint(f"before {name}")
        result = await work()
        self.checkpoint(f"after {name}")
        action = f"{self.record.kind}.{name.replace(' ', '_')}" if audited else None
        self.journal.did(self.record, name, action, facts)
        self.record = replace(self.record, effect=name, effect_done=True)
        return result

    def found_done(self, name: str, **facts: Any) -> None:
        """Write that an effect of a process that was cut off is there already."""
        action = f"{self.record.kind}.{name.replace(' ', '_')}"
        self.journal.did(self.record, name, action, facts, outcome="found done")
        self.record = replace(self.record, effect=name, effect_done=True)

    def audit(self, action: str, outcome: str, **facts: Any) -> None:
        """Write one line of the audit trail. What was done stays done when it cannot be written: that is said."""
        try:
            self.journal.audit(self.record, action, outcome, facts)
        except StoreError as error:
            log.warning("%s (%s) could not be written into the audit log: %s", action, outcome, error.message)

    def say(self, text: str) -> None:
        """Tell the person who waits what is going on."""
        log.warning("%s", text)

    def close(self, state: str, **facts: Any) -> ChangeRecord:
        """End the change: one line in journal and audit trail, and everything held for it is removed."""
        self.audit(self.record.kind, state, **facts)
        self.journal.end(self.record, state)
        self.record = replace(self.record, state=state, ended=self.journal.clock.now())
        return self.record
