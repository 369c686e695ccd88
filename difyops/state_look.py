"""What is known about the state: where it is and why, how much it holds, what waits, who holds which lock."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from difyops.clock import iso
from difyops.config import Config
from difyops.errors import DifyopsError, StoreError
from difyops.ledger import this_host
from difyops.ledger.backing import Database
from difyops.ledger.holders import Holder
from difyops.ledger.integrity import length
from difyops.ledger.spool import Spool
from difyops.shared_state import StatePlace, closed, database_at, own_lines, place_of
from difyops.state_address import is_address
from difyops.state_move import MOVED


@dataclass(frozen=True, slots=True, kw_only=True)
class Lock:
    """A lock of the shared state, and who holds it; ``cut_off``: its holder's connection is gone."""

    name: str
    holding: str
    host: str
    pid: int
    actor: str
    command: str
    since: str
    cut_off: bool

    @classmethod
    def of(cls, holder: Holder) -> Lock:
        """Return a holder as it is shown."""
        return cls(
            name=holder.name, holding=holder.holding, host=holder.host, pid=holder.pid, actor=holder.actor,
            command=holder.command, since=iso(holder.since), cut_off=not holder.is_alive,
        )  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Looked:
    """The state by the configuration. ``source`` says where that stands; ``folder`` is this machine's own.

    ``waiting``: lines of this machine that are to be brought in. ``own``: lines of its file beside a shared state.
    """

    place: str
    is_shared: bool
    source: str
    folder: str
    host: str
    events: int | None = None
    audit: int | None = None
    waiting: int = 0
    own: int = 0
    closed: str | None = None
    locks: tuple[Lock, ...] = ()
    error: DifyopsError | None = field(default=None, repr=False)


def look(config: Config) -> Looked:
    """Look; what cannot be reached is said, with what is known of it here."""
    place = place_of(config)
    known = {
        "place": place.shown, "is_shared": place.url is not None, "source": place.source, "folder": str(config.state),
        "host": this_host(),
    }  # fmt: skip
    if place.url is None and not place.file.exists():
        return Looked(**known, events=0, audit=0)  # type: ignore[arg-type]
    waiting = 0
    try:
        with database_at(config, place.url, None) as database:
            waiting = len(Spool.in_folder(config.state).lines())
            now, shut = database.read(length), closed(database)
            return Looked(
                **known,  # type: ignore[arg-type]
                events=now.events,
                audit=now.length,
                waiting=waiting,
                own=own_lines(place) if place.url and not _is_of(shut, place) else 0,
                closed=_said(shut) if shut else None,
                locks=_locks(database),
            )
    except StoreError as error:
        return Looked(**known, waiting=waiting, error=error)  # type: ignore[arg-type]


def _is_of(shut: Mapping[str, str] | None, place: StatePlace) -> bool:
    """Say whether the shared lines were moved into the file of this machine."""
    return shut is not None and (shut.get("place"), shut.get("host")) == (str(place.file), this_host())


def _said(shut: Mapping[str, str]) -> str:
    """Return why a ledger is closed."""
    place = shut.get("place", "")
    of = "" if is_address(place) else f" of {shut.get('host')}"
    return f"{'moved to' if shut.get('because') == MOVED else 'on its way here from'} {place}{of}"


def _locks(database: Database) -> tuple[Lock, ...]:
    return tuple(map(Lock.of, database.holders()))
