"""A run as the cases that every report is written from (``difyops.reports``)."""

from __future__ import annotations

from typing import cast

from difyops.reports import Measure, ReportCase, Suite, Word, harmless
from difyops.runbook.record import RunRecord, StepRecord

__all__ = ["harmless", "suite_of"]


def suite_of(run: RunRecord) -> Suite:
    """Return the run: a step is a case, and one that was repaired counts as such."""
    return Suite(
        kind="runbook",
        name=run.runbook,
        context=run.context,
        started_at=run.started_at,
        ended_at=run.ended_at or run.started_at,
        seconds=run.seconds,
        verdict=cast("Word", run.verdict),
        said=run.error.message if run.error else run.summary,
        cases=tuple(_case(run, step) for step in run.steps),
    )


def _case(run: RunRecord, step: StepRecord) -> ReportCase:
    return ReportCase(
        id=step.id,
        title=step.title,
        group=step.tool,
        word=cast("Word", run.outcome(step)),
        text=step.text,
        body=" | ".join(part for part in (step.excerpt, step.hint or "", step.undo or "") if part),
        seconds=step.seconds,
        measures=tuple(
            Measure(
                name=value.name, value=value.value, unit=value.unit, warn=value.warn, fail=value.fail, floor=value.floor
            )
            for value in step.values
        ),
    )
