"""What is kept: covered stretches, gaps, how many node records were read, and the calls that it took."""

# ruff: noqa: S608  (queries are put together from our own constants)
from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import datetime

from difyops.clock import from_unix
from difyops.history.gaps import gaps
from difyops.history.others import Elsewhere
from difyops.history.packed_counts import PackedCounts, packed_counts
from difyops.history.store import OPEN, History


@dataclass(frozen=True, slots=True, kw_only=True)
class Covered:
    """One list of an app: from when to when it is complete, and what is missing in between."""

    feed: str
    since: datetime | None
    until: datetime | None
    gaps: tuple[tuple[datetime, datetime], ...]
    calls: int


@dataclass(frozen=True, slots=True, kw_only=True)
class AppStatus:
    """One app, packed months included. ``sampled`` is the share of its ended runs whose node records were read;
    ``sources`` counts runs: those of packed months as ``packed`` where DuckDB is not there to tell them apart.
    """

    id: str
    name: str
    mode: str
    runs: int
    sources: dict[str, int]
    running: int
    nodes: int
    sampled: float
    messages: int
    covered: tuple[Covered, ...]
    gone: datetime | None
    packed: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryStatus:
    """The history of one context. ``calls`` were spent in all syncs; ``size`` is the file's bytes.

    ``elsewhere``: how far other machines have read, where they share the ledger.
    """

    context: str
    apps: tuple[AppStatus, ...]
    calls: int
    size: int
    last: datetime | None
    elsewhere: tuple[Elsewhere, ...] = ()


def status(history: History, context: str) -> HistoryStatus:
    """Look at what is kept of a context."""
    rows = history.all("SELECT id, name, mode, gone FROM app WHERE context = ? ORDER BY name, id", [context])
    calls = history.one("SELECT sum(calls) FROM visit WHERE context = ?", [context]) or 0
    last = history.one("SELECT max(ended) FROM visit WHERE context = ?", [context])
    in_packs = packed_counts(history, context)
    apps = tuple(_app(history, context, in_packs.get(row[0], PackedCounts()), *row) for row in rows)
    size = history.path.stat().st_size
    return HistoryStatus(context=context, apps=apps, calls=calls, size=size, last=from_unix(last))


def _app(
    history: History, context: str, in_packs: PackedCounts, app: str, name: str, mode: str, gone: float | None
) -> AppStatus:  # fmt: skip
    given = [context, app]
    rows = history.all("SELECT source, count(*) FROM run WHERE context = ? AND app = ? GROUP BY source", given)
    sources = Counter(dict(rows)) + Counter(in_packs.sources)
    running = history.one(f"SELECT count(*) FROM run WHERE context = ? AND app = ? AND status IN {OPEN!r}", given)
    read = in_packs.read + history.one(
        "SELECT count(*) FROM sample JOIN run ON run.context = sample.context AND run.app = sample.app AND"
        " run.id = sample.run WHERE sample.context = ? AND sample.app = ? AND reason <> 'gone'", given,
    )  # fmt: skip
    running += in_packs.running
    ended = sum(sources.values()) - sources.get("debugging", 0) - running
    feeds = [
        row[0]
        for row in history.all("SELECT DISTINCT feed FROM covered WHERE context = ? AND app = ? ORDER BY feed", given)
    ]
    months = history.all("SELECT DISTINCT month FROM pack WHERE context = ? AND app = ? ORDER BY month", given)
    nodes = history.one("SELECT count(*) FROM node WHERE context = ? AND app = ? AND attempt = 0", given)
    messages = history.one("SELECT count(*) FROM message WHERE context = ? AND app = ?", given)
    return AppStatus(
        id=app, name=name, mode=mode, runs=sum(sources.values()), sources=dict(sources), running=running,
        nodes=nodes + in_packs.nodes, sampled=round(read / ended, 4) if ended > 0 else 0.0,
        messages=messages + in_packs.messages,
        covered=tuple(_covered(history, context, app, feed) for feed in feeds),
        gone=from_unix(gone), packed=tuple(row[0] for row in months),
    )  # fmt: skip


def _covered(history: History, context: str, app: str, feed: str) -> Covered:
    found = history.stretches(context, app, feed)
    missing = gaps(found, found[0].t0, found[-1].t1) if found else []
    shown = tuple((_moment(gap.t0), _moment(gap.t1)) for gap in missing)
    return Covered(
        feed=feed, since=from_unix(found[0].t0) if found else None, until=from_unix(found[-1].t1) if found else None,
        gaps=shown, calls=sum(stretch.calls for stretch in found),
    )  # fmt: skip


def _moment(seconds: float) -> datetime:
    found = from_unix(seconds)
    assert found is not None  # noqa: S101  (only None gives None)
    return found
