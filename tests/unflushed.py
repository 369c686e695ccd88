"""Nothing that a test writes is flushed to the disk: a killed process loses nothing for it, and no test cuts the power.

A disk takes milliseconds for each flush, and the suite asks for tens of thousands. That difyops flushes is held by
``tests/store/test_flushes.py``, with the ``flushed`` fixture.
"""

from __future__ import annotations

import os
import sqlite3
from dataclasses import replace
from typing import Any

import pytest

from difyops.git_store import plumbing
from difyops.ledger import database

_REAL = (os.fsync, plumbing._durability, database._flush)


def _no_flush(_descriptor: Any) -> None:
    """Return at once."""


def _no_flush_by_git() -> tuple[str, ...]:
    return ("core.fsync=none",) if plumbing.version() >= plumbing._ALL_FSYNC else ("core.fsyncObjectFiles=false",)


def _no_flush_by_sqlite(connection: sqlite3.Connection, layout: database.Layout) -> None:
    _REAL[2](connection, replace(layout, synchronous="OFF"))


def install() -> None:
    """Leave flushing out, in this process and those that are forked from it."""
    os.fsync = _no_flush  # type: ignore[assignment]
    plumbing._durability = _no_flush_by_git
    database._flush = _no_flush_by_sqlite


@pytest.fixture
def flushed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have everything flushed as an operator has it."""
    monkeypatch.setattr(os, "fsync", _REAL[0])
    monkeypatch.setattr(plumbing, "_durability", _REAL[1])
    monkeypatch.setattr(database, "_flush", _REAL[2])
