"""How ``validate`` shows what it found: the value to a pipe, violations as a table, reports for other programs."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from difyops import __version__, atomic_file
from difyops.errors import AnswerIsNo, DifyopsError
from difyops.outcome import Outcome, Table
from difyops.render.machine import plain
from difyops.render.safe import escaped
from difyops.validation import Edit, EnforceOptions, Judged, Schema, Summary, Tally, Verdict, report

_MOST_ROWS = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What the command line asks for, read and checked."""

    schema: Schema
    options: EnforceOptions
    formats: Sequence[tuple[str, Path | None]]
    name: str
    field: str | None
    min_first_pass: float | None


def write_line(judged: Judged) -> None:
    """Hand one verdict on as soon as it is there; the value unchanged, nothing a terminal would obey."""
    sys.stdout.buffer.write(escaped(json.dumps(judged.as_dict(), ensure_ascii=False)).encode() + b"\n")
    sys.stdout.buffer.flush()


def told(wanted: Wanted, judged: Judged, more: dict[str, Any] | None = None) -> Outcome:
    """Return one verdict: the value itself to a pipe, its edits as talk; the violations as a table."""
    verdict = judged.verdict
    raw = escaped(json.dumps(verdict.value, indent=2, ensure_ascii=False)).encode() + b"\n" if verdict.ok else None
    reported, code = _reported(wanted, [judged], None)
    warnings = [_edit_line(edit) for edit in verdict.edits[:_MOST_ROWS]]
    if plain(verdict.value) != verdict.value:
        warnings.append("The value holds what looks like a secret: -o json and yaml show it as stars, a pipe does not.")
    return Outcome(
        kind="validate",
        data={**verdict.as_dict(), "message": verdict.message, **(more or {})},
        blocks=_blocks(verdict),
        summary=f"valid: {verdict.rung}, {len(verdict.edits)} edits" if verdict.ok else None,
        warnings=warnings,
        error=_monitored(verdict.as_error(), code),
        raw=reported or raw,
    )


def _blocks(verdict: Verdict) -> list[Table]:
    rows = [(item.line, item.pointer or "/", item.expected, item.value, item.message) for item in verdict.violations]
    edits = [(edit.pointer or "/", edit.reason, edit.before, edit.after) for edit in verdict.edits]
    found = []
    if rows:
        found.append(Table(columns=("line", "place", "expected", "value", "message"), rows=rows[:_MOST_ROWS]))
    if edits:
        found.append(Table(columns=("place", "edit", "before", "after"), rows=edits[:_MOST_ROWS]))
    return found


def _edit_line(edit: Edit) -> str:
    made_up = " (made up)" if edit.invented else ""
    return f"edit at {edit.pointer or '/'}: {edit.reason}{made_up}: {edit.before!r} -> {edit.after!r}"


def counted(wanted: Wanted, kept: list[Judged], summary: Summary, *, streamed: bool) -> Outcome:
    """Return what a batch came to; the answers themselves only where they were not streamed."""
    reported, code = _reported(wanted, kept, summary)
    failed = [item for item in kept if not item.verdict.ok]
    rows = [(str(item.id), item.verdict.error, item.verdict.message) for item in failed[:_MOST_ROWS]]
    rate = "unknown" if summary.first_pass_rate is None else f"{summary.first_pass_rate:.4f}"
    repairs = ", ".join(f"{reason} {count}" for reason, count in summary.repairs.items()) or "none"
    return Outcome(
        kind="validate.batch",
        data={"summary": summary.as_dict(), "answers": [item.as_dict() for item in kept]},
        blocks=[] if streamed else [Table(columns=("id", "error", "why"), rows=rows, empty="All answers are valid.")],
        summary=f"{summary.valid} of {summary.total} valid; first pass {rate}; edits: {repairs}",
        records=[item.as_dict() for item in kept],
        error=_monitored(_gate(wanted, summary), code),
        raw=reported,
    )


def _gate(wanted: Wanted, summary: Summary) -> DifyopsError | None:
    """Return what the batch fails with: below the rate asked for, or, when none was, any answer that is not valid."""
    if wanted.min_first_pass is not None:
        return summary.gate(wanted.min_first_pass)
    if summary.valid == summary.total:
        return None
    return AnswerIsNo(f"{summary.total - summary.valid} of {summary.total} answers are not valid.")


def _reported(wanted: Wanted, judged: list[Judged], summary: Summary | None) -> tuple[bytes | None, int | None]:
    """Write the reports asked for; return the one for standard output, and the exit code that monitoring expects."""
    if summary is None:
        tally = Tally()
        tally.add(judged[0].verdict)
        summary, batch = tally.summary(), False
    else:
        batch = True
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
