"""Two machines, one ledger on a PostgreSQL: one acts and the other is told, whatever is away, killed or late."""

from __future__ import annotations

import asyncio
import json
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pytest

from difyops import dry_run
from difyops.changes import Change, ChangeRecord, Ended, Journal
from difyops.changes.recovery import Recovery
from difyops.clock import SystemClock
from difyops.errors import DifyopsError, LockHeld, Refused, StateAway
from difyops.ledger import AuditEntry, Event, Ledger
from difyops.secret_text import SecretText
from tests.state.conftest import Machine
from tests.state.gate import Gate
from tests.store.store_tools import NOON

EVENT = Event(kind="snapshot.taken", subject="app-1", when=NOON, context="prod", data={"apps": 3})
ENTRY = AuditEntry(
    actor="ada", action="app.publish", subject="app-1", when=NOON, context="prod", outcome="done", data={"version": "7"}
)


def journal_of(ledger: Ledger, actor: str = "ada") -> Journal:
    return Journal(ledger=ledger, state=ledger.path.parent, context="prod", clock=ledger.clock, actor=actor)


def changes(ledger: Ledger) -> list[ChangeRecord]:
    return journal_of(ledger).all()


def begin(journal: Journal) -> Change:
    return Change.begin(journal, "app.api", subject="app/1", label="wf-echo", url="https://dify.example")


@dataclass
class World:
    """What is changed."""

    effects: int = 0

    async def act(self) -> None:
        self.effects += 1


def change_once(journal: Journal, *, world: World, together: threading.Barrier) -> str:
    """Try the whole change, as a room does; return how it went."""
    together.wait(60)
    try:
        with journal.lock("app/1", holding="a change of 'wf-echo'"):
            if any(each.state == "done" for each in journal.all()):
                return "told"
            change = begin(journal)
            asyncio.run(change.effect("switch", world.act))
            change.close("done")
            return "acted"
    except Refused as error:
        return "told" if "wf-echo" in error.message else error.message


@pytest.mark.parametrize("rounds", [2, pytest.param(50, marks=pytest.mark.long)])
def test_of_two_machines_one_changes_an_app_and_the_other_is_told(anywhere: Machine, rounds: int) -> None:
    one, two = anywhere("one"), anywhere("two")
    for number in range(rounds):
        world, together = World(), threading.Barrier(2)
        journals = [replace(journal_of(ledger), context=f"prod-{number}") for ledger in (one, two)]
        with ThreadPoolExecutor(2) as pool:
            said = list(pool.map(partial(change_once, world=world, together=together), journals))
        assert sorted(said) == ["acted", "told"]
        assert world.effects == 1
    assert len({entry.hash for entry in one.audit_trail()}) == 2 * rounds
    assert one.check() == two.check() == []


