"""How ``validate`` ends: the reports that were asked for are written, and the exit code is decided."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from difyops import __version__, atomic_file
from difyops.errors import AnswerIsNo, DifyopsError, OutOfBudget
from difyops.outcome import Outcome
from difyops.render import validation as views
from difyops.validation import Asked, EnforceOptions, Judged, Schema, Summary, Tally, report


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What the command line asks for, read and checked."""

    schema: Schema
    options: EnforceOptions
    formats: Sequence[tuple[str, Path | None]]
    name: str
    field: str | None
    min_first_pass: float | None


def told(wanted: Wanted, judged: Judged, asked: Asked | None = None) -> Outcome:
    """End with one verdict; ``asked`` is how it came about when an app was asked."""
    tally = Tally()
    tally.add(judged.verdict)
    raw, code = _reported(wanted, [judged], tally.summary(), batch=False)
    error: DifyopsError | None = judged.verdict.as_error()
    if error is not None and asked is not None and asked.stopped == "budget":
        error = OutOfBudget(f"{asked.tokens} tokens are spent and nothing stands. {error.message}")
    return views.judged(judged, views.Ending(report=raw, error=_monitored(error, code)), asked)


def counted(wanted: Wanted, kept: Sequence[Judged], summary: Summary, *, streamed: bool) -> Outcome:
    """End with a batch; ``kept`` are its verdicts, none where they left as lines and no report needs them."""
    raw, code = _reported(wanted, kept, summary, batch=True)
    return views.batch(
        kept, summary, views.Ending(report=raw, error=_monitored(_gate(wanted, summary), code)), streamed=streamed
    )


def _gate(wanted: Wanted, summary: Summary) -> DifyopsError | None:
    """Return what the batch fails with: below the rate asked for, or, when none was, any answer that is not valid."""
    if wanted.min_first_pass is not None:
        return summary.gate(wanted.min_first_pass)
    if summary.valid == summary.total:
        return None
    return AnswerIsNo(f"{summary.total - summary.valid} of {summary.total} answers are not valid.")


def _reported(
    wanted: Wanted, judged: Sequence[Judged], summary: Summary, *, batch: bool
) -> tuple[bytes | None, int | None]:
    """Write the reports asked for; return the one for standard output, and the exit code that monitoring expects."""
    raw, code = None, None
    for name, file in wanted.formats:
        if name == "junit":
            text = report.junit(judged, name=wanted.name)
        elif name == "sarif":
            text = report.sarif(judged, uri=wanted.name, version=__version__, batch=batch)
        else:
            text = report.nagios(summary, min_first_pass=wanted.min_first_pass)
        if file is not None:
            atomic_file.write(file, text.encode())
            continue
        raw = text.encode()
        code = report.nagios_code(summary, min_first_pass=wanted.min_first_pass) if name == "nagios" else None
    return raw, code


def _monitored(error: DifyopsError | None, code: int | None) -> DifyopsError | None:
    """Give an error the exit code that monitoring expects of a plugin, where its output was asked for."""
    if code:
        error = error or AnswerIsNo("Nothing was judged.")
        error.exit_code = code
    return error
