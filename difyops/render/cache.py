"""How repeats look: what was counted, where, and what a cache would have saved."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

from difyops.clock import iso
from difyops.cost.repeats import CacheReport, Repeats
from difyops.counting import counted
from difyops.outcome import Outcome, Table
from difyops.render.cost import amounts

_COLUMNS = (
    "calls", "repeats", "share", "lifetime", "time", "tokens", "Dify says", "list price", "same first 1,024 characters",
)  # fmt: skip


def stats(result: CacheReport) -> Outcome:
    """Show repeats by type and app."""
    rows = [(row.type, row.name, *_figures(row)) for row in result.rows]
    return _outcome("cache.stats", result, Table(columns=("type", "app", *_COLUMNS), rows=rows, empty=_empty(result)))


def top(result: CacheReport, *, most: int) -> Outcome:
    """Show the nodes that repeat most."""
    rows = [(row.name, row.type, *_figures(row)) for row in result.rows[:most]]
    return _outcome("cache.top", result, Table(columns=("node", "type", *_COLUMNS), rows=rows, empty=_empty(result)))


def _outcome(kind: str, result: CacheReport, table: Table) -> Outcome:
    calls, repeats = sum(row.calls for row in result.rows), sum(row.repeats for row in result.rows)
    runs = sum(item.runs for item in result.whole)
    return Outcome(
        kind=kind, data=result, blocks=[table], names=[row.name for row in result.rows],
        records=[asdict(row) for row in result.rows], warnings=_warnings(result),
        summary=f"at least {repeats} of {counted(calls, 'call')} repeat; {counted(runs, 'run')} in"
        f" {counted(len(result.whole), 'stretch', 'stretches')} read whole",
    )  # fmt: skip


def _figures(row: Repeats) -> tuple[object, ...]:
    return (
        row.calls, row.repeats, f"{100 * row.share:.1f} %", _hours(row.lifetime), f"{row.seconds:.1f} s",
        row.tokens or None,
        amounts(row.said), amounts(row.listed) or (f"{counted(row.unpriced, 'token')}"
        " unpriced" if row.unpriced else None),
        row.same_start or None,
    )  # fmt: skip


def _hours(value: float) -> str:
    return f"{value / 86400:g} d" if value > 86400 else f"{value / 3600:g} h"


def _warnings(result: CacheReport) -> Sequence[str]:
    if not result.left_out:
        return ()
    names = ", ".join(result.left_out[:5])
    return (f"only a sample was read of {names}: from a sample there is no figure (history sync --nodes 100%).",)


def _empty(result: CacheReport) -> str:
    since, until = iso(result.since), iso(result.until)
    return f"No stretch from {since} to {until} was read whole with calls that can repeat."
