"""How the doctor's checks look: the steps of its runbook, one row each."""

from __future__ import annotations

from difyops.counting import counted
from difyops.errors import AnswerIsNo, DifyopsError, PartialFailure
from difyops.outcome import Outcome, Table
from difyops.runbook.record import RunRecord

_WORDS = ("pass", "warn", "fail", "inconclusive", "skipped")


def examined(run: RunRecord) -> Outcome:
    """Show the checks, and where to look next for those that are not well."""
    checks = [{"name": step.title, "verdict": step.result, "found": step.text, "hint": step.hint} for step in run.steps]
    counts = [f"{run.count(word)} {word}" for word in _WORDS if run.count(word) or word != "inconclusive"]
    return Outcome(
        kind="doctor",
        data={"context": None if run.context == "-" else run.context, "checks": checks},
        blocks=[Table(columns=("check", "verdict", "found", "next"), rows=[tuple(item.values()) for item in checks])],
        summary=", ".join(counts),
        warnings=run.warnings,
        names=[step.title for step in run.steps if step.result == "fail"],
        error=_error(run),
    )


def _error(run: RunRecord) -> DifyopsError | None:
    """Return the "no" (5) when a check failed, and what could not be measured (3)."""
    failed = [step for step in run.steps if step.result == "fail"]
    if failed:
        return AnswerIsNo(
            f"{counted(len(failed), 'check')} failed: {failed[0].title}: {failed[0].text}", hint=failed[0].hint
        )
    unknown = [step for step in run.steps if step.result == "inconclusive"]
    if unknown:
        text = f"{counted(len(unknown), 'check')} could not be carried out: {unknown[0].title}: {unknown[0].text}"
        return PartialFailure(text, hint=unknown[0].hint)
    return run.error
