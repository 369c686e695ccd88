"""What a rotation is: what was asked, what it found out, how far it is. Frozen; made by folding its journal."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import datetime
from typing import Annotated, Any

from difyops.changes import ChangeRecord
from difyops.rotation.machine import ENDED, State
from difyops.settings import KEY, NOT_IN_FILE

KIND = "secret.rotate"
SUBJECT = "secret/"
"""What the subject of a rotation's change begins with. A switch of the same provider is a change of another subject."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeSpec:
    """One health check: a run of ``app`` (an id) and what its answer must be like.

    ``contains`` is text, ``schema`` a JSON Schema, ``max_seconds`` a latency; without any, the run must succeed and
    answer something. Inputs that are not given are made up from the app's form. ``found``: nobody named the app, it was
    chosen by reading the workspace.
    """

    app: Annotated[str, NOT_IN_FILE] = ""
    name: Annotated[str, KEY]
    inputs: Mapping[str, Any] = field(default_factory=dict)
    query: str = "ping"
    contains: Annotated[str | None, "what its answer holds"] = None
    schema: Annotated[Mapping[str, Any] | None, "what its answer fits"] = None
    max_seconds: float | None = None
    found: Annotated[bool, NOT_IN_FILE] = False


@dataclass(frozen=True, slots=True, kw_only=True)
class RotationSettings:
    """How to go about it; times in seconds. ``also_from`` are references to other secrets of a credential, by field;
    ``hold`` is where values are held (``file`` or ``keyring``): what the configuration said when it began.

    ``sick_limit`` failed health rounds in a row turn back; ``patience`` failed tries of a step give up. ``settle`` is
    the pause before a switch is looked at and made again; ``handover`` the pause between giving callers the old value
    back and deleting the new one; ``refusal`` how long a retired secret may go on being accepted.
    """

    grace: float = 600.0
    deliver: tuple[str, ...] = ()
    probes: tuple[ProbeSpec, ...] = ()
    value_from: str | None = None
    also_from: Mapping[str, str] = field(default_factory=dict)
    hold: str = "file"
    force: bool = False
    sick_limit: int = 2
    patience: int = 5
    settle: float = 2.0
    handover: float = 30.0
    refusal: float = 1800.0
    pause: float = 2.0

    @property
    def variables(self) -> frozenset[str]:
        """Return the environment variables that the new values come from."""
        given = (self.value_from or "", *self.also_from.values())
        return frozenset(one.removeprefix("env:") for one in given if one.startswith("env:"))


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedRotation:
    """What would be done: the secret (``subject`` is its stable address), ids and names the kind needs, what to know.

    ``old`` names the present secret for people; ``steps`` are the changes in order; ``warnings`` what to know before.
    ``times_begun``: how often it was rotated when this was planned.
    """

    kind: str
    subject: str
    label: str
    target: Mapping[str, str]
    lock: str
    old: str | None
    steps: tuple[str, ...]
    warnings: tuple[str, ...] = ()
    settings: RotationSettings = field(default_factory=RotationSettings)
    times_begun: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Rotation:
    """One rotation as its journal tells it: its change (``record``), and how far it is.

    ``wants_back`` is set from the moment a person asks to go back until it does; ``went_back`` says why it did, and
    ``was_asked`` whether a person wanted it; ``trouble`` is the last failure, and ``is_away`` says that it was an
    instance that did not answer.
    """

    record: ChangeRecord
    settings: RotationSettings
    state: State = State.PLANNED
    failures: int = 0
    hopeless: bool = False
    is_away: bool = False
    trouble: str | None = None
    wants_back: str | None = None
    went_back: str | None = None
    was_asked: bool = False
    parked_from: State | None = None
    updated: datetime

    @property
    def id(self) -> str:
        """Return its id, that of its change: twelve hex digits."""
        return self.record.id

    @property
    def kind(self) -> str:
        """Return the kind of secret: a file in ``kinds/``."""
        return str(self.record.facts["secret"])

    @property
    def subject(self) -> str:
        """Return the stable address of the secret."""
        return self.record.subject.removeprefix(SUBJECT)

    @property
    def label(self) -> str:
        """Return what the secret is called for people."""
        return self.record.label

    @property
    def context(self) -> str:
        """Return the context that it was begun in."""
        return self.record.context

    @property
    def url(self) -> str:
        """Return the address of the instance."""
        return self.record.url

    @property
    def host(self) -> str:
        """Return the machine that began it."""
        return self.record.host

    @property
    def installation(self) -> str:
        """Return whose state folder holds its values; blank where 0.1.0 began it."""
        return str(self.record.facts.get("installation") or "")

    @property
    def lock(self) -> str:
        """Return what is locked while it is worked on: an app, a provider, ..."""
        return str(self.record.facts["lock"])

    @property
    def target(self) -> Mapping[str, str]:
        """Return the ids and names that its kind needs."""
        found: Mapping[str, str] = self.record.facts["target"]
        return found

    @property
    def memo(self) -> Mapping[str, Any]:
        """Return what was noted: ids, names, fingerprints; no secrets."""
        return self.record.memo

    @property
    def started(self) -> datetime:
        """Return when it was begun."""
        return self.record.began

    @property
    def kept_draft(self) -> str | None:
        """Return where a draft lies that could not be given back, ``None`` when there is none."""
        places = self.memo.get("set_aside") or ()
        return str(places[-1]["place"]) if places else self.memo.get("draft_set_aside")  # 0.1.0 noted the place alone

    @property
    def is_open(self) -> bool:
        """Say whether something is still to be done, by difyops or (parked) by a person."""
        return self.state not in ENDED


def settings_of(data: Mapping[str, Any]) -> RotationSettings:
    """Read settings back from the journal; what a newer difyops added is passed over."""
    known = {item.name for item in fields(RotationSettings)}
    values = {name: value for name, value in data.items() if name in known}
    values["deliver"] = tuple(values.get("deliver") or ())
    values["probes"] = tuple(ProbeSpec(**item) for item in values.get("probes") or ())
    return RotationSettings(**values)
