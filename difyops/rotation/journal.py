"""Rotations in the journal of changes: each is one change of kind ``secret.rotate``, with marks of its own.

    change.begun   what is to be done            change.step   about | did | note, as every change has, and
    change.ended   done or undone                              failed | state | back | again, which only rotations have

A rotation is never stored as such: ``folded_rotations`` makes it from its lines. Secrets are not written here; a plan
that the ledger would have to censor (a secret that is an ordinary word) is refused, for it could not be read back.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from difyops.changes import Change, ChangeRecord, Journal
from difyops.changes.change import Checkpoint, no_checkpoint
from difyops.changes.journal import ABOUT, BEGUN, DID, ENDED, NOTE, STEP, folded
from difyops.clock import Clock, from_unix, iso
from difyops.counting import counted
from difyops.errors import LockHeld, Refused, SelectorError
from difyops.ledger import AuditEntry, Event, Ledger
from difyops.rotation.first_journal import first_events, take_over
from difyops.rotation.machine import Health, RotationAction, State, Used
from difyops.rotation.record import KIND, SUBJECT, PlannedRotation, Rotation, settings_of
from difyops.secret_text import scrub

FAILED, STATE, BACK, AGAIN = "failed", "state", "back", "again"
_MOST = 1_000_000
_YEAR_2001 = 1e9  # unix seconds; a noted duration is never that long
_SHORTEST_HIDDEN = 6  # ``scrub`` leaves shorter secrets alone
_WORDS = (
    *State, *RotationAction, *Used, *Health,
    ABOUT, DID, NOTE, FAILED, STATE, BACK, AGAIN, BEGUN, STEP, ENDED, KIND, "done", "undone",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class JournalLine:
    """One line of a rotation's history: when, what kind of line, the step or effect, the words."""

    when: datetime
    entry: str
    step: str
    text: str = ""


