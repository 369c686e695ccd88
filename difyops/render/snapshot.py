"""How the snapshot room's results look: result in, ``Outcome`` out. No text here decides anything."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from difyops.counting import counted
from difyops.dsl.diff import Difference, describe
from difyops.dsl.diff_text import word_diff
from difyops.errors import DifyopsError, PartialFailure
from difyops.outcome import Block, Facts, Lines, Outcome, Table
from difyops.snapshot.check import Checked
from difyops.snapshot.compare import AppDiff, Comparison
from difyops.snapshot.drift import Drift
from difyops.snapshot.history import HistoryRow, ShownSnapshot, SnapshotHistory
from difyops.snapshot.plan import RollbackPlan
from difyops.snapshot.proof import Proof
from difyops.snapshot.restore import Restored, RestorePlan
from difyops.snapshot.restore_many import RestoredMany
from difyops.snapshot.rollback import RolledBack
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
        blocks.append(Lines(title="Changes", lines=_limited([("~", line) for line in result.changes])))
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
        (app.name, app.mode, states.get(app.id), (app.live or {}).get("name") or None, _short(app.live_version), app.id)
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
        lines += _change_lines(app.changes)
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
    details = [line for item in result.apps for line in _headed(item.name, item.changes)]
    blocks: list[Block] = [
        Table(columns=("app", "drift", "who", "when", "what"), rows=rows, empty="No drift: live is the last snapshot.")
    ]
    if details:
        blocks.append(Lines(lines=_limited(details)))
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


def plan(result: RollbackPlan) -> list[Block]:
    """Lay out the plan of a rollback."""
    title = f"Roll back {result.app_name} ({result.mode}) on {result.context} to {result.target}"
    lines = [("#", title), *_limited(_change_lines(result.changes))]
    lines += [("", f"keeps {item}") for item in result.keeps]
    lines += [("!", item) for item in result.notes]
    lines += [("✗", item) for item in result.problems]
    lines.append(("", f"plan {result.id}"))
    return [Lines(lines=lines)]


def planned(plans: Sequence[RollbackPlan], failed: Mapping[str, DifyopsError], *, with_name: bool = False) -> Outcome:
    """Show plans that are not carried out (``--dry-run``), and the apps for which none could be made.

    What is there already is told as such, as the real run does; ``with_name``: its name may still have to go back.
    """
    moving = [item for item in plans if with_name or not item.nothing_to_do]
    there = [item for item in plans if item not in moving]
    blocks = [block for item in moving for block in plan(item)]
    if there:
        lines = [("", f"{item.app_name}: nothing to do, it is as in {item.target}") for item in there]
        blocks.append(Lines(lines=lines))
    if failed:
        blocks.append(Lines(lines=[("✗", f"{name}: {problem.message}") for name, problem in failed.items()]))
    problems = sum(len(item.problems) for item in plans) + len(failed)
    return Outcome(
        kind="snapshot.rollback.plan" if len(plans) == 1 else "snapshot.rollback.plans",
        data=plans if len(plans) != 1 else plans[0],
        blocks=blocks,
        summary=f"dry run: {len(moving)} planned, {len(there)} there already, {counted(problems, 'problem')},"
        " nothing was changed",
        names=[item.id for item in plans],
        warnings=[f"{name}: {problem.message}" for name, problem in failed.items()],
        error=PartialFailure(f"{len(failed)} of {counted(len(plans) + len(failed), 'app')} failed.")
        if failed
        else None,
    )


def rolled_back(result: RolledBack) -> Outcome:
    """Show the end of a rollback."""
    lines = [("#", f"{result.plan.app_name}: {result.state}"), *_proof_lines(result.proofs)]
    if result.draft:
        lines.append(("✓" if not result.warnings else "!", result.draft))
    if result.kept_as:
        lines.append(("✓", f"the config that was live stood in no snapshot and is kept as {result.kept_as}"))
    if result.smoke:
        lines.append(("✓", f"test run before it went live: {result.smoke}"))
    return Outcome(
        kind="snapshot.rollback",
        data=result,
        blocks=[Lines(lines=lines)],
        warnings=list(result.warnings),
        error=result.error,
        summary=(
            f"{result.plan.app_name}: {result.state}, live version {_short(result.live_after)}, {result.seconds:.1f} s"
        ),
        names=[result.plan.app_id],
    )


def restore_planned(result: RestorePlan, refused: DifyopsError | None) -> Outcome:
    """Show the plan of a restore; ``refused``: why it would not be done."""
    lines = [("#", f"Restore {result.app_name} ({result.mode}) into {result.context} from {result.target}")]
    lines += [("", item) for item in result.notes] + [("✗", item) for item in result.unresolved]
    summary = f"dry run: {len(result.unresolved)} unresolved, nothing was changed"
    return Outcome(
        kind="snapshot.restore.plan", data=result, blocks=[Lines(lines=lines)], summary=summary, error=refused
    )


def restored(result: Restored) -> Outcome:
    """Show a restored app."""
    lines = [("#", f"{result.plan.app_name} is app {result.app_id}"), *_proof_lines(result.proofs)]
    return Outcome(
        kind="snapshot.restore",
        data=result,
        blocks=[Lines(lines=lines)],
        summary=f"restored {result.plan.app_name} as {result.app_id}",
        warnings=result.warnings,
        names=[result.app_id],
        error=result.error,
    )


def restored_many(result: RestoredMany, *, dry_run: bool) -> Outcome:
    """Show what became of several apps."""
    rows: list[tuple[object, ...]] = [
        (item.plan.app_name, "restored" if item.error is None else "restored, not proved", item.app_id)
        for item in result.apps
    ]
    rows += [
        (item.app_name, "blocked" if item.unresolved else "would be restored", "; ".join(item.unresolved[:3]) or None)
        for item in result.plans
    ]
    rows += [(name, "failed", error.message) for name, error in result.failed.items()]
    rows += [(name, "still here", None) for name in result.still_here]
    did = f"{len(result.plans)} would be restored" if dry_run else f"{len(result.apps)} restored"
    return Outcome(
        kind="snapshot.restore.all",
        data={
            "apps": result.plans if dry_run else result.apps,
            "failed": {name: error.as_dict() for name, error in result.failed.items()},
            "still_here": result.still_here,
        },
        blocks=[Table(columns=("app", "state", "id or why"), rows=rows, empty="Nothing to restore.")],
        summary=f"{did}, {len(result.failed)} failed, {len(result.still_here)} still here",
        warnings=[warning for item in result.apps for warning in item.warnings],
        names=[item.app_id for item in result.apps],
        error=result.error,
    )


def _proof_lines(proofs: Sequence[Proof]) -> list[tuple[str, str]]:
    return [("✓" if proof.ok else "✗", f"{proof.what}: {proof.found}") for proof in proofs]


def _headed(name: str, changes: Sequence[Difference]) -> list[tuple[str, str]]:
    return [("#", name), *_change_lines(changes)] if changes else []


def _change_lines(changes: Sequence[Difference]) -> list[tuple[str, str]]:
    lines: list[tuple[str, str]] = []
    for change in changes:
        lines.append((_MARKS.get(change.action, "~"), describe(change)))
        lines += [(mark, f"    {line}") for mark, line in _in_words(change.lines)]
    return lines


def _in_words(lines: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    """Return lines in which a changed line is shown once, its changed words marked, where both sides are alike."""
    shown: list[tuple[str, str]] = []
    rest = list(lines)
    while rest:
        gone = list(itertools.takewhile(lambda line: line[0] == "-", rest))
        come = list(itertools.takewhile(lambda line: line[0] == "+", rest[len(gone) :]))
        if not gone or len(gone) != len(come):
            taken = len(gone) + len(come) or 1
            shown += rest[:taken]
        else:
            taken = len(gone) + len(come)
            pairs = list(zip(gone, come, strict=True))
            words = [word_diff(old, new) for (_, old), (_, new) in pairs]
            if None in words:
                shown += rest[:taken]
            else:
                shown += [("~", text) for text in words if text is not None]
        rest = rest[taken:]
    return shown


def _limited(lines: list[tuple[str, str]]) -> list[tuple[str, str]]:
    if len(lines) <= _MOST_LINES:
        return lines
    return [*lines[:_MOST_LINES], ("", f"... and {counted(len(lines) - _MOST_LINES, 'more line')} (-o json has all)")]


def _record(app: AppDiff) -> dict[str, Any]:
    return {"id": app.id, "name": app.name, "state": app.state, "changes": app.changes, "error": app.error}


def _short(version: str | None) -> str:
    return version[:8] if version else "-"
