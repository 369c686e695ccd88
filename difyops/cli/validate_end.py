"""How ``validate`` ends: the reports that were asked for are written, and the exit code is decided."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from difyops.cli.validate_reports import Reports
from difyops.counting import counted
from difyops.errors import AnswerIsNo, DifyopsError, OutOfBudget
from difyops.outcome import Outcome
from difyops.render import validation as views
from difyops.validation import BatchSummary, BatchTally, EnforceOptions, Judged, ReaskRequest, Schema


@dataclass(frozen=True, slots=True, kw_only=True)
class ValidateRequest:
    """What the command line asks for, read and checked."""

    schema: Schema
    options: EnforceOptions
    formats: Sequence[tuple[str, Path | None]]
    name: str
    field: str | None
    min_first_pass: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchRequest:
    """What a batch came to. ``kept`` are its verdicts where the output needs them all; ``streamed``: they are out."""

    summary: BatchSummary
    kept: Sequence[Judged]
    streamed: bool


def told(wanted: ValidateRequest, judged: Judged, asked: ReaskRequest | None = None) -> Outcome:
    """End with one verdict; ``asked`` is how it came about when an app was asked."""
    tally, reports = BatchTally(), Reports.of(wanted.formats, wanted.name, wanted.min_first_pass)
    tally.add(judged.verdict)
    reports.add(judged)
    raw, code = reports.write(tally.summary())
    error: DifyopsError | None = judged.verdict.as_error()
    if error is not None and asked is not None and asked.stopped == "budget":
        error = OutOfBudget(
            f"{counted(asked.counted, 'token is', 'tokens are')} spent and nothing stands. {error.message}"
        )
    return views.judged(judged, views.Ending(report=raw, error=_monitored(error, code)), asked)


def added_up(wanted: ValidateRequest, done: BatchRequest, reports: Reports) -> Outcome:
    """End with a batch."""
    raw, code = reports.write(done.summary)
    error = _monitored(_gate(wanted, done.summary), code)
    return views.batch(done.kept, done.summary, views.Ending(report=raw, error=error), streamed=done.streamed)


def _gate(wanted: ValidateRequest, summary: BatchSummary) -> DifyopsError | None:
    """Return what the batch fails with: below the rate asked for, or, when none was, any answer that is not valid."""
    if wanted.min_first_pass is not None:
        return summary.gate(wanted.min_first_pass)
    if summary.valid == summary.total:
        return None
    return AnswerIsNo(
        f"{summary.total - summary.valid} of {counted(summary.total, 'answer is', 'answers are')} not valid."
    )


def _monitored(error: DifyopsError | None, code: int | None) -> DifyopsError | None:
    """Give an error the exit code that monitoring expects of a plugin, where its output was asked for."""
    if code:
        error = error or AnswerIsNo("Nothing was judged.")
        error.exit_code = code
    return error