@dataclass(frozen=True, slots=True)
class RotationJournal:
    """The rotations of one context, in its journal of changes."""

    changes: Journal

    @property
    def ledger(self) -> Ledger:
        """Return where the lines are."""
        return self.changes.ledger

    @property
    def clock(self) -> Clock:
        """Return the clock by which they are dated."""
        return self.changes.clock

    def begin(self, planned: PlannedRotation, url: str, *, installation: str = "") -> Rotation:
        """Write the first line and return the rotation. ``installation``: whose state folder holds its values.

        Raises:
            Refused: a known secret is an ordinary word of the plan.
        """
        vocabulary = _vocabulary(planned, url, self.changes.context)
        if scrub(vocabulary) != vocabulary:
            raise Refused("A secret in use is an ordinary word that also stands in the plan; it cannot be kept secret.")
        facts = {
            "secret": planned.kind,
            "lock": planned.lock,
            "target": dict(planned.target),
            "settings": asdict(planned.settings),
            "installation": installation,
            "app_id": planned.target.get("app_id"),
        }
        subject = SUBJECT + planned.subject
        return rotation_of(self.changes.begin(KIND, subject=subject, label=planned.label, url=url, facts=facts))

    def change(self, rotation: Rotation, checkpoint: Checkpoint = no_checkpoint) -> Change:
        """Return the change of a rotation, to go on with it."""
        return Change(self.changes, rotation.record, checkpoint)

    def take_over(self, rotation: Rotation) -> None:
        """Bring a rotation that an older version began into this journal; the caller may act on it."""
        take_over(self.changes, rotation.id, rotation.subject)

    def take_over_all(self) -> None:
        """Bring every open rotation of an older version in, except those that somebody works on now."""
        for rotation in self.open():
            with contextlib.suppress(LockHeld), self.lock(rotation):
                self.take_over(rotation)

    def lock(self, rotation: Rotation) -> AbstractContextManager[None]:
        """Hold the lock of what a rotation works on.

        Raises:
            LockHeld: another process works on it.
        """
        path = lock_path(self.changes.state, rotation.url, rotation.lock)
        return self.ledger.lock(path, holding=f"the secrets of {rotation.lock}")

    def audit(self, rotation: Rotation) -> list[AuditEntry]:
        """Return a rotation's lines of the audit trail: who did what, with fingerprints."""
        former = self.ledger.audit_trail(subject=rotation.subject, limit=_MOST)
        first = [entry for entry in former if entry.data.get("rotation") == rotation.id]  # of an older version
        return [*first, *self.changes.trail(rotation.record)]

    def is_word(self, rotation: Rotation, text: str) -> bool:
        """Say whether ``text``, once known as a secret, would be hidden in lines that must be read back."""
        vocabulary = _vocabulary(rotation, rotation.url, self.changes.context)
        return len(text.strip()) >= _SHORTEST_HIDDEN and text in vocabulary

    def write(self, rotation: Rotation, entry: str, step: str = "", **facts: Any) -> None:
        """Write one line; it is on disk when this returns."""
        self.changes.write(rotation.record, entry, step, **facts)

    def times_begun(self, subject: str, url: str) -> int:
        """Return how often a secret of an instance was begun to be rotated."""
        return sum(event.kind == BEGUN and event.data.get("url") == url for event in self._lines(subject))

    def read(self, identity: str, subject: str) -> Rotation:
        """Return one rotation as it is now; ``subject`` is the secret's, or its change's."""
        return folded_rotations(self._lines(subject.removeprefix(SUBJECT)))[identity]

    def open(self) -> list[Rotation]:
        """Return the rotations that are not at their end, oldest first."""
        begun, ended = self._ends()
        found = [self.read(identity, _secret(event)) for identity, event in begun.items() if identity not in ended]
        return [rotation for rotation in found if rotation.is_open]

    def open_anywhere(self, subject: str, url: str) -> list[Rotation]:
        """Return the open rotations of one secret on one instance, whatever the context is called."""
        found = folded_rotations(self._lines(subject)).values()
        return [rotation for rotation in found if rotation.is_open and rotation.url == url]

    def all(self, *, limit: int = 50) -> list[Rotation]:
        """Return the newest ``limit`` rotations, oldest first."""
        begun, _ = self._ends()
        return [self.read(identity, _secret(event)) for identity, event in list(begun.items())[-limit:]]

    def finished(self) -> dict[str, datetime]:
        """Return when each subject was last rotated to the end, by subject; and by subject and ``r012345``, what names
        of new credentials end with: a subject may hold several, and only one of them is new then.
        """
        begun, ended = self._ends()
        found: dict[str, datetime] = {}
        for identity, event in ended.items():
            if identity in begun and event.data.get("state") == "done":
                subject = _secret(event)
                found |= dict.fromkeys((subject, f"{subject} r{identity[:6]}"), event.when)
        return found

    def suffixes(self, url: str) -> frozenset[str]:
        """Return the first six digits of ids: what the names of new credentials end with.

        Those of rotations of the instance at ``url``, and of all that ended: an open one that was begun under another
        address of the same instance is as strange as one of another machine, for its lock is another one.
        """
        begun, ended = self._ends(everywhere=True)
        known = [identity for identity, event in begun.items() if event.data.get("url") == url or identity in ended]
        return frozenset(identity[:6] for identity in known)

    def find(self, given: str) -> Rotation:
        """Return the one rotation whose id starts with ``given``.

        Raises:
            SelectorError: there is none, or several.
        """
        found = [event for identity, event in self._ends()[0].items() if given and identity.startswith(given)]
        if len(found) != 1:
            word = "No rotation has" if not found else counted(len(found), "rotation has", "rotations have")
            raise SelectorError(f"{word} the id {given!r}.", hint="difyops secret status --all")
        return self.read(str(found[0].data["change"]), _secret(found[0]))

    def lines(self, rotation: Rotation) -> list[JournalLine]:
        """Return the history of a rotation."""
        return [_line(event) for event in self._lines(rotation.subject) if event.data.get("change") == rotation.id]

    def _lines(self, subject: str) -> list[Event]:
        """Return the lines of all rotations of one secret, those of older versions first."""
        lines = self.ledger.events("change.*", subject=SUBJECT + subject, limit=_MOST)
        known = {event.data.get("change") for event in lines if event.kind == BEGUN}
        first = first_events(self.ledger, subject, None)
        return [*(event for event in first if event.data["change"] not in known), *lines]

    def _ends(self, *, everywhere: bool = False) -> tuple[dict[str, Event], dict[str, Event]]:
        """Return the first lines and the last lines of rotations, by id, oldest first."""
        context = None if everywhere else self.changes.context
        first = first_events(self.ledger, None, context)
        begun = {str(event.data["change"]): event for event in first if event.kind == BEGUN}
        ended = {str(event.data["change"]): event for event in first if _is_end(event)}
        for event in self.ledger.events(BEGUN, context=context, limit=_MOST):
            if event.data.get("kind") == KIND:
                begun[str(event.data["change"])] = event
        for event in self.ledger.events(ENDED, context=context, limit=_MOST):
            if event.subject.startswith(SUBJECT):
                ended[str(event.data["change"])] = event
        return begun, ended


def lock_path(state: Path, url: str, name: str) -> Path:
    """Return the lock of one secret's rotations on the instance at ``url``."""
    digest = hashlib.sha256(f"{url} {name}".encode()).hexdigest()[:24]
    return state / "rotation-locks" / f"{digest}.lock"


def _is_end(event: Event) -> bool:
    """Say whether a line of an older version tells the end; after a kill only the state before it may do so."""
    return event.kind == ENDED or event.data.get("state") in (State.DONE, State.ROLLED_BACK)


