"""Where the state is: in a file of this machine, or in a PostgreSQL that several share. The one place that opens it.

Shared are the ledger with its journals and its audit trail, and the locks. What may hold secrets stays on the machine
that made it, in its state folder: held values and documents, stored logins, the key of fingerprints, trust.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from difyops import credentials, dry_run
from difyops.config import STATE_PASSWORD, Config
from difyops.counting import counted
from difyops.errors import ConfigError, Refused
from difyops.ledger import Ledger
from difyops.ledger.backing import CLOSED, Database, Statements, refuse_closed
from difyops.ledger.file import LedgerFile
from difyops.ledger.moving import copy_lines
from difyops.state_address import SQLITE, StateAddress, shared_file

if TYPE_CHECKING:
    from difyops.ledger.server import LedgerServer

FILE = "ledger.sqlite3"


@dataclass(frozen=True, slots=True, kw_only=True)
class StatePlace:
    """Where the state is, by the configuration. ``url`` is ``None`` for the file ``file`` of this machine."""

    file: Path
    url: str | None
    source: str

    @property
    def local(self) -> Path:
        """Return the file of this machine that goes with it; the anchor lies beside it."""
        return shared_file(self.file.parent, StateAddress(self.url)) if self.url else self.file

    @property
    def shown(self) -> str:
        """Return it for people."""
        return StateAddress(self.url).place if self.url else str(self.file)


def place_of(config: Config) -> StatePlace:
    """Return where the configuration says the state is."""
    url = config.sections.get("state")
    return StatePlace(
        file=config.state / FILE,
        url=None if url in (None, SQLITE) else str(url),
        source=config.origins.get("state", "default"),
    )


def has_ledger(config: Config) -> bool:
    """Say whether there is a ledger: what only reads makes none."""
    place = place_of(config)
    return place.url is not None or place.file.exists()


def open_ledger(config: Config) -> Ledger:
    """Open the ledger, with what this machine could not write before brought in.

    Raises:
        Refused: it was moved away; it is on its way here; this machine has one of its own that was not moved; a found
            file names it that nobody trusted. StateAway: it cannot be reached. StoreError: it cannot be read.
    """
    place = place_of(config)
    database = _opened(config, place.url)
    _refuse_closed(database)
    if place.url is not None:
        _refuse_own_ledger(place, database)
    ledger = Ledger(database)
    ledger.bring_in()
    for context in config.contexts.values():
        for former in context.former_names:
            ledger.takes_over(context.name, former)
    return ledger


@contextmanager
def database_at(config: Config, url: str | None, password_from: str | None) -> Iterator[Database]:
    """Open one place for the length of the block, whatever it says of itself; ``None`` is the file of this machine."""
    found = _opened(config, url, password_from)
    try:
        yield found
    finally:
        found.close()


def _opened(config: Config, url: str | None, password_from: str | None = None) -> Database:
    if url is None:
        return LedgerFile.open(config.state / FILE)
    server = server_of(config, url, password_from=password_from)
    return _copy_of(server) if dry_run.is_on() else server


def own_lines(place: StatePlace) -> int:
    """Return how many lines the file of this machine holds that were not moved."""
    if not place.file.exists():
        return 0
    own = LedgerFile.open(place.file)
    try:
        return 0 if closed(own) else own.read(_count)
    finally:
        own.close()


def server_of(config: Config, url: str, *, password_from: str | None = None) -> LedgerServer:
    """Return the shared ledger, with its password where there is a reference to one, here or in the configuration.

    Raises:
        Refused: the file that says so was only found. CredentialError: the reference cannot be resolved.
    """
    from difyops.ledger import server

    address = StateAddress(url)
    reference = password_from
    if config.sections.get("state") == url:
        config.require("state", f"keep journals, locks and the audit trail in {address.place}")
        reference = reference or config.sections.get("state_password")
    elif reference is None and os.environ.get(STATE_PASSWORD):
        reference = f"env:{STATE_PASSWORD}"
    if reference is not None:
        address = StateAddress(url, credentials.resolve(reference))
    return server.LedgerServer(address, config.state, patience=_patience())


def _patience() -> float:
    from difyops.ledger.server import PATIENCE

    text = os.environ.get("DIFYOPS_STATE_PATIENCE", "")
    try:
        found = float(text) if text else PATIENCE
    except ValueError:
        found = -1.0
    if not 0 <= found <= 3600:
        raise ConfigError("DIFYOPS_STATE_PATIENCE: a number of seconds is expected, up to 3600.")
    return found


def closed(database: Database) -> dict[str, str] | None:
    """Return why nothing may be written into a ledger, ``None`` where it may."""
    row = database.read(lambda inside: inside.execute("SELECT value FROM fact WHERE name = ?", [CLOSED]).fetchone())
    return None if row is None else dict(json.loads(row[0]))


def _refuse_closed(database: Database) -> None:
    found = closed(database)
    refuse_closed(json.dumps(found) if found else None)


def _refuse_own_ledger(place: StatePlace, server: Database) -> None:
    """Refuse to go on beside lines of this machine that nobody would look at any more.

    Raises:
        Refused: the shared ledger is empty and this machine's is not; or something is open in this machine's.
    """
    if not place.file.exists():
        return
    own = LedgerFile.open(place.file)
    try:
        if closed(own) is not None:
            return
        mine, left_open = own.read(_count), own.read(_left_open)
        if not mine or (not left_open and server.read(_count)):
            return
    finally:
        own.close()
    what = (
        f"{counted(left_open, 'change or rotation is', 'changes or rotations are')} open in it"
        if left_open
        else f"it holds {counted(mine, 'line')}"
    )
    raise Refused(
        f"The state is to be in {server.place}, but {place.file} of this machine was not moved there: {what}.",
        hint=f"difyops state move --to {server.place}   (or end what is open with state: sqlite)",
    )


def _count(inside: Statements) -> int:
    query = "SELECT (SELECT count(*) FROM event) + (SELECT count(*) FROM audit)"
    return int(inside.execute(query).fetchone()[0])


def _left_open(inside: Statements) -> int:
    """Return how much was begun and not ended: changes and rotations write a line of either kind."""
    query = "SELECT count(*) FROM event WHERE kind LIKE ?"
    begun, ended = (int(inside.execute(query, [f"%.{word}"]).fetchone()[0]) for word in ("begun", "ended"))
    return max(0, begun - ended)


def _copy_of(server: LedgerServer) -> Database:
    """Return what a dry run works on: the shared lines in memory; where the server holds none yet, none are made."""
    copy = LedgerFile.open(server.local)
    copy.place, copy.identity = server.place, server.identity
    if server.is_made:
        server.read(lambda source: copy.change(lambda target: copy_lines(source, target), closed_too=True))
        if (found := closed(server)) is not None:
            copy.change(lambda inside: inside.execute("INSERT INTO fact VALUES (?, ?)", [CLOSED, json.dumps(found)]))
    server.close()
    return copy