def test_who_holds_a_lock_is_named_and_who_was_killed_holds_none(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.argv", ["difyops", "app", "disable", "--token", "canary"])
    monkeypatch.setenv("DIFYOPS_HOST", "machine-a")
    one, two = machine("one"), machine("two")
    path = "changes/locks/app_1.lock"
    with one.lock(one.path.parent / path, holding="a change of 'wf-echo'"):
        assert two.is_held(two.path.parent / path)
        assert journal_of(two).is_worked_on("app/1")
        with (
            pytest.raises(
                LockHeld, match=r"wf-echo.*difyops app disable of \S+ on machine-a \(process \d+\)"
            ) as caught,
            two.lock(two.path.parent / path, holding="a change of 'wf-echo'"),
        ):
            pass
        assert caught.value.details["pid"] == os.getpid()
        assert "canary" not in caught.value.message
        one._database._connected.connection.pgconn.finish()  # type: ignore[attr-defined]  # as a kill ends it
        taken = two.lock(two.path.parent / path, wait=10.0, holding="a change of 'wf-echo'")
        with taken, pytest.raises(LockHeld, match="took over a change of 'wf-echo'"):
            one.append(EVENT)
        with pytest.raises(LockHeld, match="took over"):
            one.append(EVENT)
    assert not two.is_held(two.path.parent / path)
    one.append(EVENT)


def test_a_lock_has_one_holder_and_is_free_after_that(anywhere: Machine) -> None:
    one, two = anywhere("one"), anywhere("two")
    places = [ledger.path.parent / "changes" / "locks" / "app_1.lock" for ledger in (one, two)]
    with one.lock(places[0], holding="a change of 'wf-echo'"):
        assert two.is_held(places[1])
        with pytest.raises(LockHeld, match="wf-echo"), two.lock(places[1], holding="a change of 'wf-echo'"):
            pass
        with two.lock(places[1].with_name("app_2.lock"), holding="a change of another"):
            pass
    assert not two.is_held(places[1])
    with two.lock(places[1], holding="a change of 'wf-echo'"):
        assert one.is_held(places[0])


def test_a_lock_that_nobody_took_meanwhile_is_gone_on_with(machine: Machine) -> None:
    one, two = machine("one"), machine("two")
    path = one.path.parent / "x.lock"
    with one.lock(path, holding="it"):
        one._database._connected.connection.pgconn.finish()  # type: ignore[attr-defined]
        one.append(EVENT)
        assert two.is_held(two.path.parent / "x.lock")


class Finishes:
    """A kind of change that is finished by looking."""

    async def tell(self, instance: Any, change: Change) -> str:
        return "as it is"

    async def finish(self, instance: Any, change: Change) -> Ended:
        return Ended(state="finished", text="it is done")

    undo = finish


@pytest.mark.parametrize("holds", [False, True])
async def test_what_was_cut_off_is_in_the_way_until_it_is_ended(anywhere: Machine, holds: bool) -> None:
    change = begin(journal_of(anywhere("one")))
    if holds:
        change.keep("draft", {"secret": "canary"})
    again = anywhere("one")
    journal = journal_of(again)
    with pytest.raises(Refused, match="was cut off"):
        begin(journal)
    (record,) = journal.open()
    assert record.id == change.record.id
    await Recovery(journal=journal, kinds={"app.api": Finishes()}).finish(None, record)  # type: ignore[arg-type]
    assert not journal.open()
    begin(journal)
    assert again.check() == []


@pytest.mark.parametrize("holds", [False, True])
async def test_what_a_killed_machine_began_is_ended_elsewhere_only_where_that_can_be(
    machine: Machine, monkeypatch: pytest.MonkeyPatch, holds: bool
) -> None:
    monkeypatch.setenv("DIFYOPS_HOST", "machine-a")
    one = machine("one")
    change = begin(journal_of(one))
    if holds:
        change.keep("draft", {"secret": "canary"})
    one.close()
    monkeypatch.setenv("DIFYOPS_HOST", "machine-b")
    two = machine("two")
    journal = journal_of(two)
    with pytest.raises(Refused, match=r"begun on machine-a .* was cut off"):
        begin(journal)
    recovery = Recovery(journal=journal, kinds={"app.api": Finishes()})
    (record,) = journal.open()
    if holds:
        with pytest.raises(Refused, match=r"machine-a, and what it holds \(draft\) lies there"):
            await recovery.finish(None, record)  # type: ignore[arg-type]
        assert changes(two)[0].is_open
        await Recovery(journal=journal_of(machine("one")), kinds=recovery.kinds).finish(None, record)  # type: ignore[arg-type]
    else:
        await recovery.finish(None, record)  # type: ignore[arg-type]
    assert not changes(two)[0].is_open
    begin(journal)


@pytest.mark.parametrize("moment", ["before", "after"])
def test_with_the_server_away_nothing_begins_and_nothing_begun_is_lost(
    machine: Machine, gate: Gate, moment: str
) -> None:
    one, world = machine("one", patience=0.3, through=gate), World()
    journal = journal_of(one)
    change = begin(journal)

    async def act() -> None:
        await world.act()
        gate.shut()

    if moment == "before":
        gate.shut()
    with pytest.raises(StateAway) as caught:
        asyncio.run(change.effect("switch", act, version="7"))
    assert world.effects == (moment == "after")
    assert ("written down in" in caught.value.message) is (moment == "after")
    assert caught.value.exit_code == 1
    with pytest.raises(StateAway):
        asyncio.run(change.effect("again", world.act))
    assert world.effects == (moment == "after"), "nothing new begins"
    spool = next(one.path.parent.glob("*.spool"), None)
    assert (spool is not None) is (moment == "after")
    assert spool is None or spool.stat().st_mode & 0o777 == 0o600
    gate.open()
    again = machine("one", through=gate)
    assert again.bring_in() == (2 if spool else 0)
    assert again.bring_in() == 0
    assert not list(one.path.parent.glob("*.spool"))
    (record,) = changes(again)
    assert record.phase == ("after 'switch'" if moment == "after" else "nothing was changed yet")
    assert [entry.action for entry in again.audit_trail()] == ["app.api.switch"] * world.effects
    assert again.check() == []


def test_a_server_that_comes_back_soon_is_waited_for(machine: Machine, gate: Gate) -> None:
    one = machine("one", patience=20.0, through=gate)
    one.append(EVENT)
    gate.shut()
    threading.Timer(0.5, gate.open).start()
    assert one.record([EVENT, ENTRY]) == [1, 1], "the same line again is the same line"
    assert one.append(replace(EVENT, subject="other")) == 2
    assert not list(one.path.parent.glob("*.spool"))
    assert one.check() == []


def test_lines_that_were_brought_in_before_a_kill_are_not_written_twice(machine: Machine, gate: Gate) -> None:
    one = machine("one", patience=0.0, through=gate)
    one.audit(ENTRY)
    gate.shut()
    for number in (2, 3):
        with pytest.raises(StateAway):
            one.audit(replace(ENTRY, subject=f"app-{number}"))
    kept = next(one.path.parent.glob("*.spool")).read_bytes()
    gate.open()
    assert one.append(EVENT) == 1, "before anything else, they come in"
    (one.path.parent / "ledger.spool").write_bytes(kept)
    (one.path.parent / "ledger.spool").chmod(0o600)
    assert one.bring_in() == 2
    assert [entry.subject for entry in one.audit_trail()] == ["app-1", "app-2", "app-3"]
    assert one.check() == []


@pytest.mark.parametrize("minutes", [-7, 7])
def test_the_servers_clock_counts(machine: Machine, monkeypatch: pytest.MonkeyPatch, minutes: int) -> None:
    away = timedelta(minutes=minutes)
    monkeypatch.setattr(SystemClock, "now", lambda self: datetime.now(UTC) + away)
    change = begin(journal_of(machine("one")))
    assert abs(change.record.began - datetime.now(UTC)) < timedelta(minutes=1)


def test_no_secret_reaches_the_tables(machine: Machine, shared_url: str) -> None:
    secret = SecretText("canary-state-1")
    bare = secret.reveal()
    ledger = machine("one")
    with ledger.lock(ledger.path.parent / "a.lock", holding="x"):
        ledger.append(replace(EVENT, subject=bare, data={"a": bare, bare: secret}))
        ledger.audit(replace(ENTRY, actor=bare, data={"a": secret}))
        journal_of(ledger).files("x").keep("draft", {"a": bare})

        def everything(inside: Any) -> str:
            tables = ("event", "audit", "chain", "fact", "holder")
            return json.dumps([inside.execute(f"SELECT * FROM {each}").fetchall() for each in tables], default=str)

        found = ledger._database.read(everything)
    assert "app.publish" in found
    assert "canary" not in found


def test_a_dry_run_sees_everything_and_writes_nothing(machine: Machine) -> None:
    from difyops.shared_state import _copy_of

    with dry_run.dry_run(True):
        copy = Ledger(_copy_of(machine("one")._database))  # type: ignore[arg-type]
        assert copy.events() == []
    machine("one").append(EVENT)
    with dry_run.dry_run(True):
        copy = Ledger(_copy_of(machine("one")._database))  # type: ignore[arg-type]
        assert copy.events() == [EVENT]
        copy.append(replace(EVENT, subject="only here"))
    assert machine("two").events() == [EVENT]


def test_rows_cannot_be_changed_by_a_slip(machine: Machine) -> None:
    ledger = machine("one")
    ledger.append(EVENT)
    ledger.audit(ENTRY)
    for statement in ("DELETE FROM event", "UPDATE audit SET subject = 'x'", "TRUNCATE event"):
        with pytest.raises(DifyopsError, match="append-only"):
            ledger._database.change(lambda inside, it=statement: inside.execute(it))  # type: ignore[misc]
    assert ledger.check() == []


def test_an_edited_trail_shows(machine: Machine) -> None:
    ledger = machine("one")
    for number in range(4):
        ledger.audit(replace(ENTRY, subject=str(number)))

    def edit(inside: Any) -> None:
        inside.execute("ALTER TABLE audit DISABLE TRIGGER ALL")
        inside.execute("DELETE FROM audit WHERE id = 4")
        inside.execute("UPDATE chain SET length = 3, hash = (SELECT hash FROM audit WHERE id = 3)")

    ledger._database.change(edit)
    assert "shortened" in ledger.check()[0], "each machine anchors how long it was"


def test_a_server_that_stands_still_is_away(machine: Machine, server: Any) -> None:

    one = machine("one", patience=0.0)
    one.append(EVENT)
    one._database._connected.connection.patience = 0.3  # type: ignore[attr-defined]
    backend = one._database._connected.connection.info.backend_pid  # type: ignore[attr-defined]
    os.kill(backend, 19)
    try:
        with pytest.raises(StateAway, match="no answer"):
            one.append(EVENT)
    finally:
        os.kill(backend, 18)
