"""The journal of rotations: one ledger event per line, on disk before what it announces is done.

    rotation.begun   what is to be done            rotation.step   about | did | failed | note | state | back | again
    rotation.ended   done or rolled back

A rotation is never stored as such: ``folded`` makes it from its lines. Secrets are not written here; a plan that the
ledger would have to censor (a secret that is an ordinary word) is refused, for it could not be read back.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from difyops.clock import Clock, from_unix, iso
from difyops.errors import Refused, SelectorError
from difyops.ledger import AuditEntry, Event, Ledger, this_host
from difyops.rotation.machine import Health, RotationAction, State, Used
from difyops.rotation.record import PlannedRotation, Rotation, settings_of
from difyops.secret_text import scrub

BEGUN, STEP, ENDED_KIND = "rotation.begun", "rotation.step", "rotation.ended"
ABOUT, DID, FAILED, NOTE, STATE, BACK, AGAIN = "about", "did", "failed", "note", "state", "back", "again"
_MOST = 1_000_000
_YEAR_2001 = 1e9  # unix seconds; a noted duration is never that long
_SHORTEST_HIDDEN = 6  # ``scrub`` leaves shorter secrets alone
_WORDS = (
    *State,
    *RotationAction,
    *Used,
    *Health,
    ABOUT,
    DID,
    FAILED,
    NOTE,
    STATE,
    BACK,
    AGAIN,
    BEGUN,
    STEP,
    ENDED_KIND,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class JournalLine:
    """One line of a rotation's history: when, what kind of line, the step or effect, the words."""

    when: Any
    entry: str
    step: str
    text: str = ""


@dataclass(slots=True)
class RotationJournal:
    """The journal of one context's rotations."""

    ledger: Ledger
    context: str
    clock: Clock

    def begin(self, identity: str, planned: PlannedRotation, url: str, *, installation: str = "") -> Rotation:
        """Write the first line and return the rotation. ``installation``: whose state folder holds its values.

        Raises:
            Refused: a known secret is an ordinary word of the plan.
        """
        data = {
            "rotation": identity,
            "kind": planned.kind,
            "label": planned.label,
            "url": url,
            "lock": planned.lock,
            "target": dict(planned.target),
            "settings": asdict(planned.settings),
        }
        vocabulary = self._vocabulary(planned, url)
        if scrub(vocabulary) != vocabulary:
            raise Refused("A secret in use is an ordinary word that also stands in the plan; it cannot be kept secret.")
        self._append(BEGUN, planned.subject, {**data, "host": this_host(), "installation": installation})
        return self.read(identity, planned.subject)

    def audit(self, rotation: Rotation) -> list[AuditEntry]:
        """Return a rotation's lines of the audit trail: who did what, with fingerprints."""
        trail = self.ledger.audit_trail(subject=rotation.subject, context=self.context, limit=_MOST)
        return [entry for entry in trail if entry.data.get("rotation") == rotation.id]

    def is_word(self, rotation: Rotation, text: str) -> bool:
        """Say whether ``text``, once known as a secret, would be hidden in lines that must be read back."""
        return len(text.strip()) >= _SHORTEST_HIDDEN and text in self._vocabulary(rotation, rotation.url)

    def write(self, rotation: Rotation, entry: str, step: str = "", **facts: Any) -> None:
        """Write one line; it is on disk when this returns."""
        data = {"rotation": rotation.id, "entry": entry, "step": step, **facts}
        self._append(STEP, rotation.subject, data)

    def did(self, rotation: Rotation, effect: str, entry: AuditEntry, **facts: Any) -> None:
        """Write that an effect came back, and its line of the audit trail, together."""
        data = {"rotation": rotation.id, "entry": DID, "step": effect, **facts}
        self.ledger.record([self._event(STEP, rotation.subject, data), entry])

    def end(self, rotation: Rotation) -> None:
        """Write that a rotation ended."""
        data = {"rotation": rotation.id, "state": str(rotation.state)}
        self.ledger.record([self._event(ENDED_KIND, rotation.subject, data)])

    def times_begun(self, subject: str, url: str) -> int:
        """Return how often a secret of an instance was begun to be rotated."""
        begun = self.ledger.events(BEGUN, subject=subject, limit=_MOST)
        return sum(event.data.get("url") == url for event in begun)

    def read(self, identity: str, subject: str) -> Rotation:
        """Return one rotation as it is now."""
        return folded(self.ledger.events("rotation.*", subject=subject, context=self.context, limit=_MOST))[identity]

    def open(self) -> list[Rotation]:
        """Return the rotations that are not at their end, oldest first."""
        ended = {event.data.get("rotation") for event in self._of_kind(ENDED_KIND)}
        begun = [event for event in self._of_kind(BEGUN) if event.data.get("rotation") not in ended]
        found = [self.read(str(event.data["rotation"]), event.subject) for event in begun]
        return [rotation for rotation in found if rotation.is_open]

    def open_anywhere(self, subject: str, url: str) -> list[Rotation]:
        """Return the open rotations of one secret on one instance, whatever the context is called."""
        found = folded(self.ledger.events("rotation.*", subject=subject, limit=_MOST)).values()
        return [rotation for rotation in found if rotation.is_open and rotation.url == url]

    def all(self, *, limit: int = 50) -> list[Rotation]:
        """Return the newest ``limit`` rotations, oldest first."""
        begun = self._of_kind(BEGUN)[-limit:]
        return [self.read(str(event.data["rotation"]), event.subject) for event in begun]

    def finished(self) -> dict[str, Any]:
        """Return when each subject was last rotated to the end, by subject; and by subject and ``r012345``, what names
        of new credentials end with: a subject may hold several, and only one of them is new then.
        """
        found: dict[str, Any] = {}
        for event in self._of_kind(STEP):
            if event.data.get("state") == State.DONE:  # the line of the end may be missing after a kill in between
                found |= dict.fromkeys((event.subject, f"{event.subject} {_tail(event)}"), event.when)
        return found

    def suffixes(self, url: str) -> frozenset[str]:
        """Return the first six digits of ids: what the names of new credentials end with.

        Those of rotations of the instance at ``url``, and of all that ended: an open one that was begun under another
        address of the same instance is as strange as one of another machine, for its lock is another one.
        """
        ended = {event.data.get("rotation") for event in self.ledger.events(ENDED_KIND, limit=_MOST)}
        begun = [event.data for event in self.ledger.events(BEGUN, limit=_MOST)]
        known = [data for data in begun if data.get("url") == url or data.get("rotation") in ended]
        return frozenset(str(data.get("rotation", ""))[:6] for data in known)

    def find(self, given: str) -> Rotation:
        """Return the one rotation whose id starts with ``given``.

        Raises:
            SelectorError: there is none, or several.
        """
        begun = [event for event in self._of_kind(BEGUN) if str(event.data.get("rotation", "")).startswith(given)]
        if len(begun) != 1 or not given:
            word = "No rotation has" if not begun else f"{len(begun)} rotations have"
            raise SelectorError(f"{word} the id {given!r}.", hint="difyops secret status --all")
        return self.read(str(begun[0].data["rotation"]), begun[0].subject)

    def lines(self, rotation: Rotation) -> list[JournalLine]:
        """Return the history of a rotation."""
        events = self.ledger.events("rotation.*", subject=rotation.subject, context=self.context, limit=_MOST)
        return [_line(event) for event in events if event.data.get("rotation") == rotation.id]

    def _vocabulary(self, one: PlannedRotation | Rotation, url: str) -> str:
        """Return everything that a rotation's lines must tell, as one text."""
        fixed = [one.kind, one.subject, one.label, one.lock, url, self.context, dict(one.target), asdict(one.settings)]
        return json.dumps([fixed, _WORDS], ensure_ascii=False)

    def _of_kind(self, kind: str) -> list[Event]:
        return self.ledger.events(kind, context=self.context, limit=_MOST)

    def _append(self, kind: str, subject: str, data: Mapping[str, Any]) -> None:
        self.ledger.append(self._event(kind, subject, data))

    def _event(self, kind: str, subject: str, data: Mapping[str, Any]) -> Event:
        return Event(kind=kind, subject=subject, when=self.clock.now(), context=self.context, data=data)


