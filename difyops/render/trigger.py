"""How triggers, their runs and their audit look."""

from __future__ import annotations

from collections.abc import Sequence

from difyops.clock import iso
from difyops.counting import counted
from difyops.errors import DifyopsError, PartialFailure
from difyops.outcome import Facts, Outcome, Table
from difyops.trigger.audit import Audit, AuditFinding
from difyops.trigger.firing import Fired
from difyops.trigger.listing import TriggerRow, Triggers
from difyops.trigger.matching import ON_TIME
from difyops.trigger.runs import TriggeredRuns


def listed(found: Triggers) -> Outcome:
    """Show the triggers: a schedule with its next slot in its own zone, a webhook with its address."""
    rows = [(row.app, row.kind, row.title, row.status, _when(row), row.url or row.note) for row in found.rows]
    on = sum(row.status == "enabled" for row in found.rows)
    return Outcome(
        kind="trigger.list",
        data=found.rows,
        blocks=[
            Table(columns=("app", "kind", "trigger", "state", "next slot", "address"), rows=rows, empty="No triggers.")
        ],
        summary=f"{counted(len(found.rows), 'trigger')}, {on} on",
        names=[f"{row.app}/{row.node_id}" for row in found.rows],
        warnings=_unread(found.failed),
        error=_partial(found.failed),
    )


def switched(rows: Sequence[TriggerRow], moved: set[str], *, on: bool, dry_run: bool) -> Outcome:
    """Show what was switched; enabling tells that a slot that was missed may run at once."""
    word = "enabled" if on else "disabled"
    data = [
        {"app": row.app, "app_id": row.app_id, "trigger": row.id, "title": row.title, "kind": row.kind,
         "status": word, "changed": row.id in moved}
        for row in rows
    ]  # fmt: skip
    warnings = []
    if on and any(row.kind == "schedule" and row.id in moved for row in rows):
        warnings.append(
            "a schedule that missed its slot while it was off may run once, at once (seen on 1.15); "
            "publishing while it is off clears that"
        )
    same = len(rows) - len(moved)
    return Outcome(
        kind=f"trigger.{'enable' if on else 'disable'}",
        data=data,
        blocks=[Table(columns=("app", "trigger", "kind", "state"), rows=[_state(row, word) for row in rows])],
        summary=f"{'would switch' if dry_run else 'switched'} {counted(len(moved), 'trigger')} {'on' if on else 'off'}"
        + (f"; {same} {'was' if same == 1 else 'were'} so already" if same else ""),
        names=[row.id for row in rows],
        warnings=warnings,
    )


def fired(found: Fired) -> Outcome:
    """Show what firing a trigger brought."""
    facts: list[tuple[str, object]] = [
        ("app", found.app), ("trigger", f"{found.trigger} ({found.kind})"), ("how", found.how),
        ("answered", found.answered), ("answer", found.answer or None), ("run", found.run), ("status", found.status),
    ]  # fmt: skip
    warnings = []
    if found.kind == "schedule":
        warnings.append("the log has this run as app-run: Dify lets nobody fire a schedule, so its next slot stays")
    elif found.run is None and found.how != "debug":
        warnings.append("no run is in the log yet: difyops trigger history shows it when the worker takes it")
    bad = found.status in ("failed", "stopped")
    return Outcome(
        kind="trigger.fire", data=found, blocks=[Facts(pairs=facts)], warnings=warnings,
        summary=f"{found.trigger}: {found.status or 'sent'}", names=[found.run or ""],
        error=DifyopsError(f"The run of {found.app!r} ended {found.status}.") if bad else None,
    )  # fmt: skip


