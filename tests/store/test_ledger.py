"""The ledger: what is appended is there, stays there, holds no secret, and shows when somebody edits it."""

from __future__ import annotations

import os
import resource
import signal
import sqlite3
import stat
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from difyops.errors import StoreError
from difyops.ledger import AuditEntry, Event, Ledger
from difyops.secret_text import SecretText
from tests.store.store_tools import NOON, start_child

EVENT = Event(kind="snapshot.taken", subject="app-1", when=NOON, context="prod", data={"apps": 3})
ENTRY = AuditEntry(
    actor="ada", action="app.publish", subject="app-1", when=NOON, context="prod", outcome="done", data={"version": "7"}
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "ledger.sqlite3"


def edit(path: Path, *statements: str) -> None:
    """Change the file behind the ledger's back, its guards taken off first."""
    connection = sqlite3.connect(path)
    for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
        connection.execute(f"DROP TRIGGER {name}")
    for statement in statements:
        connection.execute(statement)
    connection.commit()
    connection.close()


def test_events_come_back_as_they_went_in(path: Path) -> None:
    with Ledger.open(path) as ledger:
        number = ledger.append(EVENT)
        (back,) = ledger.events()
    assert (back, back.id) == (EVENT, number)
    with Ledger.open(path) as again:
        assert again.events() == [EVENT]


def test_events_are_found_by_kind_family_subject_context_and_time(path: Path) -> None:
    with Ledger.open(path) as ledger:
        events = [
            replace(EVENT, kind=kind, subject=f"app-{n}", context=context, when=NOON + timedelta(minutes=n))
            for n, (kind, context) in enumerate(
                [("rotation.begun", "prod"), ("rotation.done", "prod"), ("rotations", "prod"), ("rotation.done", "eu")]
            )
        ]
        assert ledger.append_all(events) == [1, 2, 3, 4]
        assert ledger.events("rotation.done") == [events[1], events[3]]
        assert ledger.events("rotation.*") == [events[0], events[1], events[3]]
        assert ledger.events(subject="app-2") == [events[2]]
        assert ledger.events(context="eu") == [events[3]]
        assert ledger.events(since=NOON + timedelta(minutes=2)) == events[2:]
        assert ledger.events(limit=2) == events[2:]
        assert ledger.events("rotation.done", since=NOON, subject="app-1", context="prod") == [events[1]]
        assert ledger.events("' OR 1=1 --") == []


def test_several_events_are_written_together_or_not_at_all(path: Path) -> None:
    with Ledger.open(path) as ledger:
        assert ledger.append_all([]) == []
        with pytest.raises(AttributeError):
            ledger.append_all([EVENT, None])  # type: ignore[list-item]
        assert ledger.events() == []


def test_another_time_zone_is_the_same_moment(path: Path) -> None:
    east = datetime.fromisoformat("2026-11-20T14:00:00+02:00")
    with Ledger.open(path) as ledger:
        ledger.append(replace(EVENT, when=east))
        (back,) = ledger.events(since=NOON)
    assert (back.when, back.when.tzinfo) == (NOON, UTC)


def test_no_secret_reaches_the_file(path: Path) -> None:
    secret = SecretText("canary-secret-1")
    bare = secret.reveal()
    data = {"plain": bare, "held": secret, f"key {bare}": [{"deep": (f"Bearer {bare}",)}], "set": {bare}}
    with Ledger.open(path) as ledger:
        ledger.append(Event(kind=bare, subject=f"x {bare}", when=NOON, context=bare, data=data))
        ledger.audit(
            AuditEntry(actor=bare, action=bare, subject=bare, when=NOON, context=bare, outcome=bare, data=data)
        )
        assert ledger.verify_chain() == []
        found = b"".join(each.read_bytes() for each in path.parent.iterdir())
    assert len(found) > 4096
    assert b"canary" not in found


def test_what_json_cannot_say_becomes_text(path: Path) -> None:
    deep: list[object] = []
    for _ in range(5000):
        deep = [deep]
    data = {
        "when": NOON,
        "path": Path("/x"),
        "nan": float("nan"),
        "set": {1},
        "bytes": b"x",
        "half": "\udc80",
        "n": 1.5,
    }
    with Ledger.open(path) as ledger:
        ledger.append(replace(EVENT, data=data, subject="\udc80"))
        ledger.append(replace(EVENT, data={"deep": deep}))
        first, _ = ledger.events()
    assert first.data == {
        "when": "2026-11-20T12:00:00.000000Z",
        "path": "/x",
        "nan": "nan",
        "set": [1],
        "bytes": "b'x'",
        "half": "\\udc80",
        "n": 1.5,
    }


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@settings(deadline=None, max_examples=60)
@given(
    data=st.dictionaries(st.text(), JSON, max_size=4),
    subject=st.text().filter(lambda text: "\0" not in text),
    when=st.datetimes(timezones=st.just(UTC), min_value=datetime(1000, 1, 2)),
)
def test_any_json_and_any_text_survive_the_round_trip(
    tmp_path_factory: pytest.TempPathFactory, data: dict[str, object], subject: str, when: datetime
) -> None:
    event = Event(kind="k", subject=subject, when=when, context="", data=data)
    with Ledger.open(tmp_path_factory.mktemp("l") / "l.sqlite3") as ledger:
        ledger.append(event)
        assert ledger.events(subject=subject, since=when) == [event]


def test_the_audit_trail_is_chained_and_whole(path: Path) -> None:
    with Ledger.open(path) as ledger:
        assert ledger.verify_chain() == []
        assert [ledger.audit(replace(ENTRY, subject=f"app-{n}")) for n in range(5)] == [1, 2, 3, 4, 5]
        assert ledger.verify_chain() == ledger.check() == []
        trail = ledger.audit_trail()
        assert trail[0] == replace(ENTRY, subject="app-0")
        assert len({entry.hash for entry in trail}) == 5
        assert [entry.id for entry in ledger.audit_trail(limit=2)] == [4, 5]
        assert [entry.id for entry in ledger.audit_trail(subject="app-3", context="prod", since=NOON)] == [4]


@pytest.mark.parametrize(
    ("statement", "says"),
    [
        ("DELETE FROM audit WHERE id = 3", "line 3 is missing"),
        ("DELETE FROM audit WHERE id = 1", "line 1 is missing"),
        ("DELETE FROM audit WHERE id = 5", "ends with line 4; 5 lines"),
        ("DELETE FROM audit", "ends with line 0; 5 lines"),
        ("UPDATE audit SET outcome = 'failed' WHERE id = 2", "line 2 was changed"),
        ("UPDATE audit SET data = '{}' WHERE id = 5", "line 5 was changed"),
        ("UPDATE audit SET \"when\" = '2020' WHERE id = 4", "line 4 was changed"),
        ("UPDATE audit SET id = 9 WHERE id = 5", "line 5 is missing"),
        ("INSERT INTO audit SELECT 6, \"when\", actor, context, action, subject, outcome, data, hash, hash FROM audit"
         " WHERE id = 5", "line 6 was changed"),
        ("UPDATE chain SET length = 4", "ends with line 5; 4 lines"),
        ("DELETE FROM chain", "ends with line 5; 0 lines"),
    ],
)  # fmt: skip
def test_an_edited_trail_shows(path: Path, statement: str, says: str) -> None:
    with Ledger.open(path) as ledger:
        for number in range(5):
            ledger.audit(replace(ENTRY, subject=str(number)))
    edit(path, statement)
    with Ledger.open(path) as ledger:
        assert says in " ".join(ledger.verify_chain())


def test_two_lines_that_changed_places_show(path: Path) -> None:
    with Ledger.open(path) as ledger:
        for number in range(4):
            ledger.audit(replace(ENTRY, subject=str(number)))
    edit(path, *(f"UPDATE audit SET id = {new} WHERE id = {old}" for old, new in ((2, 90), (3, 2), (90, 3))))
    with Ledger.open(path) as ledger:
        assert ledger.verify_chain()


def test_a_trail_without_its_end_takes_no_more(path: Path) -> None:
    with Ledger.open(path) as ledger:
        ledger.audit(ENTRY)
    edit(path, "DELETE FROM chain")
    with Ledger.open(path) as ledger, pytest.raises(StoreError, match="lost its end"):
        ledger.audit(ENTRY)


def test_rows_cannot_be_changed_by_a_slip(path: Path) -> None:
    with Ledger.open(path) as ledger:
        ledger.append(EVENT)
        ledger.audit(ENTRY)
    connection = sqlite3.connect(path)
    for table in ("event", "audit"):
        for statement in (f"DELETE FROM {table}", f"UPDATE {table} SET subject = 'x'"):
            with pytest.raises(sqlite3.IntegrityError, match="append-only"):
                connection.execute(statement)
    connection.close()


def test_only_the_owner_can_read_it(path: Path) -> None:
    with Ledger.open(path) as ledger:
        ledger.append(EVENT)
        modes = {stat.S_IMODE(each.stat().st_mode) for each in path.parent.iterdir()}
    assert modes == {0o600}
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    path.chmod(0o644)
    Ledger.open(path).close()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_damaged_file_is_named_and_kept(path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(b"this is not a database" * 100)
    with pytest.raises(StoreError, match=r"ledger\.sqlite3 is damaged") as caught:
        Ledger.open(path)
    assert "ledger.sqlite3-wal" in str(caught.value.hint)
    assert path.read_bytes().startswith(b"this is not")


def test_damage_inside_is_an_error_and_shows_in_the_check(path: Path) -> None:
    with Ledger.open(path) as ledger:
        ledger.append_all(replace(EVENT, subject=str(n), data={"x": "y" * 200}) for n in range(500))
    content = bytearray(path.read_bytes())
    content[8192:40960] = b"\xee" * 32768
    path.write_bytes(content)
    with Ledger.open(path) as ledger:
        with pytest.raises(StoreError, match="damaged"):
            ledger.events()
        assert ledger.check()


def test_a_newer_version_is_refused(path: Path) -> None:
    Ledger.open(path).close()
    edit(path, "PRAGMA user_version = 99")
    with pytest.raises(StoreError, match="newer difyops") as caught:
        Ledger.open(path)
    assert "Upgrade" in str(caught.value.hint)


def test_a_file_of_the_first_version_is_brought_up_to_date_with_what_it_holds(path: Path) -> None:
    with Ledger.open(path) as ledger:
        ledger.append(EVENT)
        ledger.audit(ENTRY)
    edit(path, "DROP TABLE fact", "PRAGMA user_version = 1")
    with Ledger.open(path) as ledger:
        assert ledger.events() == [EVENT]
        assert ledger.check() == []
    connection = sqlite3.connect(path)
    assert connection.execute("PRAGMA user_version").fetchone() == (2,)
    assert connection.execute("SELECT * FROM fact").fetchall() == []
    connection.close()


def test_the_database_of_another_program_is_left_alone(path: Path) -> None:
    path.parent.mkdir()
    edit(path, "CREATE TABLE theirs (x)")
    before = path.read_bytes()
    with pytest.raises(StoreError, match="another program"):
        Ledger.open(path)
    assert path.read_bytes() == before


def test_a_folder_that_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(StoreError):
        Ledger.open(tmp_path / "file" / "ledger.sqlite3")
    (tmp_path / "folder").mkdir()
    with pytest.raises(StoreError):
        Ledger.open(tmp_path / "folder")


def test_a_full_disk_is_one_sentence_and_loses_nothing(path: Path) -> None:
    with Ledger.open(path) as ledger:
        ledger.append(EVENT)
        former = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (120_000, former[1]))
        try:
            with pytest.raises(StoreError, match="No room left"):
                ledger.append(replace(EVENT, data={"x": "y" * 1_000_000}))
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, former)
        assert ledger.events() == [EVENT]
        ledger.audit(ENTRY)
        assert ledger.check() == []


