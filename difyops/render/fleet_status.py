"""How an instance looks in the status of a fleet: one row, and a sentence where something is not well."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from difyops.counting import counted
from difyops.errors import DifyopsError
from difyops.outcome import Lines, Outcome, Table

_COLUMNS = ("version", "apps", "snapshot", "drift", "secrets overdue", "budget", "goals")
_WORDS = {"pass": "ok", "warn": "look", "fail": "no", "inconclusive": "?", "skipped": None}
_PARTS = ("snapshot", "drift", "secrets", "budget", "goals")


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """What one check says: its word, its sentence, and the number that counts (seconds, apps, secrets, goals)."""

    word: str
    text: str
    value: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class InstanceStatus:
    """One instance. ``None``: nobody set that up; all of them where ``problem`` says why it could not be asked."""

    context: str
    url: str
    version: str | None = None
    apps: int | None = None
    snapshot: Cell | None = None
    drift: Cell | None = None
    secrets: Cell | None = None
    budget: Cell | None = None
    goals: Cell | None = None
    problem: str | None = None


def status(found: InstanceStatus) -> Outcome:
    """Show one instance; several are joined by their contexts."""
    return _outcome(found, None)


def unreachable(context: str, url: str, error: DifyopsError) -> Outcome:
    """Show an instance that could not be asked, in its row."""
    return _outcome(InstanceStatus(context=context, url=url, problem=error.message), error)


def _outcome(found: InstanceStatus, error: DifyopsError | None) -> Outcome:
    row = (
        found.version or ("cannot be asked" if error else None), found.apps, _snapshot(found.snapshot),
        _number(found.drift, "app"), _number(found.secrets), _word(found.budget), _number(found.goals, "burns", "burn"),
    )  # fmt: skip
    told = list(_told(found))
    return Outcome(
        kind="fleet.status",
        data=[found],
        blocks=[Table(columns=_COLUMNS, rows=[row]), *([Lines(lines=told)] if told else [])],
        summary=f"{len(told)} to look at" if told else "well",
        names=[found.context],
        error=error,
    )


def _told(found: InstanceStatus) -> Iterator[tuple[str, str]]:
    if found.problem is not None:
        yield "!", f"cannot be asked: {found.problem}"
    for name in _PARTS:
        cell: Cell | None = getattr(found, name)
        if cell is not None and cell.word in ("fail", "warn", "inconclusive"):
            yield "!", f"{name}: {cell.text}"


def _word(cell: Cell | None) -> str | None:
    return _WORDS.get(cell.word, cell.word) if cell else None


def _number(cell: Cell | None, *unit: str) -> str | None:
    """Return how many; ``unit`` is for one, and for several where that is not with an s."""
    if cell is None or cell.value is None or cell.word == "inconclusive":
        return _word(cell)
    number = int(cell.value)
    return "none" if not number else counted(number, *unit) if unit else str(number)


def _snapshot(cell: Cell | None) -> str | None:
    if cell is None or cell.value is None:
        return _word(cell)
    hours = cell.value / 3600
    if hours < 2:
        return f"{cell.value / 60:.0f} min ago"
    return f"{hours:.0f} h ago" if hours < 48 else f"{hours / 24:.0f} d ago"
