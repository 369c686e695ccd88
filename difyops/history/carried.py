"""The coverage that goes with an export: which stretches of time its rows are all of, and how many rows that were.

A machine that takes the rows of another takes its coverage with them, and reads none of it again; but only that of apps
whose rows came whole, file by file. Months that were packed are in no export, nor is their coverage.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

from difyops import atomic_file
from difyops.errors import StoreError
from difyops.history.gaps import gaps
from difyops.history.store import Batch, History, Stretch

FOLDER = "coverage"
_LATEST = 8 * 86400.0  # seconds between the start of a run and its place in the log: it may be paused for a week
Counts = Mapping[str, int]  # rows by table, app and month, as ``counted_as`` names them


@dataclass(frozen=True, slots=True, kw_only=True)
class CarriedApp:
    """One app of an export: its name, what is covered of each feed, how many rows of it there must be."""

    id: str
    name: str
    mode: str
    covered: Mapping[str, tuple[Stretch, ...]]
    rows: Counts


@dataclass(frozen=True, slots=True, kw_only=True)
class Carried:
    """The coverage of one context."""

    context: str
    apps: tuple[CarriedApp, ...]


def counted_as(table: str, app: str, month: str) -> str:
    """Return how the rows of a table, an app and a month are named where they are counted."""
    return f"{table} {month} {app}"


def drop_coverage(folder: Path, context: str) -> None:
    """Take away what an earlier export said of a context: its files are about to be written anew."""
    atomic_file.remove(_place(folder, context))


def covered_of(history: History, context: str) -> list[CarriedApp]:
    """Return what the rows in SQLite are all of. It is read before the rows: these can only have become more."""
    names = {row[0]: row[1:] for row in history.all("SELECT id, name, mode FROM app WHERE context = ?", [context])}
    feeds: dict[str, dict[str, tuple[Stretch, ...]]] = {}
    for app, feed in history.all("SELECT DISTINCT app, feed FROM covered WHERE context = ? ORDER BY app", [context]):
        found = _without(history.stretches(context, app, feed), _packed(history, context, app))
        feeds.setdefault(app, {})[feed] = tuple(found)
    unknown = ("", "")
    return [
        CarriedApp(id=app, name=names.get(app, unknown)[0], mode=names.get(app, unknown)[1], covered=covered, rows={})
        for app, covered in feeds.items()
    ]


def write_coverage(folder: Path, context: str, apps: list[CarriedApp], counts: Mapping[str, Counts]) -> None:
    """Write the coverage of a context beside its files; ``counts``: the rows in these, by app.

    Raises:
        StoreError: it cannot be written.
    """
    said = {
        app.id: {
            "name": app.name,
            "mode": app.mode,
            "rows": counts.get(app.id, {}),
            "covered": {
                feed: [[it.t0, it.t1, it.rows, it.calls, it.read_at] for it in found]
                for feed, found in app.covered.items()
            },
        }
        for app in apps
    }
    content = json.dumps({"difyops": "coverage/v1", "context": context, "apps": said}, indent=1)
    atomic_file.write(_place(folder, context), content.encode())


def read_coverage(folder: Path) -> list[Carried]:
    """Return the coverage that a folder brings, of each context; none where an older difyops wrote it.

    Raises:
        StoreError: a file of it is damaged.
    """
    return [_carried(file) for file in sorted((folder / FOLDER).glob("*.json"))]


def take_coverage(history: History, carried: Carried, there: Counts) -> tuple[int, list[str]]:
    """Take the coverage of the apps whose rows are all ``there``; return the seconds new here, and who was left out."""
    seconds, left_out = 0.0, list[str]()
    for app in carried.apps:
        if any(there.get(name, 0) < rows for name, rows in app.rows.items()):
            left_out.append(app.name or app.id)
            continue
        if app.name and not history.all("SELECT 1 FROM app WHERE context = ? AND id = ?", [carried.context, app.id]):
            history.note_app(carried.context, app.id, name=app.name, mode=app.mode)
        for feed, found in app.covered.items():
            for stretch in found:
                for new in _without([stretch], history.stretches(carried.context, app.id, feed)):
                    history.write(carried.context, app.id, feed, Batch(rows={}, stretch=new))
                    seconds += new.t1 - new.t0
    return round(seconds), left_out


def _place(folder: Path, context: str) -> Path:
    return folder / FOLDER / f"{quote(context, safe='')}.json"


def _without(found: list[Stretch], holes: list[Stretch]) -> list[Stretch]:
    """Return what is left of stretches where others lie."""
    inner = sorted(holes, key=lambda hole: hole.t0)
    return [
        Stretch(t0=gap.t0, t1=gap.t1, rows=it.rows, calls=it.calls, read_at=it.read_at)
        for it in found
        for gap in gaps([hole for hole in inner if hole.t1 > it.t0 and hole.t0 < it.t1], it.t0, it.t1)
    ]


def _packed(history: History, context: str, app: str) -> list[Stretch]:
    rows = history.all("SELECT DISTINCT month FROM pack WHERE context = ? AND app = ?", [context, app])
    return [_month(str(month)) for (month,) in rows]


def _month(text: str) -> Stretch:
    first = datetime.strptime(text, "%Y-%m").replace(tzinfo=UTC)
    after = first.replace(year=first.year + first.month // 12, month=first.month % 12 + 1)
    return Stretch(t0=first.timestamp(), t1=after.timestamp() + _LATEST)


def _carried(file: Path) -> Carried:
    try:
        said = json.loads(file.read_bytes())
        return Carried(
            context=_text(said["context"]),
            apps=tuple(
                CarriedApp(
                    id=_text(app), name=_text(it["name"]), mode=_text(it["mode"]),
                    covered={_text(feed): tuple(_stretches(found)) for feed, found in it["covered"].items()},
                    rows={_text(name): int(rows) for name, rows in it["rows"].items()},
                )
                for app, it in said["apps"].items()
            ),
        )  # fmt: skip
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise StoreError(
            f"{file} is no coverage that difyops wrote.", hint="Without it the rows alone are read: delete that file."
        ) from error


def _stretches(found: Any) -> Iterator[Stretch]:
    for t0, t1, rows, calls, read_at in found:
        if not (math.isfinite(t0) and math.isfinite(t1) and t0 <= t1):
            raise ValueError(t0)
        yield Stretch(t0=float(t0), t1=float(t1), rows=int(rows), calls=int(calls), read_at=float(read_at))


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(value)
    return value