@pytest.mark.slow
def test_processes_append_at_once_without_loss(path: Path) -> None:
    children = [start_child("ledger", str(path), name, "60") for name in ("a", "b", "c")]
    for child in children:
        _, errors = child.communicate(timeout=100)
        assert child.returncode == 0, errors
    with Ledger.open(path) as ledger:
        assert {event.subject for event in ledger.events()} == {f"{name}{n}" for name in "abc" for n in range(60)}
        assert [entry.id for entry in ledger.audit_trail()] == list(range(1, 181))
        assert ledger.check() == []


@pytest.mark.slow
def test_killed_at_random_what_was_acknowledged_is_there(path: Path) -> None:
    acknowledged = 0
    for trial in range(5):
        child = start_child("ledger", str(path), f"t{trial}-", "100000")
        assert child.stdout is not None
        seen = [child.stdout.readline() for _ in range(7)]
        time.sleep(trial * 0.05)
        os.killpg(child.pid, signal.SIGKILL)
        output, _ = child.communicate(timeout=60)
        seen += output.splitlines()
        acknowledged = max([acknowledged, *(int(line) for line in seen if line.strip())])
    with Ledger.open(path) as ledger:
        assert acknowledged > 5
        assert len(ledger.audit_trail(limit=10**9)) >= acknowledged
        assert ledger.check() == []
