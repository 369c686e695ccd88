"""A shared ledger that is reached and takes no writes, or not those of this difyops: nothing is lost, it is said."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from difyops.errors import DifyopsError, LockLost, Refused, StateAway, StateMoved, StoreError
from difyops.ledger import Ledger
from difyops.ledger.connected import _not_reached
from difyops.ledger.file import LedgerFile
from difyops.ledger.server import LedgerServer
from difyops.secret_text import SecretText
from difyops.state_address import StateAddress
from difyops.state_move import move, plan
from tests.runbook.servers import PG_CANARY
from tests.state.conftest import Machine
from tests.state.test_shared import ENTRY, EVENT, World, begin, changes, journal_of


def run(url: str, *statements: str) -> None:
    import psycopg

    with psycopg.connect(url, password=PG_CANARY, autocommit=True) as connection:
        for statement in statements:
            connection.execute(statement)


STOPS = {
    "a copy": ("CREATE FUNCTION difyops.stop() RETURNS TRIGGER LANGUAGE plpgsql AS"
               " $$BEGIN RAISE EXCEPTION 'a copy' USING ERRCODE = '25006'; END$$", "its primary is the one to name"),
    "disk full": ("CREATE FUNCTION difyops.stop() RETURNS TRIGGER LANGUAGE plpgsql AS"
                  " $$BEGIN RAISE EXCEPTION 'No space left on device' USING ERRCODE = '53100'; END$$", "No space left"),
    "no right": ("CREATE FUNCTION difyops.stop() RETURNS TRIGGER LANGUAGE plpgsql AS"
                 " $$BEGIN RAISE EXCEPTION 'permission denied' USING ERRCODE = '42501'; END$$", "may not write"),
}  # fmt: skip


@pytest.mark.parametrize("why", list(STOPS))
def test_what_was_done_is_kept_where_the_server_takes_no_writes(machine: Machine, shared_url: str, why: str) -> None:
    one, world = machine("one", patience=0.3), World()
    change = begin(journal_of(one))
    function, says = STOPS[why]
    run(shared_url, function)

    async def act() -> None:
        await world.act()
        run(shared_url, "CREATE TRIGGER stop BEFORE INSERT ON difyops.event EXECUTE FUNCTION difyops.stop()")

    with pytest.raises(StateAway, match=says) as caught:
        asyncio.run(change.effect("switch", act))
    assert "written down in" in caught.value.message
    with pytest.raises(StoreError, match=says):
        asyncio.run(change.effect("again", world.act))
    assert world.effects == 1, "nothing new begins"
    run(shared_url, "DROP TRIGGER stop ON difyops.event")
    again = machine("one")
    assert again.bring_in() == 2
    assert changes(again)[0].phase == "after 'switch'"
    assert again.check() == []


@pytest.mark.parametrize(
    ("said", "is_final"),
    [
        ("FATAL:  the database system is not yet accepting connections\nDETAIL:  Consistent recovery state has not been"
         " yet reached.", False),
        ("FATAL:  the database system is starting up", False),
        ("FATAL:  das Datenbanksystem startet", False),
        ("FATAL:  sorry, too many clients already", False),
        ("FATAL:  terminating connection due to administrator command", False),
        ("server closed the connection unexpectedly", False),
        ('FATAL:  password authentication failed for user "ada"', True),
        ('FATAL:  no pg_hba.conf entry for host "10.0.0.1", user "ada"', True),
        ('FATAL:  database "nodb" does not exist', True),
        ('FATAL:  permission denied for database "ops"\nDETAIL:  User does not have CONNECT privilege.', True),
        ("fe_sendauth: no password supplied", True),
    ],
)  # fmt: skip
def test_a_server_that_comes_up_is_waited_for_and_one_that_says_no_is_not(said: str, is_final: bool) -> None:
    import psycopg

    found = _not_reached(psycopg.OperationalError(f'connection to server at "127.0.0.1", port 5432 failed: {said}'))
    assert found.is_final is is_final
    assert said.partition("  ")[2].partition("\n")[0] in found.why


@pytest.mark.parametrize("back", [False, True])
def test_who_is_at_work_while_the_state_moves_loses_nothing(machine: Machine, tmp_path: Path, back: bool) -> None:
    file, server = LedgerFile.open(tmp_path / "one" / "ledger.sqlite3"), machine("one")._database
    old, new = (server, file) if back else (file, server)
    Ledger(old).append(EVENT)
    journal, world = journal_of(Ledger(old)), World()
    change = begin(journal)

    async def act() -> None:
        await world.act()
        move(old, new)

    with pytest.raises(StateMoved, match=r"was moved to .* written down in") as caught:
        asyncio.run(change.effect("switch", act))
    assert isinstance(caught.value, Refused)
    assert caught.value.exit_code == 8
    with pytest.raises(StateMoved):
        asyncio.run(change.effect("again", world.act))
    assert world.effects == 1
    there = Ledger(new)
    assert there.bring_in() == 2
    assert changes(there)[0].phase == "after 'switch'"
    assert [entry.action for entry in there.audit_trail()] == ["app.api.switch"]
    assert there.check() == []
    file.close()


def test_what_was_done_under_a_lock_that_was_lost_is_kept(machine: Machine) -> None:
    one, two = machine("one"), machine("two")
    path = one.path.parent / "locks" / "app.lock"
    with one.lock(path, holding="the app"):
        server = one._database
        assert isinstance(server, LedgerServer)
        server._held[0].is_lost = True
        with pytest.raises(LockLost, match="written down in"):
            one.record([ENTRY])
        with pytest.raises(LockLost):
            one.append(EVENT)
    assert machine("one").bring_in() == 1
    assert [entry.subject for entry in two.audit_trail()] == [ENTRY.subject]


def test_a_newer_difyops_that_came_meanwhile_is_noticed_before_the_next_line(machine: Machine, shared_url: str) -> None:
    one = machine("one")
    one.append(EVENT)
    run(shared_url, "UPDATE difyops.fact SET value = '2' WHERE name = 'version'")
    for work in (lambda: one.append(EVENT), lambda: one.audit(ENTRY), lambda: machine("two").events()):
        with pytest.raises(StoreError, match=r"newer difyops \(version 2; this one knows 1\)") as caught:
            work()
        assert "Upgrade difyops" in (caught.value.hint or "")
    assert next(one.path.parent.glob("*.spool")).read_text().count(ENTRY.subject) == 1, "what was done is kept"


def test_a_schema_without_tables_is_filled_by_whoever_comes_first(machine: Machine, shared_url: str) -> None:
    run(shared_url, "CREATE SCHEMA difyops")
    one, two = machine("one"), machine("two")
    assert [one.append(EVENT), two.append(EVENT)] == [1, 2]


@pytest.mark.parametrize(("encoding", "is_refused"), [("LATIN1", True), ("SQL_ASCII", False), ("UTF8", False)])
def test_names_in_any_script_are_held_or_the_database_is_refused(
    shared_url: str, tmp_path: Path, encoding: str, is_refused: bool
) -> None:
    name = f"in_{encoding.lower()}_{shared_url.rpartition('/')[2]}"
    run(shared_url, f"CREATE DATABASE {name} ENCODING '{encoding}' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0")
    address = StateAddress(shared_url.rpartition("/")[0] + f"/{name}", SecretText(PG_CANARY))
    server = LedgerServer(address, tmp_path / "one", patience=1.0)
    ledger = Ledger(server)
    if is_refused:
        with pytest.raises(StoreError, match="holds text as LATIN1"):
            ledger.events()
        return
    ledger.append(replace(EVENT, subject="客服", context="größe"))
    ledger.audit(replace(ENTRY, actor="李"))
    assert ledger.events()[0].subject == "客服"
    assert ledger.check() == []
    with ledger.lock(tmp_path / "one" / "x.lock", holding="'客服'"):
        assert ledger._database.holders()[0].holding == "'客服'"
    ledger.close()


def test_one_database_by_two_names_is_one_place(machine: Machine, shared_url: str, tmp_path: Path) -> None:
    one = machine("one")
    one.append(EVENT)
    other = StateAddress(shared_url.replace("127.0.0.1", "localhost"), SecretText(PG_CANARY))
    same = LedgerServer(other, tmp_path / "one", patience=5.0)
    attempts: tuple[Callable[..., object], ...] = (plan, move)
    for attempt in attempts:
        with pytest.raises(Refused, match="are the same database") as caught:
            attempt(one._database, same)
        assert isinstance(caught.value, DifyopsError)
    one.append(EVENT)
    same.close()


def test_what_is_noted_moves_along(machine: Machine, tmp_path: Path) -> None:
    file = LedgerFile.open(tmp_path / "one" / "ledger.sqlite3")
    here, server = Ledger(file), machine("one")
    here.append(EVENT)
    here.note("history prod a", {"until": 7})
    move(file, server._database)
    assert server.notes("history prod") == {"history prod a": {"until": 7}}
    server.note("history prod a", {"until": 9})
    move(server._database, file)
    assert here.notes("history prod") == {"history prod a": {"until": 9}}
    file.close()
