"""A real PostgreSQL for the state that machines share: one server a session, one database a test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from difyops.ledger import Ledger
from difyops.ledger.server import LedgerServer
from difyops.secret_text import SecretText
from difyops.state_address import StateAddress
from tests.runbook import servers
from tests.runbook.servers import PG_CANARY, Postgres
from tests.state.gate import Gate, gate_to

_numbers = count(1)
Machine = Callable[..., Ledger]


@pytest.fixture(scope="session")
def server() -> Iterator[Postgres]:
    pytest.importorskip("psycopg", reason="the PostgreSQL client is not installed (difyops[postgres])")
    if servers.INITDB is None:
        pytest.skip("PostgreSQL's programs are not installed on this machine")
    if servers.postgres_user() == "":
        pytest.skip("we are root and there is no other user to run PostgreSQL as")
    with servers.postgres() as found:
        yield found


@pytest.fixture
def shared_url(server: Postgres) -> str:
    """Return the address, without the password, of an empty database."""
    import psycopg

    name = f"state{next(_numbers)}"
    with psycopg.connect(server.address, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    return f"postgresql://tester@127.0.0.1:{urlsplit(server.address).port}/{name}"


@pytest.fixture
def gate(shared_url: str) -> Iterator[Gate]:
    """Put a door in front of the server."""
    with gate_to(urlsplit(shared_url).port or 0) as found:
        yield found


@pytest.fixture
def machine(shared_url: str, tmp_path: Path) -> Iterator[Machine]:
    """Open the shared ledger as a machine of that name, with a state folder of its own, through a gate or not."""
    opened: list[Ledger] = []

    def open_as(name: str, patience: float = 5.0, through: Gate | None = None) -> Ledger:
        url = shared_url.replace(str(urlsplit(shared_url).port), str(through.port)) if through else shared_url
        address = StateAddress(url, SecretText(PG_CANARY))
        opened.append(Ledger(LedgerServer(address, tmp_path / name, patience=patience)))
        return opened[-1]

    yield open_as
    for each in opened:
        each.close()


@pytest.fixture(params=["file", "server"])
def anywhere(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Machine]:
    """Open one ledger as whoever comes, in a file and, in another round, on the server."""
    if request.param == "server":
        yield request.getfixturevalue("machine")
        return
    opened: list[Ledger] = []

    def open_as(name: str) -> Ledger:
        opened.append(Ledger.open(tmp_path / "state" / "ledger.sqlite3"))
        return opened[-1]

    yield open_as
    for each in opened:
        each.close()
