"""How rollback and restore look: the plan, and the end; one shape of data for one app and for ten."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from typing import Any

from difyops.counting import counted
from difyops.errors import DifyopsError, PartialFailure
from difyops.outcome import Block, Lines, Outcome, Table
from difyops.render.differences import change_lines, limited, short_version
from difyops.snapshot.plan import RollbackPlan
from difyops.snapshot.proof import Proof
from difyops.snapshot.restore import Restored, RestorePlan
from difyops.snapshot.restore_many import RestoredMany
from difyops.snapshot.rollback import RolledBack


def plan(result: RollbackPlan) -> list[Block]:
    """Lay out the plan of a rollback."""
    title = f"Roll back {result.app_name} ({result.mode}) on {result.context} to {result.target}"
    lines = [("#", title), *limited(change_lines(result.changes))]
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
        kind="snapshot.rollback.plan",
        data={"apps": plans, "failed": _reasons(failed)},
        records=[_row(item) for item in plans],
        blocks=blocks,
        summary=f"dry run: {len(moving)} planned, {len(there)} there already, {counted(problems, 'problem')},"
        " nothing was changed",
        names=[item.id for item in plans],
        warnings=[f"{name}: {problem.message}" for name, problem in failed.items()],
        error=PartialFailure(f"{len(failed)} of {counted(len(plans) + len(failed), 'app')} failed.")
        if failed
        else None,
    )


def rolled_back(done: Sequence[RolledBack], failed: Mapping[str, DifyopsError]) -> Outcome:
    """Show the end of a rollback: of one app with its proofs, of several as a table; ``failed`` has reasons by name."""
    rows = [{"app_id": item.plan.app_id, "app_name": item.plan.app_name, **_row(item)} for item in done]
    moved = sum(item.state == "rolled back" for item in done)
    total = len(done) + len(failed)
    error = PartialFailure(f"{len(failed)} of {counted(total, 'app')} failed.") if failed else None
    one = done[0] if total == 1 else None
    summary = f"{moved} rolled back, {len(done) - moved} there already, {len(failed)} failed"
    if one is not None:
        summary = f"{one.plan.app_name}: {one.state}, live version {short_version(one.live_after)}, {one.seconds:.1f} s"
    return Outcome(
        kind="snapshot.rollback",
        data={"apps": rows, "failed": _reasons(failed)},
        records=rows,
        blocks=[_proved(one) if one is not None else _ends(done, failed)],
        warnings=[warning for item in done for warning in item.warnings],
        error=error or next((item.error for item in done if item.error), None),
        summary=summary,
        names=[item.plan.app_id for item in done],
    )


def _ends(done: Sequence[RolledBack], failed: Mapping[str, DifyopsError]) -> Table:
    rows: list[tuple[object, ...]] = [(item.plan.app_name, item.state, item.live_after) for item in done]
    rows += [(name, "failed", error.message) for name, error in failed.items()]
    return Table(columns=("app", "state", "live"), rows=rows)


def _row(item: Any) -> dict[str, Any]:
    """Return what a result shows, by field."""
    return {shown.name: getattr(item, shown.name) for shown in fields(item) if shown.repr}


def _reasons(failed: Mapping[str, DifyopsError]) -> dict[str, object]:
    return {name: error.as_dict() for name, error in failed.items()}


def _proved(result: RolledBack) -> Lines:
    lines = [("#", f"{result.plan.app_name}: {result.state}"), *_proof_lines(result.proofs)]
    if result.draft:
        lines.append(("✓" if not result.warnings else "!", result.draft))
    if result.kept_as:
        lines.append(("✓", f"the config that was live stood in no snapshot and is kept as {result.kept_as}"))
    if result.smoke:
        lines.append(("✓", f"test run before it went live: {result.smoke}"))
    return Lines(lines=lines)


def restored(result: RestoredMany, *, dry_run: bool, refused: DifyopsError | None) -> Outcome:
    """Show what became of the apps, or of a dry run what would; ``refused``: why the only one would not be done."""
    shown = _restored_many(result, dry_run=dry_run)
    if result.is_one:
        shown = _restore_planned(result.plans[0], refused) if dry_run else _restored(result.apps[0])
    rows = result.plans if dry_run else result.apps
    return replace(
        shown,
        kind="snapshot.restore.plan" if dry_run else "snapshot.restore",
        data={"apps": rows, "failed": _reasons(result.failed), "still_here": result.still_here},
        records=[_row(item) for item in rows],
    )


def _restore_planned(result: RestorePlan, refused: DifyopsError | None) -> Outcome:
    lines = [("#", f"Restore {result.app_name} ({result.mode}) into {result.context} from {result.target}")]
    lines += [("", item) for item in result.notes] + [("✗", item) for item in result.unresolved]
    summary = f"dry run: {len(result.unresolved)} unresolved, nothing was changed"
    return Outcome(kind="", data=None, blocks=[Lines(lines=lines)], summary=summary, error=refused)


def _restored(result: Restored) -> Outcome:
    lines = [("#", f"{result.plan.app_name} is app {result.app_id}"), *_proof_lines(result.proofs)]
    return Outcome(
        kind="",
        data=None,
        blocks=[Lines(lines=lines)],
        summary=f"restored {result.plan.app_name} as {result.app_id}",
        warnings=result.warnings,
        names=[result.app_id],
        error=result.error,
    )


def _restored_many(result: RestoredMany, *, dry_run: bool) -> Outcome:
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
        kind="",
        data=None,
        blocks=[Table(columns=("app", "state", "id or why"), rows=rows, empty="Nothing to restore.")],
        summary=f"{did}, {len(result.failed)} failed, {len(result.still_here)} still here",
        warnings=[warning for item in result.apps for warning in item.warnings],
        names=[item.app_id for item in result.apps],
        error=result.error,
    )


def _proof_lines(proofs: Sequence[Proof]) -> list[tuple[str, str]]:
    return [("✓" if proof.ok else "✗", f"{proof.what}: {proof.found}") for proof in proofs]