def _tail(event: Event) -> str:
    return f"r{str(event.data.get('rotation', ''))[:6]}"


def folded(events: Iterable[Event]) -> dict[str, Rotation]:
    """Return the rotations that these lines tell of, by id."""
    found: dict[str, Rotation] = {}
    for event in events:
        identity = str(event.data.get("rotation", ""))
        if event.kind == BEGUN:
            found[identity] = _begun(identity, event)
        elif identity in found and event.kind == STEP:
            found[identity] = replace(_after(found[identity], event.data), updated=event.when)
    return found


def _begun(identity: str, event: Event) -> Rotation:
    data: Mapping[str, Any] = event.data
    return Rotation(
        id=identity,
        kind=str(data["kind"]),
        subject=event.subject,
        label=str(data["label"]),
        context=event.context,
        url=str(data["url"]),
        lock=str(data["lock"]),
        host=str(data.get("host") or ""),
        installation=str(data.get("installation") or ""),
        target=data["target"],
        settings=settings_of(data["settings"]),
        started=event.when,
        updated=event.when,
    )


def _after(rotation: Rotation, data: Mapping[str, Any]) -> Rotation:
    match data.get("entry"):
        case "note" | "did":
            return replace(rotation, memo={**rotation.memo, **(data.get("memo") or {})})
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
        return JournalLine(when=event.when, entry=event.kind.removeprefix("rotation."), step="", text=text)
    words = data.get("why") or data.get("state") or ", ".join(f"{k}={_said(v)}" for k, v in (_memo(data)).items())
    return JournalLine(when=event.when, entry=str(data.get("entry")), step=str(data.get("step")), text=str(words))


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
