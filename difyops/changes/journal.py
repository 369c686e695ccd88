"""The journal of changes: one ledger event a line, on disk before what it announces is done.

    change.begun   what is to be done        change.step   about | did | note        change.ended   how it ended

A change is never stored as such: ``ChangeRecord`` is folded from its lines. Secrets are not written here; documents
that may hold some lie in private files until the change is closed.
"""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from difyops.changes.private_files import PrivateFiles
from difyops.clock import Clock
from difyops.errors import Refused, StateAway, StoreError
from difyops.ledger import AuditEntry, Event, Ledger, this_host

BEGUN, STEP, ENDED = "change.begun", "change.step", "change.ended"
ABOUT, DID, NOTE = "about", "did", "note"
HELD = "held"
"""The fact that names the documents held for a change, where several machines share the journal."""
_MOST = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeRecord:
    """One change as its lines tell it.

    ``kind`` names the room's kind (snapshot.rollback, app.api, ...), ``subject`` what is changed (``app/ID``),
    ``label`` the same for people. ``effect`` is the last effect that was begun, ``effect_done`` whether it came back.
    ``state`` is open, done, undone, overtaken, gone, or another word of how it ended. A kind whose changes are long
    notes its own word for how far one is as ``phase``.
    """

    id: str
    kind: str
    subject: str
    context: str
    url: str
    label: str
    began: datetime
    actor: str
    host: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)
    memo: Mapping[str, Any] = field(default_factory=dict)
    effect: str = ""
    effect_done: bool = True
    state: str = "open"
    ended: datetime | None = None

    @property
    def is_open(self) -> bool:
        """Say whether it was neither brought to its end nor undone."""
        return self.ended is None

    @property
    def waits(self) -> str:
        """Return the command that tells what it waits for, where a person is to decide; blank where it was cut off."""
        return str(self.memo.get("waits") or "") if self.is_open else ""

    @property
    def phase(self) -> str:
        """Return how far it came, in words."""
        if self.waits:
            return "waits for a decision"
        if named := self.memo.get("phase"):
            return str(named) if self.is_open else self.state
        if not self.effect:
            return "nothing was changed yet"
        return f"after {self.effect!r}" if self.effect_done else f"in the middle of {self.effect!r}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Journal:
    """The journal of one context. ``state``: the state folder; ``actor``: who is at work, for the audit trail."""

    ledger: Ledger
    state: Path
    context: str
    clock: Clock
    actor: str

    def begin(self, kind: str, *, subject: str, label: str, url: str, facts: Mapping[str, Any]) -> ChangeRecord:
        """Write the first line of a change and return it."""
        identity = secrets.token_hex(6)
        data = {"change": identity, "kind": kind, "label": label, "url": url, "actor": self.actor, "facts": dict(facts)}
        self._append(BEGUN, subject, {**data, "host": this_host()})
        return self.read(identity, subject)

    def write(self, record: ChangeRecord, entry: str, name: str = "", **facts: Any) -> None:
        """Write one line; it is on disk when this returns."""
        self._append(STEP, record.subject, {"change": record.id, "entry": entry, "name": name, **facts})

    def did(
        self, record: ChangeRecord, name: str, action: str | None, facts: Mapping[str, Any], outcome: str = "done"
    ) -> None:
        """Write that an effect came back, and its line of the audit trail where it has an ``action``."""
        line = self._event(STEP, record.subject, {"change": record.id, "entry": DID, "name": name})
        entry = [self._entry(record, action, outcome, facts)] if action else []
        self.ledger.record([line, *entry])

    def take_in(self, lines: Iterable[Event]) -> None:
        """Write the lines of a change that another journal told until now, all or none, with their own dates."""
        self.ledger.append_all(lines)

    def end(self, record: ChangeRecord, state: str) -> None:
        """Write how a change ended, and remove what was held for it."""
        try:
            self.ledger.record([self._event(ENDED, record.subject, {"change": record.id, "state": state})])
        except StateAway:
            self.files(record.id).clear()  # the line is kept, and comes in: nobody will look for them
            raise
        self.files(record.id).clear()

    def audit(self, record: ChangeRecord, action: str, outcome: str, facts: Mapping[str, Any]) -> None:
        """Write one line of the audit trail; no secrets."""
        self.ledger.audit(self._entry(record, action, outcome, facts))

    def trail(self, record: ChangeRecord) -> list[AuditEntry]:
        """Return the lines of the audit trail that a change wrote, oldest first."""
        entries = self.ledger.audit_trail(subject=_audited(record.subject), limit=_MOST)
        return [entry for entry in entries if entry.data.get("change") == record.id]

    def read(self, identity: str, subject: str) -> ChangeRecord:
        """Return one change as it is now.

        Raises:
            StoreError: its lines are not in the ledger.
        """
        found = folded(self.ledger.events("change.*", subject=subject, limit=_MOST)).get(identity)
        if found is None:
            raise StoreError(f"The journal of change {identity} is not in the ledger {self.ledger.place}.")
        return found

    def all(self, *, since: datetime | None = None, limit: int = 50, everywhere: bool = False) -> list[ChangeRecord]:
        """Return the newest changes of this context (or of all), oldest first."""
        context = None if everywhere else self.context
        begun = self.ledger.events(BEGUN, since=since, context=context, limit=limit)
        return [self.read(str(event.data["change"]), event.subject) for event in begun]

    def open(self, *, everywhere: bool = False) -> list[ChangeRecord]:
        """Return the changes that did not end, oldest first: cut off, or waiting for a decision."""
        context = None if everywhere else self.context
        ended = {event.data.get("change") for event in self.ledger.events(ENDED, context=context, limit=_MOST)}
        begun = self.ledger.events(BEGUN, context=context, limit=_MOST)
        return [
            self.read(str(event.data["change"]), event.subject)
            for event in begun
            if event.data.get("change") not in ended
        ]

    def refuse_open(self, subject: str) -> None:
        """Refuse a new change of ``subject`` while another one of it is open, under whatever context name.

        Raises:
            Refused: it names that one, and how to end it or what decides it.
        """
        found = folded(self.ledger.events("change.*", subject=subject, limit=_MOST)).values()
        for record in found:
            if not record.is_open:
                continue
            where = f" on {record.host}" if record.host and self.ledger.is_shared else ""
            begun = f"A {record.kind} of {record.label!r} begun{where} at {record.began:%Y-%m-%dT%H:%M:%SZ}"
            if record.waits:
                raise Refused(f"{begun} waits for a decision; until then nothing else is begun.", hint=record.waits)
            raise Refused(
                f"{begun} was cut off ({record.phase}).",
                hint=f"difyops changes finish {record.id} -c {record.context} (or undo instead of finish)",
            )

    @contextlib.contextmanager
    def lock(self, subject: str, *, holding: str) -> Iterator[None]:
        """Hold the lock of one subject, against everybody who shares the ledger.

        Raises:
            LockHeld: another process works on it.
        """
        with self.ledger.lock(self._lock_file(subject), holding=holding):
            yield

    def is_worked_on(self, subject: str) -> bool:
        """Say whether somebody holds the lock of a subject now, where that can be asked without taking it."""
        return self.ledger.is_shared and self.ledger.is_held(self._lock_file(subject))

    def _lock_file(self, subject: str) -> Path:
        return self.state / "changes" / "locks" / f"{subject.replace('/', '_')}.lock"

    def refuse_held_elsewhere(self, record: ChangeRecord) -> None:
        """Refuse to end a change here that another machine holds documents for: without them it cannot be ended.

        Raises:
            Refused: it names the machine and the folder.
        """
        files = self.files(record.id)
        missing = [name for name in record.memo.get(HELD) or () if not files.holds(name)]
        if missing and self.ledger.is_shared:
            raise Refused(
                f"The {record.kind} of {record.label!r} was begun on {record.host}, and what it holds "
                f"({', '.join(missing)}) lies there: it can be ended only there.",
                hint=f"On {record.host}: difyops changes finish {record.id} (or bring {files.folder} from there here)",
            )

    def files(self, identity: str) -> PrivateFiles:
        """Return the private files of a change."""
        return PrivateFiles(self.state / "changes" / identity)

    def kept_place(self, identity: str, name: str) -> Path:
        """Return where a document goes that outlives its change: somebody's draft that could not be put back."""
        folder, number = self.state / "kept", 1
        while (place := folder / f"{identity}-{name}-{number}.json").exists():
            number += 1
        return place

    def _append(self, kind: str, subject: str, data: Mapping[str, Any]) -> None:
        self.ledger.append(self._event(kind, subject, data))

    def _event(self, kind: str, subject: str, data: Mapping[str, Any]) -> Event:
        return Event(kind=kind, subject=subject, when=self.clock.now(), context=self.context, data=dict(data))

    def _entry(self, record: ChangeRecord, action: str, outcome: str, facts: Mapping[str, Any]) -> AuditEntry:
        return AuditEntry(
            actor=self.actor,
            action=action,
            subject=_audited(record.subject),
            when=self.clock.now(),
            context=record.context,
            outcome=outcome,
            data={"change": record.id, **facts},
        )


