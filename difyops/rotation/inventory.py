"""What secrets there are: kind, owner, age, last use, who uses them, what the policy asks; and those in clear.

The age is that of the last rotation by difyops, else of the secret itself where the server tells (service keys do,
credentials and variables do not). An unknown age is unknown: not overdue, and said so.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from difyops.clock import MAY_DIFFER, from_unix
from difyops.dsl.secrets import Location
from difyops.rotation.job import Workbench
from difyops.rotation.kinds import kinds
from difyops.rotation.policy import RotationPolicy
from difyops.rotation.reading import Document, HeldSecret, WorkspaceReading


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedSecret:
    """One secret. ``age`` and ``rotate_every`` in seconds; ``overdue`` is ``None`` when the age is not known. One that
    is dated in the future (``is_ahead``) counts as overdue where there is a policy: nobody knows how old it is.
    """

    kind: str
    name: str
    owner: str
    address: str
    ref: str
    since: datetime | None
    age: float | None
    last_used: datetime | None
    users: tuple[str, ...]
    rotate_every: float | None
    overdue: bool | None
    note: str = ""

    @property
    def is_ahead(self) -> bool:
        """Say whether it was made in the future, by the clock of this machine."""
        return self.age is not None and self.age < -MAY_DIFFER


@dataclass(frozen=True, slots=True, kw_only=True)
class InClear:
    """A secret that stands in an app's content in clear: every export and every editor shows it."""

    app: str
    place: str
    label: str
    advice: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SecretInventory:
    """Everything found, and sentences about what could not be read; ``is_whole``: nothing failed."""

    secrets: tuple[ListedSecret, ...]
    in_clear: tuple[InClear, ...]
    problems: tuple[str, ...]
    is_whole: bool = True


async def take_inventory(bench: Workbench, reading: WorkspaceReading, policy: RotationPolicy) -> SecretInventory:
    """Read the workspace and list its secrets; what this role may not read is a problem, not an error.

    Ages (seconds) count from when the server says that a key was made; where it does not tell (credentials,
    variables), from the end of the last rotation that the journal of this machine knows.

    Raises:
        DifyopsError: the list of apps cannot be read.
    """
    now, finished = bench.clock.now(), bench.journal.finished()
    secrets: list[ListedSecret] = []
    for name in sorted(kinds()):
        for held in await kinds()[name].inventory(bench.instance, reading):
            secrets.append(_listed(held, finished, policy, now))
    return SecretInventory(
        secrets=tuple(secrets),
        in_clear=in_clear(await reading.documents()),
        problems=tuple(reading.problems),
        is_whole=reading.is_whole,
    )


def in_clear(documents: Iterable[Document]) -> tuple[InClear, ...]:
    """Return what stands in clear: the one answer of ``secret list``, ``doctor`` and the checks."""
    found: list[InClear] = []
    for document in documents:
        name = document.app.name
        found += [
            InClear(app=name, place=location.key, label=location.label, advice=advice(location))
            for location in document.clear_locations
        ]
    return tuple(found)


def advice(location: Location) -> str:
    """Return how to move a secret out of the content."""
    if location.kind == "config":
        return "store it as a credential of the tool, and name that credential here"
    name = variable_name(location)
    return f"add a secret environment variable {name}, write {{{{#env.{name}#}}}} here, publish, then rotate env"


def variable_name(location: Location) -> str:
    """Return a name for the variable that could hold it."""
    text = location.part if location.part and not location.part.startswith("~") else location.place[-1]
    words = "".join(character if character.isalnum() else "_" for character in text).strip("_").upper()
    return f"{words}_SECRET" if words in ("", "URL", "DATA", "HEADERS", "PARAMS", "VALUE") else words


def _listed(held: HeldSecret, finished: Mapping[str, datetime], policy: RotationPolicy, now: datetime) -> ListedSecret:
    # A key that is listed is the one that was made then; the others do not tell their age, our journal may.
    several = kinds()[held.kind].has_fields
    told = finished.get(f"{held.subject} {held.name.rpartition(' ')[2]}" if several else held.subject)
    since = from_unix(held.created_at) or told
    age = (now - since).total_seconds() if since else None
    is_ahead = age is not None and age < -MAY_DIFFER
    notes = [held.note, "dated in the future: look at the clocks" if is_ahead else ""]
    every = policy.for_address(held.address).rotate_every
    return ListedSecret(
        kind=held.kind,
        name=held.name,
        owner=held.owner,
        address=held.address,
        ref=held.ref,
        since=since,
        age=age,
        last_used=from_unix(held.last_used_at),
        users=held.users,
        rotate_every=every,
        overdue=None if every is None or age is None else age > every or is_ahead,
        note="; ".join(filter(None, notes)),
    )
