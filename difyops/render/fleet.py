"""Results of several instances as one: rows with a context column, and one exit code.

The exit code, by this rule: 130 when it was interrupted; else 5 when any instance says no; else 0 when all went well;
3 when some went well; and when none did, the worst of their codes in the order 2, 8, 4, 6, 7, 1, 3.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from difyops.counting import counted
from difyops.errors import AnswerIsNo, DifyopsError, PartialFailure
from difyops.outcome import Block, Facts, Lines, Outcome, Table
from difyops.render.machine import plain

_WORST = (2, 8, 4, 6, 7, 1, 3)
_NO, _INTERRUPTED = 5, 130
_MOST_COLUMNS = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """What came of one context: an outcome, an error, or both (a partial failure has data to show)."""

    context: str
    outcome: Outcome | None = None
    error: DifyopsError | None = None

    @property
    def code(self) -> int:
        """Return its exit code."""
        return self.error.exit_code if self.error else 0


def joined(parts: Sequence[Part], *, shard: str | None = None, states: bool = True) -> Outcome:
    """Return one outcome of all: the rows of each with its context, what failed, and the exit code of the rule.

    ``states``: a table says how each context went; some results say that themselves.
    """
    outcomes = [(part.context, part.outcome) for part in parts if part.outcome is not None]
    error = verdict(parts)
    warnings = [f"{name}: {said}" for name, outcome in outcomes for said in outcome.warnings]
    well = sum(part.code == 0 for part in parts)
    said = f"{well} of {counted(len(parts), 'context')} went well" if parts else f"no context falls into shard {shard}"
    return Outcome(
        kind=outcomes[0][1].kind if outcomes else "fleet",
        data=[row for name, outcome in outcomes for row in _rows(name, outcome.data)],
        blocks=[*_blocks(outcomes, of=len(parts)), *([_states(parts)] if states else [])] if parts else (),
        summary=said,
        warnings=warnings,
        names=[f"{name}/{item}" for name, outcome in outcomes for item in outcome.names or ()],
        records=[row for name, outcome in outcomes for row in _records(name, outcome)],
        error=error,
        raw=_raw(outcomes),
    )


def verdict(parts: Sequence[Part]) -> DifyopsError | None:
    """Return the one error, by the rule of this module; which contexts it is about stands in its details."""
    bad = [part for part in parts if part.error is not None]
    if not bad:
        return None
    codes = {part.code for part in bad}
    said = "; ".join(f"{part.context}: {_told(part)}" for part in bad[:5]) + ("; ..." if len(bad) > 5 else "")
    first = next(iter(sorted(bad, key=lambda part: _order(part.code)))).error
    hint = _hint(first.hint, parts) if first is not None else None
    details = {"contexts": [_detail(part) for part in bad]}
    if _INTERRUPTED in codes:
        code, kind = _INTERRUPTED, DifyopsError
    elif _NO in codes:
        code, kind = _NO, AnswerIsNo
    elif len(bad) < len(parts):
        code, kind = 3, PartialFailure
    else:
        code, kind = next((item for item in _WORST if item in codes), max(codes)), DifyopsError
    error = kind(f"{len(bad)} of {counted(len(parts), 'context')}: {said}", hint=hint, details=details)
    error.exit_code = code
    if kind is DifyopsError and first is not None:
        error.code = first.code
    return error


def _hint(hint: str | None, parts: Sequence[Part]) -> str | None:
    """Return a hint with the contexts that it is for, where they are not all."""
    names = [part.context for part in parts if part.error is not None and part.error.hint == hint]
    return hint if not hint or len(names) == len(parts) else f"{_few(names)}: {hint}"


def _few(names: Sequence[str]) -> str:
    return ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")


def _order(code: int) -> int:
    order = (_INTERRUPTED, _NO, *_WORST)
    return order.index(code) if code in order else len(order)


def _told(part: Part) -> str:
    return part.error.message if part.error else ""


def _detail(part: Part) -> dict[str, object]:
    error = part.error
    return {"context": part.context, "exit_code": part.code, **(error.as_dict() if error else {})}


def _rows(context: str, data: Any) -> list[dict[str, Any]]:
    """Return data as rows with the context first: a list gives its rows, anything else is one row."""
    shown = plain(data)
    if shown is None:
        return []
    rows = shown if isinstance(shown, list) else [shown]
    fields = [row if isinstance(row, Mapping) else {"value": row} for row in rows]
    return [{"context": context, **{name: row[name] for name in row if name != "context"}} for row in fields]


def _records(context: str, outcome: Outcome) -> list[dict[str, Any]]:
    return _rows(context, list(outcome.records) if outcome.records is not None else outcome.data)


def _blocks(outcomes: Sequence[tuple[str, Outcome]], *, of: int) -> list[Block]:
    """Return the blocks of all contexts joined by their place, as tables; lines that are indented (differences) stand
    one after the other, under their context.
    """
    found: list[Block] = []
    most = max((len(outcome.blocks) for _, outcome in outcomes), default=0)
    for place in range(most):
        here = [(name, outcome.blocks[place]) for name, outcome in outcomes if place < len(outcome.blocks)]
        tables = [(name, block) for name, block in here if isinstance(block, Table)]
        facts = [(name, block) for name, block in here if isinstance(block, Facts)]
        if tables:
            found.append(_table(tables, is_all=len(tables) == of))
        if facts:
            found.append(_table([(name, _as_table(block, wide=_is_wide(facts))) for name, block in facts]))
        lines = [(name, block) for name, block in here if isinstance(block, Lines)]
        if lines and not any(line[:1].isspace() or not line for _, block in lines for _, line in block.lines):
            found.append(_table([(name, _as_rows(block)) for name, block in lines]))
        else:
            found += [replace(block, title=f"{name}: {block.title}" if block.title else name) for name, block in lines]
    return found


def _as_rows(block: Lines) -> Table:
    """Return lines as rows of one column, each with its mark."""
    return Table(
        columns=(block.title.lower() if block.title else "what",),
        rows=[[f"{mark} {line}".strip()] for mark, line in block.lines],
    )


def _is_wide(facts: Sequence[tuple[str, Facts]]) -> bool:
    """Say whether the labels are the same for all, and few enough to be columns."""
    labels = [[label for label, _ in block.pairs] for _, block in facts]
    return len(labels[0]) <= _MOST_COLUMNS and all(each == labels[0] for each in labels)


def _as_table(block: Facts, *, wide: bool) -> Table:
    """Return facts as one row, a column a label; or as a row a label, where there are many."""
    pairs = [(label, value) for label, value in block.pairs if label != "context"]
    if wide:
        return Table(columns=[label for label, _ in pairs], rows=[[value for _, value in pairs]], title=block.title)
    return Table(columns=("what", "value"), rows=pairs, title=block.title)


def _table(tables: Sequence[tuple[str, Table]], *, is_all: bool = True) -> Table:
    """Return one table with a context column; where columns differ, each row has a dash for what it lacks.

    That there are no rows holds of the contexts that brought a table: they are named where others did not (``is_all``).
    """
    columns = list(dict.fromkeys(column for _, table in tables for column in table.columns))
    rows = []
    for name, table in tables:
        for row in table.rows:
            cells = dict(zip(table.columns, row, strict=False))
            rows.append((name, *(cells.get(column) for column in columns)))
    empty = tables[0][1].empty
    if empty and not is_all:
        empty = f"{_few([name for name, _ in tables])}: {empty}"
    return Table(columns=("context", *columns), rows=rows, title=tables[0][1].title, empty=empty)


def _states(parts: Sequence[Part]) -> Table:
    """Return a row a context: how it went, and what it said."""
    rows = [(part.context, "well" if part.code == 0 else f"exit {part.code}", _said(part)) for part in parts]
    return Table(columns=("context", "went", "said"), rows=rows, title="Contexts")


def _said(part: Part) -> str | None:
    if part.error is not None:
        return part.error.message
    return part.outcome.summary if part.outcome else None


def _raw(outcomes: Sequence[tuple[str, Outcome]]) -> bytes | None:
    """Return documents one after the other, each under its context; ``None`` where there is none."""
    if not any(outcome.raw is not None for _, outcome in outcomes):
        return None
    found = b""
    for name, outcome in outcomes:
        raw = outcome.raw
        if raw is not None:
            found += f"== {name} ==\n".encode() + (raw if isinstance(raw, bytes) else b"".join(raw))
    return found
