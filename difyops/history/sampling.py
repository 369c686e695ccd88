"""Which runs have their node records read, and with what chance: they cost one call each.

All failures, and the slowest 1 % of every version, with certainty. Of the rest a random part, version by version:
every run has a number between 0 and 1 drawn from its id and the salt, and runs are read in that order. Whenever
reading stops, the chance of those that were read is the number of the first one that was not: known, and recorded.
"""

# ruff: noqa: S608  (queries are put together from our own constants)
from __future__ import annotations

import hashlib
import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from difyops.history.store import OPEN, History

FAILURE, SLOW, DRAWN, GONE = "failure", "slow", "drawn", "gone"
CERTAIN = (FAILURE, SLOW)
_SLOWEST = 0.01
_FEWEST_FOR_TAIL = 100
_AT_LEAST = 20  # of every version, so that a new one is soon known
_FAILED = ("failed", "partial-succeeded")


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """A run to be read next, and why."""

    run: str
    version: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Run:
    id: str
    version: str
    status: str
    elapsed: float
    exceptions: int
    reason: str | None
    lot: float


def plan(history: History, context: str, app: str, *, since: float, share: float) -> list[Choice]:
    """Return the runs to read, most wanted first: failures, the slow tail, then ``share`` of the rest."""
    runs = _runs(history, context, app, since)
    failures = [run for run in runs if run.reason is None and (run.status in _FAILED or run.exceptions)]
    taken = {run.id for run in failures}
    slow = [run for run in _slow(runs) if run.reason is None and run.id not in taken]
    taken |= {run.id for run in slow}
    chosen = [_choice(run, FAILURE) for run in failures] + [_choice(run, SLOW) for run in slow]
    return chosen + [_choice(run, DRAWN) for run in _drawn(runs, taken, share)]


def _runs(history: History, context: str, app: str, since: float) -> list[_Run]:
    query = (
        "SELECT run.id, version, status, coalesce(elapsed, 0), exceptions, reason FROM run"
        " LEFT JOIN sample ON sample.context = run.context AND sample.app = run.app AND sample.run = run.id"
        f" WHERE run.context = ? AND run.app = ? AND started >= ? AND status NOT IN {OPEN!r}"
        " AND source NOT IN ('chat', 'debugging') ORDER BY started DESC, run.id"
    )
    salt = history.salt
    return [
        _Run(
            id=row[0], version=row[1], status=row[2], elapsed=row[3], exceptions=row[4], reason=row[5],
            lot=lot(salt, row[0]),
        )
        for row in history.all(query, [context, app, since])
    ]  # fmt: skip


def lot(salt: bytes, run: str) -> float:
    """Return the run's number, evenly between 0 and 1."""
    digest = hashlib.blake2b(run.encode(errors="surrogatepass"), key=salt, digest_size=8).digest()
    return (int.from_bytes(digest, "big") + 0.5) / 2**64


def _slow(runs: Sequence[_Run]) -> Iterator[_Run]:
    for group in _by_version(runs).values():
        if len(group) >= _FEWEST_FOR_TAIL:
            yield from sorted(group, key=lambda run: -run.elapsed)[: math.ceil(_SLOWEST * len(group))]


def _drawn(runs: Sequence[_Run], taken: set[str], share: float) -> list[_Run]:
    first: list[_Run] = []
    then: list[_Run] = []
    for group in _by_version(runs).values():
        rest = [run for run in group if run.reason in (None, DRAWN) and run.id not in taken]
        wanted = max(min(_AT_LEAST, len(rest)), math.ceil(share * len(rest)))
        have = sum(run.reason == DRAWN for run in rest)
        unread = sorted((run for run in rest if run.reason is None), key=lambda run: run.lot)[: max(0, wanted - have)]
        first += unread[: max(0, _AT_LEAST - have)]
        then += unread[max(0, _AT_LEAST - have) :]
    return first + sorted(then, key=lambda run: run.lot)


def refresh(history: History, context: str, app: str, *, since: float) -> None:
    """Record the chance of every drawn run, as things stand: the number of the first one of its version not read.

    One whose own number is larger (runs with smaller ones came later and were not read) has no known chance: 0, and
    no estimate uses it.
    """
    changes: list[tuple[float, str, str, str]] = []
    for group in _by_version(_runs(history, context, app, since)).values():
        limit = min((run.lot for run in group if run.reason is None and not _is_certain(run)), default=1.0)
        for run in group:
            if run.reason == DRAWN:
                changes.append((limit if run.lot < limit else 0.0, context, app, run.id))
    with history.changing() as connection:
        connection.executemany("UPDATE sample SET chance = ? WHERE context = ? AND app = ? AND run = ?", changes)


def _is_certain(run: _Run) -> bool:
    return run.status in _FAILED or run.exceptions > 0


def _by_version(runs: Sequence[_Run]) -> dict[str, list[_Run]]:
    groups: dict[str, list[_Run]] = defaultdict(list)
    for run in runs:
        groups[run.version].append(run)
    return groups


def _choice(run: _Run, reason: str) -> Choice:
    return Choice(run=run.id, version=run.version, reason=reason)
