"""One app's history in the store, what a snapshot holds of it, versions of the server, and what lies there in clear."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from datetime import UTC
from typing import Any

from difyops.api.model import App
from difyops.counting import counted
from difyops.errors import Refused
from difyops.outcome import Facts, Lines, Outcome, Table
from difyops.snapshot.app_history import AppLog, AppShown
from difyops.snapshot.leaks import Leaks
from difyops.snapshot.server_versions import ServerVersion

_SHORT = 10
_LOG = ("snapshot", "when", "tags", "what", "version", "named", "by")


def app_log(result: AppLog) -> Outcome:
    """Show the history of one app."""
    rows = [
        (
            row.commit[:_SHORT],
            f"{row.when.astimezone(UTC):%Y-%m-%d %H:%MZ}",
            ", ".join(row.tags),
            ", ".join(row.what),
            (row.version or "")[:8],
            row.name or row.comment,
            row.by,
        )
        for row in result.changes
    ]
    former = {row.app_id for row in result.changes} - {result.app_id}
    told = f", with that of the app it was restored from ({', '.join(sorted(former))})" if former else ""
    return Outcome(
        kind="snapshot.log",
        data=result.changes,
        blocks=[
            Table(columns=("snapshot", "when", "tags", "what", "version", "named", "by"), rows=rows, empty="Nothing.")
        ],
        summary=f"{counted(len(rows), 'change')} of {result.app}{told}",
        names=[row.commit for row in result.changes],
    )


def app_shown(result: AppShown) -> Outcome:
    """Show what one snapshot holds of one app."""
    record = result.record
    live: dict[str, Any] = record["live"] or {}
    facts: list[tuple[str, object]] = [
        ("app", record["name"]),
        ("id", record["id"]),
        ("mode", record["mode"]),
        ("snapshot", result.commit),
        ("taken", result.taken_at),
        ("description", record["description"]),
        ("tags", ", ".join(record["tags"])),
        ("API", record["enable_api"]),
        ("site", record["enable_site"]),
        ("live version", " ".join(filter(None, (live.get("id"), live.get("name"), live.get("comment")))) or None),
        ("published by", live.get("by")),
        ("draft", "edited, not published" if result.draft is not None else "as live"),
        *((f"trigger {item['title']}", f"{item['kind']}, {item['status']}") for item in record["triggers"]),
        ("sealed values", "in the store" if result.sealed else "fingerprints only"),
    ]
    nodes = [("", name) for name in result.nodes]
    return Outcome(
        kind="snapshot.show.app",
        data=result,
        blocks=[Facts(pairs=facts), *([Lines(title="Nodes", lines=nodes)] if nodes else [])],
        names=[record["name"]],
    )


def dsl_of(result: AppShown) -> Outcome:
    """Print the portable DSL of an app."""
    if result.dsl is None:
        raise Refused(
            f"{result.record['name']!r} was never published in {result.commit[:_SHORT]}; it has no DSL there."
        )
    return Outcome(kind="snapshot.show.app", data=result, raw=result.dsl.encode(), names=[result.record["name"]])


def versions(rows: Sequence[ServerVersion], app: App) -> Outcome:
    """Show the versions that the server keeps of an app, and how to go back where there is one to go back to."""
    lines = [
        ("*" if row.live else "", row.id, row.at, row.by, row.name or None, row.comment or None, row.changes)
        for row in rows
    ]
    columns = ("live", "id", "published", "by", "name", "comment", "changes")
    back = f"difyops snapshot rollback {shlex.quote(app.name)} --to previous, or --to with an id"
    return Outcome(
        kind="app.versions",
        data=rows,
        blocks=[Table(columns=columns, rows=lines, empty="Nothing was ever published.")],
        summary=counted(len(rows), "version") + (f"; back: {back}" if any(not row.live for row in rows) else ""),
        names=[row.id for row in rows],
    )


def leaks(result: Leaks) -> Outcome:
    """Show what lies in the snapshots in clear."""
    rows = [
        (leak.app, leak.file, leak.place, leak.first[:_SHORT], f"{leak.first_at:%Y-%m-%d}", leak.commits, leak.at_head)
        for leak in result.leaks
    ]
    columns = ("app", "file", "place", "from", "since", "snapshots", "in the newest")
    return Outcome(
        kind="snapshot.leaks",
        data=result.leaks,
        blocks=[Table(columns=columns, rows=rows, empty="No snapshot holds what looks like a secret in clear.")],
        summary=f"{counted(len(rows), 'place')} in {counted(result.snapshots, 'snapshot')} of {result.context}",
        names=[f"{leak.first}:{leak.app_id}/{leak.file}" for leak in result.leaks],
        error=result.error,
    )