def history(found: TriggeredRuns) -> Outcome:
    """Show the runs that triggers started."""
    rows = [
        (iso(run.started), run.app, run.kind, run.status, _seconds(run.seconds), run.error or None, run.id)
        for run in found.runs
    ]
    kinds = {kind: sum(run.kind == kind for run in found.runs) for kind in sorted({run.kind for run in found.runs})}
    cut = [f"{name} has more runs than are read at once; give a shorter --since" for name in found.cut]
    columns = ("started", "app", "kind", "status", "took", "error", "run")
    return Outcome(
        kind="trigger.history",
        data=found.runs,
        blocks=[Table(columns=columns, rows=rows, empty=f"No trigger started a run since {iso(found.since)}.")],
        summary=f"{counted(len(found.runs), 'run')} since {iso(found.since)}"
        + (f" ({', '.join(f'{count} {kind}' for kind, count in kinds.items())})" if kinds else ""),
        names=[run.id for run in found.runs],
        warnings=[*_unread(found.failed), *cut],
        error=_partial(found.failed) or (PartialFailure(f"{cut[0]}.") if cut else None),
    )


def audited(found: Audit) -> Outcome:
    """Show every slot that was not run on time, and why."""
    rows = [_row(rows) for rows in _folded(found.findings)]
    counts = ", ".join(f"{count} {word}" for word, count in found.counts.items() if count)
    empty = (
        f"All {counted(found.slots, 'slot')} since {iso(found.since)} ran on time."
        if found.slots
        else "No slot was due."
    )
    if found.counts[ON_TIME] != found.slots and found.slots:
        empty = "Nothing to report."
    return Outcome(
        kind="trigger.audit",
        data=found,
        blocks=[Table(columns=("app", "schedule", "slot", "verdict", "after", "why"), rows=rows, empty=empty)],
        summary=f"{counted(found.slots, 'slot')} of {counted(found.apps, 'app')} since {iso(found.since)}"
        + (f": {counts}" if counts else ""),
        names=[f"{row.app}/{_moment(row)}" for row in found.findings],
        records=[_record(row) for row in found.findings],
        warnings=found.unclear,
        error=found.error,
    )


def _folded(findings: Sequence[AuditFinding]) -> list[list[AuditFinding]]:
    """Return findings of one schedule, verdict and reason that follow each other as one, where nothing ran."""
    groups: list[list[AuditFinding]] = []
    last: dict[tuple[str, str], list[AuditFinding]] = {}
    for row in findings:
        key = (row.app_id, row.schedule)
        before = last.get(key)
        if before and row.run is None and (before[-1].verdict, before[-1].why) == (row.verdict, row.why):
            before.append(row)
            continue
        last[key] = [row]
        groups.append(last[key])
    return groups


def _row(rows: Sequence[AuditFinding]) -> tuple[object, ...]:
    first = rows[0]
    when = _moment(first)
    if len(rows) > 1:
        when = f"{when} to {_moment(rows[-1])} ({counted(len(rows), 'slot')})"
    return (first.app, first.schedule or None, when, first.verdict, _seconds(first.delay), first.why)


def _record(row: AuditFinding) -> dict[str, object]:
    return {
        "app": row.app, "app_id": row.app_id, "schedule": row.schedule, "verdict": row.verdict, "slot": row.slot,
        "started": row.started, "delay": row.delay, "run": row.run, "cause": row.cause, "why": row.why,
    }  # fmt: skip


def _moment(row: AuditFinding) -> str | None:
    moment = row.slot or row.started
    return iso(moment) if moment else None


def _when(row: TriggerRow) -> str | None:
    if row.next_local is None:
        return None if row.cron is None else f"off ({row.cron} {row.zone})"
    return f"{row.next_local} {row.zone}"


def _state(row: TriggerRow, word: str) -> tuple[object, ...]:
    return (row.app, row.title, row.kind, word)


def _seconds(value: float | None) -> str | None:
    if value is None:
        return None
    return f"{value:.1f} s" if value < 120 else f"{value / 60:.0f} min" if value < 7200 else f"{value / 3600:.1f} h"


def _unread(failed: Sequence[tuple[str, DifyopsError]]) -> list[str]:
    return [f"{name}: {error.message}" for name, error in failed]


def _partial(failed: Sequence[tuple[str, DifyopsError]]) -> DifyopsError | None:
    if not failed:
        return None
    return PartialFailure(f"{counted(len(failed), 'app')} could not be read: {failed[0][0]}: {failed[0][1].message}")
