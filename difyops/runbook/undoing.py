"""A runbook made of the undos of a run: newest action first, each only when the one before went well."""

from __future__ import annotations

from difyops.errors import Refused
from difyops.runbook.model import Runbook, Step
from difyops.runbook.record import RUNNING, RunRecord, StepRecord
from difyops.runbook.registry import tools


def undoing(run: RunRecord) -> Runbook:
    """Return the runbook that takes the actions of ``run`` back.

    Raises:
        Refused: it is still going on, it changed nothing, or nothing that a program can take back (the commands for a
        person are named).
    """
    if run.state == RUNNING:
        raise Refused(f"Run {run.id} is still going on.", hint="Interrupt it first, or wait for its end.")
    candidates = [step for step in run.steps if step.undo and (step.done or step.result == "fail")]
    fitting = [step for step in candidates if _is_known(step)]
    by_hand = [f"{step.title}: {step.undo}" for step in candidates if not _is_known(step)]
    if not fitting:
        hint = "; ".join(by_hand) or f"difyops runbook report {run.id}"
        raise Refused(f"Run {run.id} did nothing that can be taken back by a program.", hint=hint)
    ordered = sorted(fitting, key=lambda step: step.started_at or run.started_at, reverse=True)
    former = [(), *((f"undo_{step.id}",) for step in ordered)]
    steps = [_step(step, needs) for step, needs in zip(ordered, former, strict=False)]
    return Runbook(
        name=f"undo-{run.runbook}"[:60],
        title=f"Take back what run {run.id} did",
        why=f"{run.runbook} acted on {run.context} in run {run.id}.",
        steps=tuple(steps),
        next=tuple(f"By hand: {text}" for text in by_hand),
        digest=run.digest,
    )


def _is_known(step: StepRecord) -> bool:
    return bool(step.undo_step) and (step.undo_step or {}).get("action") in tools("action")


def _step(record: StepRecord, needs: tuple[str, ...]) -> Step:
    what = record.undo_step or {}
    return Step(
        id=f"undo_{record.id}",
        tool=tools("action")[what["action"]],
        title=f"Take back: {record.title}",
        parameters=what.get("with") or {},
        needs=needs,
        timeout=300.0,
    )
