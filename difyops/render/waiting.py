"""How waiting runs look: who is asked what, since when, until when; and an answer that was given."""

from __future__ import annotations

from difyops.clock import from_unix, iso
from difyops.counting import counted
from difyops.outcome import Block, Facts, Outcome, Table
from difyops.waiting import Answered, PlannedAnswer, Wait, Waits

_SHORT = 60


def waiting(found: Waits, now: float) -> Outcome:
    """Show what waits, longest first."""
    rows = [
        (item.app, item.run, item.title, _length(now - item.since), _moment(item.expires), _short(item.asks),
         ", ".join(action.id for action in item.actions) or "by mail only")
        for item in found.waits
    ]  # fmt: skip
    columns = ("app", "run", "waits at", "for", "ends", "asks", "actions")
    records = [_record(item) for item in found.waits]
    return Outcome(
        kind="app.paused", data=records, records=records,
        blocks=[Table(columns=columns, rows=rows, empty="Nothing waits for a person.")],
        names=[item.run for item in found.waits],
        summary=f"{counted(len(found.waits), 'run')} of {counted(found.apps, 'app')} wait for a"
        " person", error=found.error,
    )  # fmt: skip


def planned(found: PlannedAnswer) -> Outcome:
    """Show an answer that would be given."""
    data = {"app": found.app.name, "run": found.run, "node": found.node.node, "action": found.action.id,
            "inputs": dict(found.inputs)}  # fmt: skip
    return Outcome(
        kind="app.resume", data=data, blocks=[Facts(pairs=_pairs(found))],
        summary=f"the form would be answered with {found.action.id}",
    )  # fmt: skip


def lines(found: PlannedAnswer) -> list[str]:
    """Return the lines that are shown before the question."""
    return [f"{name}: {value}" for name, value in _pairs(found)]


def answered(found: Answered) -> Outcome:
    """Show what became of a run."""
    outputs = [(str(name), _short(str(value))) for name, value in found.outputs.items()]
    blocks: list[Block] = [
        Facts(pairs=[("app", found.app), ("run", found.run), ("answered", f"{found.node}: {found.action}"),
                     ("status", found.status)]),
    ]  # fmt: skip
    if outputs:
        blocks.append(Table(title="Outputs", columns=("name", "value"), rows=outputs))
    return Outcome(
        kind="app.resume", data=found, blocks=blocks, names=[found.run], warnings=found.warnings,
        summary=f"{found.node} was answered with {found.action}; the run is {found.status}", error=found.error,
    )  # fmt: skip


def _pairs(found: PlannedAnswer) -> list[tuple[str, object]]:
    fields = [(f"field {name}", value or "(blank)") for name, value in found.inputs.items()]
    return [("app", found.app.name), ("run", found.run), ("waits at", found.node.title), ("asks", found.asks),
            ("action", f"{found.action.id} ({found.action.title})"), *fields]  # fmt: skip


def _record(item: Wait) -> dict[str, object]:
    return {
        "app": item.app, "app_id": item.app_id, "run": item.run, "node": item.node, "title": item.title,
        "asks": item.asks, "since": _moment(item.since), "expires": _moment(item.expires), "source": item.source,
        "by": item.by, "actions": [{"id": action.id, "title": action.title} for action in item.actions],
        "inputs": list(item.inputs),
    }  # fmt: skip


def _moment(seconds: float | None) -> str | None:
    found = from_unix(seconds)
    return iso(found) if found else None


def _length(seconds: float) -> str:
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{max(0.0, seconds):.0f} s"


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _SHORT else f"{line[: _SHORT - 1]}…"
