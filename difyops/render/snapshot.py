"""How the snapshot room's results look: result in, ``Outcome`` out. No text here decides anything."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from difyops.counting import counted
from difyops.outcome import Block, Facts, Lines, Outcome, Table
from difyops.render.differences import change_lines, headed, limited, short_version
from difyops.snapshot.check import Checked
from difyops.snapshot.compare import AppDiff, Comparison
from difyops.snapshot.drift import Drift
from difyops.snapshot.history import HistoryRow, ShownSnapshot, SnapshotHistory
from difyops.snapshot.take import Taken

_MARKS = {"added": "+", "removed": "-", "changed": "~"}
_MOST_LINES = 40


def taken(result: Taken, *, dry_run: bool) -> Outcome:
    """Show a snapshot that was taken."""
    counts = result.counts
    read = f"{counts['read']} of {counted(counts['apps'], 'app')} read"
    looked_at_some = not result.changed and not result.failed and result.state != "complete"
    state = "nothing new in what was looked at" if looked_at_some else result.state
    did = "would write" if dry_run and result.changed else "new snapshot" if result.changed else "unchanged since"
    commit = result.commit[:10] if result.commit else "none yet"
    pairs: list[tuple[str, object]] = [
        ("context", result.context),
        ("snapshot", commit),
        ("state", state),
        ("apps", read),
        ("sealed", _sealed(result) or None),
        ("tag", result.tag),
    ]
    blocks: list[Block] = [Facts(pairs=pairs)]
    if result.changed:
        blocks.append(Lines(title="Changes", lines=limited([("~", line) for line in result.changes])))
    if result.failed:
        rows = [(item["name"], item["code"], item["message"]) for item in result.failed]
        blocks.append(Table(title="Not read", columns=("name", "code", "why"), rows=rows))
    found = result.plaintext_secrets
    warnings = [f"{item.app}: {item.place} looks like a secret in plain text ({item.kind})" for item in found[:5]]
    if len(found) > 5:
        warnings.append(
            f"{counted(len(found) - 5, 'more place looks', 'more places look')} like secrets in plain text"
            " (difyops doctor lists them)"
        )
    return Outcome(
        kind="snapshot.create",
        data=result,
        blocks=blocks,
        summary=f"{did} {commit}: {read}, {counts['failed']} failed, {state}, {result.seconds:.1f} s",
        warnings=[*result.warnings, *warnings],
        names=[result.commit or ""],
        error=result.error,
    )


def _sealed(result: Taken) -> str:
    kinds = ", ".join(f"{number} in {kind}" for kind, number in result.sealed.items())
    return f"{kinds} ({'kept for the recipients' if result.recoverable else 'fingerprints only'})" if kinds else ""


def history(result: SnapshotHistory) -> Outcome:
    """Show the list of snapshots."""
    rows = [
        (row.commit[:10], row.when, ", ".join(row.tags), row.state, _held(row), row.failed, row.subject)
        for row in result.rows
    ]
    return Outcome(
        kind="snapshot.list",
        data=result.rows,
        blocks=[
            Table(
                columns=("snapshot", "when", "tags", "state", "apps", "failed", "what"),
                rows=[(row[0], f"{row[1].astimezone(UTC):%Y-%m-%d %H:%MZ}", *row[2:]) for row in rows],
                empty=f"No snapshot of {result.context} yet.",
            )
        ],
        summary=f"{counted(len(rows), 'snapshot')} of {result.context}, last checked {result.checked_at or 'never'}",
        names=[row.commit for row in result.rows],
    )


def _held(row: HistoryRow) -> object:
    """Return how many apps a snapshot holds; of how many, where only some were ever asked for."""
    return f"{row.apps} of {row.listed}" if row.coverage and row.listed is not None else row.apps


def shown(result: ShownSnapshot) -> Outcome:
    """Show one snapshot."""
    manifest = result.manifest
    facts: list[tuple[str, object]] = [
        ("snapshot", result.commit),
        ("context", manifest.context),
        ("instance", f"{manifest.instance} ({manifest.server_version})"),
        ("workspace", manifest.workspace_name),
        ("taken", manifest.taken_at),
        ("state", manifest.state),
        ("selection", ", ".join(manifest.selection)),
        ("holds", None if manifest.covers_all else f"a selection: {', '.join(manifest.coverage)}"),
        ("files", len(manifest.files)),
    ]
    states = {app_id: entry.state for app_id, entry in manifest.apps.items()}
    rows = [
        (
            app.name,
            app.mode,
            states.get(app.id),
            (app.live or {}).get("name") or None,
            short_version(app.live_version),
            app.id,
        )
        for app in result.apps
    ]
    blocks: list[Block] = [
        Facts(pairs=facts),
        Table(columns=("app", "mode", "state", "version", "live", "id"), rows=rows),
    ]
    if manifest.failed:
        failed = [(item["name"], item["code"], item["message"]) for item in manifest.failed]
        blocks.append(Table(title="Not read", columns=("name", "code", "why"), rows=failed))
    return Outcome(kind="snapshot.show", data=result, blocks=blocks, names=[app.name for app in result.apps])


def comparison(result: Comparison) -> Outcome:
    """Show a semantic diff."""
    lines: list[tuple[str, str]] = []
    for app in result.apps:
        lines.append(("#", f"{app.name} ({app.state})"))
        lines += change_lines(app.changes)
        if app.error:
            lines.append(("!", app.error))
    count = sum(app.state != "failed" for app in result.apps)
    return Outcome(
        kind="snapshot.diff",
        data=result,
        blocks=[Lines(lines=lines or [("", "No difference in meaning.")])],
        warnings=list(result.warnings),
        summary=f"{count} of {counted(result.compared, 'app')} differ between {result.left} and {result.right}",
        names=[app.name for app in result.apps],
        records=[_record(app) for app in result.apps],
        error=result.error,
    )


def drift(result: Drift) -> Outcome:
    """Show drift."""
    rows = [(item.name, item.kind, item.who, item.when, item.what) for item in result.apps]
    details = [line for item in result.apps for line in headed(item.name, item.changes)]
    blocks: list[Block] = [
        Table(columns=("app", "drift", "who", "when", "what"), rows=rows, empty="No drift: live is the last snapshot.")
    ]
    if details:
        blocks.append(Lines(lines=limited(details)))
    return Outcome(
        kind="snapshot.drift",
        data=result,
        blocks=blocks,
        warnings=list(result.warnings),
        summary=(
            f"{len({item.id for item in result.apps if item.kind != 'unreadable'})} of"
            f" {counted(result.compared, 'app')} drifted, "
            f"{sum(item.kind == 'unreadable' for item in result.apps)} unreadable, against {result.commit[:10]} "
            f"(taken {result.taken_at}, last checked {result.checked_at or 'never'})"
        ),
        names=[item.name for item in result.apps],
        error=result.error,
    )


def drift_line(now: Drift, before: Drift | None) -> list[str]:
    """Tell in lines what is new in a drift against the look before."""
    known = {(item.id, item.kind): item.what for item in before.apps} if before else {}
    fresh = [item for item in now.apps if known.get((item.id, item.kind)) != item.what]
    still = {(item.id, item.kind) for item in now.apps}
    names = {item.id: item.name for item in before.apps} if before else {}
    at = f"{datetime.now(UTC):%H:%M:%S}Z"
    lines = [f"{at}  {item.name}: {item.kind}{f' by {item.who}' if item.who else ''} ({item.what})" for item in fresh]
    lines += [f"{at}  {names[app_id]}: no more {kind}" for app_id, kind in known if (app_id, kind) not in still]
    return lines or [f"{at}  no drift: {counted(now.compared, 'app looks', 'apps look')} like {now.commit[:10]}"]


def checked(result: Checked) -> Outcome:
    """Show a verification."""
    lines = [("✗", problem) for problem in result.problems] or [("✓", "everything is as it was written")]
    state = "complete" if result.complete else "partial"
    return Outcome(
        kind="snapshot.verify",
        data=result,
        blocks=[Lines(lines=lines)],
        summary=f"{counted(result.files, 'file')} in {counted(result.snapshots, 'snapshot')} re-hashed; the"
        f" newest is {state}",
        error=result.error,
    )


def _record(app: AppDiff) -> dict[str, Any]:
    return {"id": app.id, "name": app.name, "state": app.state, "changes": app.changes, "error": app.error}