def folded(events: Iterable[Event]) -> dict[str, ChangeRecord]:
    """Return the changes that these lines tell, by id. A line of a kind's own counts for its ``memo`` alone."""
    found: dict[str, ChangeRecord] = {}
    for event in events:
        data = event.data
        identity = str(data.get("change"))
        if event.kind == BEGUN:
            found[identity] = _begun(identity, event)
        elif identity in found:
            found[identity] = _advanced(found[identity], event)
    return found


def _begun(identity: str, event: Event) -> ChangeRecord:
    data = event.data
    return ChangeRecord(
        id=identity,
        kind=str(data.get("kind")),
        subject=event.subject,
        context=event.context,
        url=str(data.get("url") or ""),
        label=str(data.get("label") or ""),
        began=event.when,
        actor=str(data.get("actor") or ""),
        host=str(data.get("host") or ""),
        facts=_mapping(data.get("facts")),
    )


def _advanced(record: ChangeRecord, event: Event) -> ChangeRecord:
    data = event.data
    if event.kind == ENDED:
        return replace(record, state=str(data.get("state")), ended=event.when)
    match data.get("entry"):
        case "about":
            return replace(record, effect=str(data.get("name")), effect_done=False)
        case "did":
            return replace(record, effect=str(data.get("name")), effect_done=True)
        case _:
            return replace(record, memo={**record.memo, **_mapping(data.get("memo"))})


def _audited(subject: str) -> str:
    """Return a subject as the audit trail names it: an app by its id alone."""
    return subject.partition("/")[2] or subject


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}
