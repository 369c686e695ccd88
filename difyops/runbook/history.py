"""Reading runs back from the ledger: the list, one run in full, what a step came to in the runs before."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from difyops.errors import SelectorError
from difyops.ledger import Event, Ledger
from difyops.ledger.records import as_json
from difyops.runbook.evidence import ACTING, RUN, STEP, run_lock
from difyops.runbook.record import ENDED, KILLED, RUNNING, RunRecord, StepRecord, step_of

_OTHERS = 200  # events of runs with other inputs that may stand between


@dataclass(frozen=True, slots=True, kw_only=True)
class _Head:
    """A run as its first and last event tell it; at least one of them is there."""

    id: str
    runbook: str
    started: Event | None
    ended: Event | None


def runs(
    ledger: Ledger, state: Path, *, since: datetime | None = None, runbook: str | None = None, limit: int = 50
) -> list[RunRecord]:
    """Return the newest runs with their steps, newest first."""
    return [_record(ledger, state, head) for head in _heads(ledger, since, runbook, limit)]


def run(ledger: Ledger, state: Path, wanted: str) -> RunRecord:
    """Return one run in full: by id, a beginning of one that is unique, ``latest``, or a runbook's name (its latest).

    Raises:
        SelectorError: there is no such run, or several begin so.
    """
    found = _heads(ledger, None, None, 2000)
    chosen = (
        found[:1]
        if wanted == "latest"
        else [item for item in found if item.id == wanted]
        or [item for item in found if item.runbook == wanted][:1]
        or [item for item in found if item.id.startswith(wanted)]
    )
    if len(chosen) != 1:
        said = f"Several runs begin with {wanted!r}." if chosen else f"There is no run {wanted!r}."
        if not found:
            said = "No runbook was run here yet."
        raise SelectorError(said, hint="difyops runbook list --since 7d")
    return _record(ledger, state, chosen[0])


def results_before(ledger: Ledger | None, now: RunRecord, step: str, *, limit: int) -> list[str]:
    """Return what a step came to in the last ended runs that are like the run ``now``: same runbook, context, inputs.

    Newest first. A run for another app says nothing about this one.
    """
    if ledger is None or limit < 1:
        return []
    events = ledger.events(RUN, subject=now.runbook, context=now.context, limit=limit * 6 + _OTHERS)
    inputs = json.loads(as_json(dict(now.inputs)))
    ended = [e for e in events if e.data.get("phase") == "ended" and (e.data.get("inputs") or {}) == inputs]
    found: list[str] = []
    for event in reversed(ended):
        results = event.data.get("results")
        if isinstance(results, Mapping) and step in results:
            found.append(str(results[step]))
    return found[:limit]


def _heads(ledger: Ledger, since: datetime | None, runbook: str | None, limit: int) -> list[_Head]:
    events = ledger.events(RUN, since=since, subject=runbook, limit=limit * 2)
    started = {_run_id(event): event for event in events if event.data.get("phase") == "started"}
    ended = {_run_id(event): event for event in events if event.data.get("phase") == "ended"}
    return [
        _Head(
            id=name,
            runbook=(ended.get(name) or started[name]).subject,
            started=started.get(name),
            ended=ended.get(name),
        )
        for name in sorted(started.keys() | ended.keys(), reverse=True)[:limit]
    ]


def _run_id(event: Event) -> str:
    return str(event.data.get("run"))


def _record(ledger: Ledger, state: Path, head: _Head) -> RunRecord:
    ended = head.ended
    event = ended or head.started
    assert event is not None  # noqa: S101 - a head has one of the two
    data: Mapping[str, Any] = event.data
    run_id = _run_id(event)
    steps = [step_of(item.data) for item in ledger.events(STEP, subject=run_id, limit=2000)]
    state_now = (
        str(data.get("state") or ENDED) if ended else RUNNING if ledger.is_held(run_lock(state, run_id)) else KILLED
    )
    if state_now == KILLED:
        steps += _cut_off(ledger, run_id, {step.id for step in steps})
    return RunRecord(
        id=run_id,
        runbook=event.subject,
        title=str(data.get("title") or event.subject),
        digest=str(data.get("digest") or ""),
        context=event.context,
        actor=str(data.get("actor") or ""),
        started_at=datetime.fromisoformat(str(data["started_at"])),
        ended_at=ended.when if ended else None,
        seconds=float(data.get("seconds") or 0.0),
        state=state_now,
        acting=bool(data.get("acting")),
        inputs=data.get("inputs") or {},
        steps=tuple(steps),
        warnings=tuple(data.get("warnings") or ()),
        about=data.get("about") or {},
    )


def _cut_off(ledger: Ledger, run_id: str, known: set[str]) -> list[StepRecord]:
    """Return the actions that had begun when the process died: nobody knows how far they came."""
    found = []
    for event in ledger.events(ACTING, subject=run_id, limit=500):
        data: Mapping[str, Any] = event.data
        if data.get("step") in known:
            continue
        changes = data.get("changes") is not False
        text = f"begun and cut off{', its state is unknown' if changes else ''}: {data.get('text')}"
        found.append(
            StepRecord(
                id=str(data.get("step")),
                tool=str(data.get("tool")),
                kind="action",
                title=str(data.get("title")),
                result="fail" if changes else "inconclusive",
                text=text,
                started_at=event.when,
                undo=data.get("undo"),
                undo_step=data.get("undo_step"),
                hint=f"Look first; to undo: {data.get('undo')}" if data.get("undo") else None,
            )
        )
    return found