def _secret(event: Event) -> str:
    return event.subject.removeprefix(SUBJECT)


def _vocabulary(one: PlannedRotation | Rotation, url: str, context: str) -> str:
    """Return everything that a rotation's lines must tell, as one text."""
    fixed = [one.kind, one.subject, one.label, one.lock, url, context, dict(one.target), asdict(one.settings)]
    return json.dumps([fixed, _WORDS], ensure_ascii=False)


def folded_rotations(events: Iterable[Event]) -> dict[str, Rotation]:
    """Return the rotations that these lines tell of, by id."""
    lines = list(events)
    found = {identity: rotation_of(record) for identity, record in folded(lines).items()}
    for event in lines:
        identity = str(event.data.get("change", ""))
        if identity in found and event.kind == STEP:
            found[identity] = replace(_after(found[identity], event.data), updated=event.when)
    return {identity: _ended(rotation) for identity, rotation in found.items()}


def rotation_of(record: ChangeRecord) -> Rotation:
    """Return a rotation as its change tells it before any of its own marks."""
    return Rotation(record=record, settings=settings_of(record.facts["settings"]), updated=record.began)


def _ended(rotation: Rotation) -> Rotation:
    """Return a rotation with the end that its change came to."""
    if rotation.record.is_open:
        return rotation
    return _moved(rotation, State.DONE if rotation.record.state == "done" else State.ROLLED_BACK, "")


def _after(rotation: Rotation, data: Mapping[str, Any]) -> Rotation:
    match data.get("entry"):
        case "failed":
            return replace(
                rotation,
                failures=rotation.failures + 1,
                hopeless=bool(data.get("hopeless")),
                is_away=bool(data.get("away")),
                trouble=str(data.get("why") or ""),
            )
        case "state":
            return _moved(rotation, State(str(data["state"])), str(data.get("why") or ""))
        case "back":
            return replace(rotation, wants_back=str(data.get("why") or "asked"), hopeless=False, failures=0)
        case "again":
            settings = replace(rotation.settings, force=rotation.settings.force or bool(data.get("force")))
            state = rotation.parked_from if rotation.state is State.PARKED and rotation.parked_from else rotation.state
            return replace(rotation, state=state, settings=settings, hopeless=False, failures=0, parked_from=None)
        case _:
            return rotation


def _moved(rotation: Rotation, state: State, why: str) -> Rotation:
    if state is rotation.state:  # a step that is repeated went well: tries are counted anew
        return replace(rotation, failures=0, hopeless=False)
    keeps_trouble = state in (State.PARKED, State.ROLLING_BACK, State.ROLLED_BACK)
    return replace(
        rotation,
        state=state,
        failures=0,
        hopeless=False,
        parked_from=rotation.state if state is State.PARKED else None,
        wants_back=None if state in (State.PARKED, State.ROLLING_BACK) else rotation.wants_back,
        went_back=_reason(rotation, why) if state is State.ROLLING_BACK else rotation.went_back,
        was_asked=rotation.was_asked or (state is State.ROLLING_BACK and rotation.wants_back is not None),
        trouble=rotation.trouble if keeps_trouble else None,
    )


def _reason(rotation: Rotation, why: str) -> str:
    """Return why a rotation turns back: what the person said, else what went wrong."""
    if rotation.wants_back:
        return rotation.wants_back
    checks = [item for item in rotation.memo.get("probed") or () if item.get("health") == "sick"]
    sick = "; ".join(f"{item.get('app')}: {item.get('why')}" for item in checks)
    return rotation.trouble or (f"{why} ({sick})" if sick else why)


def _line(event: Event) -> JournalLine:
    data = event.data
    if event.kind != STEP:
        text = str(data.get("state") or data.get("label") or "")
        return JournalLine(when=event.when, entry=event.kind.removeprefix("change."), step="", text=text)
    words = data.get("why") or data.get("state") or ", ".join(f"{k}={_said(v)}" for k, v in (_memo(data)).items())
    return JournalLine(when=event.when, entry=str(data.get("entry")), step=str(data.get("name")), text=str(words))


def _memo(data: Mapping[str, Any]) -> Mapping[str, Any]:
    memo = data.get("memo")
    return memo if isinstance(memo, Mapping) else {}


def _said(fact: Any) -> str:
    """Return a noted fact for people: moments as moments, health checks and statuses without brackets."""
    match fact:
        case {"app": app, "health": health}:
            return f"{app} {health}" + (f" ({fact['why']})" if fact.get("why") else "")
        case dict():
            return ", ".join(f"{name} {_said(value)}" for name, value in fact.items())
        case list():
            return "; ".join(_said(item) for item in fact)
        case float() if fact > _YEAR_2001 and (moment := from_unix(fact)):
            return iso(moment)
        case _:
            return str(fact)
