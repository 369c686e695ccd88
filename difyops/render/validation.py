"""How verdicts look: one answer's value and edits, a batch's counts, and the lines of a batch as they come."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from difyops.counting import counted
from difyops.errors import DifyopsError
from difyops.outcome import Outcome, Table
from difyops.render.machine import plain
from difyops.render.safe import escaped
from difyops.validation import BatchSummary, Edit, Judged, ReaskRequest, Verdict

_MOST_ROWS = 100


class VerdictLines:
    """Writes one verdict a line to stdout, each as soon as it is there: the value as it is, harmless to a terminal."""

    def add(self, judged: Judged) -> None:
        """Write one verdict."""
        sys.stdout.buffer.write(_as_bytes(judged.as_dict()))
        sys.stdout.buffer.flush()


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """How the command ends: ``report`` takes the place of the view on stdout, ``error`` gives the exit code."""

    report: Iterable[bytes] | None = None
    error: DifyopsError | None = None


def judged(one: Judged, ending: Ending, asked: ReaskRequest | None = None) -> Outcome:
    """Show one verdict: the value itself to a pipe, its edits as talk; the violations as a table."""
    verdict = one.verdict
    warnings = [_edit_line(edit) for edit in verdict.edits[:_MOST_ROWS]]
    if plain(verdict.value) != verdict.value:
        warnings.append("The value holds what looks like a secret: -o json and yaml show it as stars, a pipe does not.")
    more = {"attempts": asked.attempts, "tokens": asked.tokens, "stopped": asked.stopped} if asked else {}
    return Outcome(
        kind="validate",
        data={**verdict.as_dict(), "message": verdict.message, **more},
        blocks=_blocks(verdict),
        summary=f"valid: {verdict.rung}, {_edits(len(verdict.edits))}" if verdict.ok else None,
        warnings=warnings,
        error=ending.error,
        raw=ending.report or (_as_bytes(verdict.value, indent=2) if verdict.ok else None),
        is_asked_for=ending.report is not None,
    )


def batch(kept: Sequence[Judged], summary: BatchSummary, ending: Ending, *, streamed: bool) -> Outcome:
    """Show what a batch came to; the answers themselves only where they did not leave as lines already."""
    failed = [item for item in kept if not item.verdict.ok]
    rows = [(str(item.id), item.verdict.error, item.verdict.message) for item in failed[:_MOST_ROWS]]
    rate = "unknown" if summary.first_pass_rate is None else f"{summary.first_pass_rate:.4f}"
    repairs = ", ".join(f"{reason} {count}" for reason, count in summary.repairs.items()) or "none"
    answers = [item.as_dict() for item in kept]
    return Outcome(
        kind="validate.batch",
        data={"summary": summary.as_dict(), "answers": answers},
        blocks=[] if streamed else [Table(columns=("id", "error", "why"), rows=rows, empty="All answers are valid.")],
        summary=f"{summary.valid} of {summary.total} valid; first pass {rate}; edits: {repairs}{_why(ending)}",
        records=answers,
        error=ending.error,
        raw=ending.report,
        is_asked_for=ending.report is not None,
    )


def _why(ending: Ending) -> str:
    return f". {ending.error.message}" if ending.error is not None else ""


def _as_bytes(value: object, *, indent: int | None = None) -> bytes:
    return escaped(json.dumps(value, indent=indent, ensure_ascii=False)).encode() + b"\n"


def _blocks(verdict: Verdict) -> list[Table]:
    rows = [
        (item.line, item.pointer or "/", item.expected, _spelled(item.value), item.message)
        for item in verdict.violations
    ]
    edits = [(edit.pointer or "/", edit.reason, edit.before, edit.after) for edit in verdict.edits]
    found = []
    if rows:
        found.append(Table(columns=("line", "place", "expected", "value", "message"), rows=rows[:_MOST_ROWS]))
    if edits:
        found.append(Table(columns=("place", "edit", "before", "after"), rows=edits[:_MOST_ROWS]))
    return found


def _edits(count: int) -> str:
    return "no edits" if not count else "1 edit" if count == 1 else f"{counted(count, 'edit')}"


def _spelled(value: object) -> object:
    """Return a text that looks like another type of value in quotes, so that the two can be told apart."""
    if not isinstance(value, str):
        return value
    try:
        json.loads(value)
    except (ValueError, RecursionError):
        return value if value.strip() else json.dumps(value)
    return json.dumps(value, ensure_ascii=False)


def _edit_line(edit: Edit) -> str:
    made_up = " (made up)" if edit.invented else ""
    return f"edit at {edit.pointer or '/'}: {edit.reason}{made_up}: {edit.before!r} -> {edit.after!r}"
