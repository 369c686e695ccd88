"""How history looks: what a sync did, what is kept, what went out or came in."""

from __future__ import annotations

from difyops.clock import iso
from difyops.counting import counted
from difyops.history.archive import Exported, Imported
from difyops.history.status import AppStatus, HistoryStatus
from difyops.history.sync import Synced
from difyops.outcome import Facts, Outcome, Table


def synced(result: Synced) -> Outcome:
    """Show what a sync read, app by app."""
    rows = [
        (app.name, app.mode, app.runs, app.messages, app.nodes_of, _length(app.seconds_missing), app.error)
        for app in result.apps
    ]
    total = sum(app.runs for app in result.apps)
    said = (
        f"{counted(total, 'run')} of {counted(len(rows), 'app')} up to {iso(result.until)},"
        f" {counted(result.calls, 'call')}"
    )
    return Outcome(
        kind="history.sync",
        data=result,
        blocks=[Table(columns=("app", "mode", "runs", "messages", "node records of", "missing", "error"), rows=rows)],
        summary=said + (f"; ended early: {result.stopped}" if result.stopped else ""),
        warnings=list(result.warnings),
        names=[app.name for app in result.apps],
        records=[{"kind": "app", "id": app.id, "name": app.name, "runs": app.runs} for app in result.apps],
        error=result.error,
    )


def status(result: HistoryStatus) -> Outcome:
    """Show what is kept."""
    rows = [
        (
            app.name, app.runs, ", ".join(f"{name} {count}" for name, count in sorted(app.sources.items())),
            app.running, f"{100 * app.sampled:.1f} %", app.messages, _since(app), _until(app), _gaps(app),
            ", ".join(app.packed),
        )
        for app in result.apps
    ]  # fmt: skip
    columns = ("app", "runs", "by source", "open", "nodes read of", "messages", "since", "until", "gaps", "packed")
    others = [
        (other.host, iso(other.until), "yes" if other.is_whole else "with gaps", len(other.covered), other.fills)
        for other in result.elsewhere
    ]
    there = ("other machine", "has read until", "whole", "apps", "gaps of here that it has")
    return Outcome(
        kind="history.status",
        data=result,
        blocks=[
            Table(columns=columns, rows=rows, empty="Nothing is kept yet: difyops history sync."),
            *([Table(columns=there, rows=others)] if others else []),
        ],
        summary=f"{counted(len(rows), 'app')}, {counted(result.calls, 'call')} spent, {result.size / 2**20:.1f} MiB",
        names=[app.name for app in result.apps],
    )


def exported(result: Exported, *, kind: str = "history.export") -> Outcome:
    """Show what was written."""
    pairs: list[tuple[str, object]] = [("folder", result.folder), ("months", ", ".join(result.months))]
    pairs += [(f"{table} rows", count) for table, count in result.rows.items()]
    return Outcome(
        kind=kind, data=result, blocks=[Facts(pairs=pairs)], names=[result.folder],
        summary=f"{counted(sum(result.rows.values()), 'row')} into {result.folder}",
    )  # fmt: skip


def imported(result: Imported) -> Outcome:
    """Show what was read."""
    pairs: list[tuple[str, object]] = [
        ("from", result.source),
        *((f"{name} rows", n) for name, n in result.rows.items()),
        ("hours covered", round(result.seconds_covered / 3600, 1)),
    ]
    if result.not_whole:
        pairs.append(("not whole, to be read again", ", ".join(result.not_whole)))
    return Outcome(
        kind="history.import", data=result, blocks=[Facts(pairs=pairs)], names=[result.source],
        summary=f"{counted(sum(result.rows.values()), 'row')} from {result.source}",
    )  # fmt: skip


def forgotten(rows: dict[str, int], what: str, *, dry_run: bool) -> Outcome:
    """Show what was deleted."""
    pairs: list[tuple[str, object]] = [(name, count) for name, count in rows.items() if count]
    word = "would forget" if dry_run else "forgot"
    return Outcome(
        kind="history.forget", data={"what": what, "rows": rows, "dry_run": dry_run},
        blocks=[Facts(pairs=pairs or [("rows", 0)])], summary=f"{word} {what}", names=[what],
    )  # fmt: skip


def _since(app: AppStatus) -> str | None:
    found = [item.since for item in app.covered if item.since]
    return iso(min(found)) if found else None


def _until(app: AppStatus) -> str | None:
    found = [item.until for item in app.covered if item.until]
    return iso(min(found)) if found else None


def _gaps(app: AppStatus) -> str | None:
    found = [f"{iso(a)}..{iso(b)}" for item in app.covered for a, b in item.gaps]
    more = f" and {len(found) - 2} more" if len(found) > 2 else ""
    return (", ".join(found[:2]) + more) or None


def _length(seconds: float) -> str | None:
    if seconds <= 0:
        return None
    for size, word in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds / size:.1f} {word}"
    return f"{seconds:.0f} s"
