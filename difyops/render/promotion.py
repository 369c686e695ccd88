"""How promotions look: what cannot be resolved first, every binding, and ring by ring what became of each app."""

from __future__ import annotations

from difyops.counting import counted
from difyops.errors import AnswerIsNo
from difyops.outcome import Block, Facts, Outcome, Table
from difyops.release.promote.plan import Promotion
from difyops.release.promote.run import Promoting


def planned(found: Promotion, path: str | None) -> Outcome:
    """Show a plan; ``path``: where it was written, ``None`` when it was not."""
    problems = found.problems
    steps = [(ring, step) for ring in found.rings for step in ring.steps]
    rows = [
        (ring.context, step.source_name, row.kind, row.name, row.problem or row.rule)
        for ring, step in steps
        for row in step.rows
    ]
    rows.sort(
        key=lambda row: not any(row[3] == problem.name and row[4] == problem.problem for _, _, problem in problems)
    )
    facts: list[tuple[str, object]] = [
        ("from", found.source), ("to", " -> ".join(ring.context for ring in found.rings)), ("apps", len(steps)),
        ("unresolved", len(problems)), ("secrets", "taken along where missing" if found.with_secrets else "stay"),
    ]  # fmt: skip
    releases: list[tuple[object, ...]] = [
        (ring.context, step.source_name, step.plan.app_name, len(step.plan.changes), "; ".join(step.plan.changes[:2]))
        for ring, step in steps
        if step.plan is not None
    ]
    releases += [
        (ring.context, step.source_name, None, 0, "it is there already") for ring, step in steps if step.is_same
    ]
    blocks: list[Block] = [
        Facts(pairs=facts),
        Table(title="Bindings", columns=("to", "app", "kind", "what", "how"), rows=rows, empty="Nothing is bound."),
        Table(title="Releases", columns=("to", "app", "over", "changes", "first"), rows=releases,
              empty="No app can be promoted."),
    ]  # fmt: skip
    error = None
    if problems:
        ring_name, app, row = problems[0]
        more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
        error = AnswerIsNo(f"{app} to {ring_name}: {row.kind} {row.name}: {row.problem}{more}.",
                           hint="Bind it in the bindings file, and plan again.")  # fmt: skip
    then = "resolve it and plan again" if problems else f"difyops release promote apply {path}"
    written = f"written to {path}; {then}" if path else "not written"
    return Outcome(
        kind="release.promote.plan", data=found.as_data(), blocks=blocks, names=[path or found.digest],
        summary=f"{counted(len(steps), 'release')}, {len(problems)} unresolved: {written}", error=error,
    )  # fmt: skip


def promoted(found: Promoting) -> Outcome:
    """Show how a promotion went."""
    rows = [(row.ring, row.app, row.state, row.verdict, row.text, row.release) for row in found.rows]
    passed = sum(row.verdict == "pass" for row in found.rows)
    return Outcome(
        kind="release.promote.apply", data=list(found.rows), names=[row.app for row in found.rows],
        blocks=[Table(columns=("to", "app", "state", "verdict", "what", "release"), rows=rows)],
        summary=f"{passed} of {len(rows)} promoted" + (f"; stopped at {found.stopped}" if found.stopped else ""),
        error=found.error,
    )  # fmt: skip
