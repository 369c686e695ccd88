"""The tables of a shared ledger in PostgreSQL: the ledger's own, who holds which lock, and what is known about it all.

Columns have the names, the order and the meaning of those in the SQLite file. Text sorts by its bytes, whatever the
database's language. Numbers of events are given out by the row of ``chain``: without gaps, in the order of the commits.
"""

# ruff: noqa: S608  (queries are put together from our own constants)
from __future__ import annotations

from collections.abc import Iterator

from difyops.ledger.records import GENESIS

SCHEMA = "difyops"
VERSION = 1
_TEXT = 'TEXT COLLATE "C" NOT NULL'
_APPEND_ONLY = "CREATE TRIGGER {0}_is_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON {0} EXECUTE FUNCTION refuse()"

_FIRST = (
    f"CREATE TABLE chain (one INTEGER PRIMARY KEY CHECK (one = 1), length BIGINT NOT NULL, hash {_TEXT},"
    " events BIGINT NOT NULL DEFAULT 0)",
    f"INSERT INTO chain VALUES (1, 0, '{GENESIS}')",
    "CREATE FUNCTION next_event() RETURNS BIGINT LANGUAGE sql AS"
    " 'UPDATE difyops.chain SET events = events + 1 RETURNING events'",
    "CREATE FUNCTION refuse() RETURNS TRIGGER LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION ''append-only''; END'",
    f'CREATE TABLE event (id BIGINT PRIMARY KEY DEFAULT next_event(), "when" {_TEXT}, kind {_TEXT}, subject {_TEXT},'
    f" context {_TEXT}, data {_TEXT})",
    "CREATE INDEX event_kind ON event (kind, id)",
    "CREATE INDEX event_subject ON event (subject, id)",
    f'CREATE TABLE audit (id BIGINT PRIMARY KEY, "when" {_TEXT}, actor {_TEXT}, context {_TEXT}, action {_TEXT},'
    f" subject {_TEXT}, outcome {_TEXT}, data {_TEXT}, prev_hash {_TEXT}, hash {_TEXT})",
    _APPEND_ONLY.format("event"),
    _APPEND_ONLY.format("audit"),
    f"CREATE TABLE fact (name TEXT PRIMARY KEY, value {_TEXT})",
    f"CREATE TABLE holder (name TEXT PRIMARY KEY, token {_TEXT}, backend INTEGER NOT NULL, host {_TEXT},"
    f" pid BIGINT NOT NULL, actor {_TEXT}, command {_TEXT}, holding {_TEXT},"
    " since TIMESTAMPTZ NOT NULL DEFAULT clock_timestamp())",
)
_STEPS = (_FIRST,)


def since(version: int) -> Iterator[str]:
    """Yield what leads from ``version`` (0: nothing is there) to ours."""
    for step in _STEPS[version:]:
        yield from step
    yield f"INSERT INTO fact VALUES ('version', '{VERSION}') ON CONFLICT (name) DO UPDATE SET value = '{VERSION}'"
