"""Every slot of a period against the runs that came, and why one did not: the audit of schedules."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from difyops.api.model import App, Trigger
from difyops.api.runs import runs_in
from difyops.api.server_time import server_time
from difyops.counting import counted
from difyops.errors import AnswerIsNo, DifyopsError, PartialFailure
from difyops.fanout import Done, Failed, FanoutOptions, fan_out
from difyops.trigger.causes import Surroundings, away_times, explain
from difyops.trigger.eras import Era, Switched, eras, expected, switches, was_on
from difyops.trigger.listing import may_have_triggers
from difyops.trigger.matching import DOUBLED, EARLY, LATE, MISSED, OFF, ON_TIME, UNKNOWN, JudgedSlot, Slot, Start, match
from difyops.workspace import Workspace

ON_TIME_WITHIN = timedelta(minutes=2)
_LOOK_BACK = timedelta(hours=1)
_MOST_WITNESSES = 50
_WORKERS_DO = ("schedule", "webhook", "plugin")


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditFinding:
    """A slot not run on time, or a run too many. ``cause``: publish, worker, off, clocks, enabled, log or blank."""

    app: str
    app_id: str
    schedule: str
    verdict: str
    slot: datetime | None
    started: datetime | None
    delay: float | None
    run: str | None
    cause: str
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Audit:
    """What became of the slots. ``counts`` by verdict; ``unclear``: why something could not be judged, in sentences."""

    since: datetime
    until: datetime
    apps: int
    slots: int
    counts: dict[str, int]
    findings: tuple[AuditFinding, ...]
    unclear: tuple[str, ...] = ()

    @property
    def error(self) -> DifyopsError | None:
        """Return the "no" (5) when a slot was missed or doubled, what the log cannot tell (3), or nothing."""
        bad = self.counts[MISSED] + self.counts[DOUBLED]
        if bad:
            said = (
                f"{self.counts[MISSED]} of {counted(self.slots, 'slot has', 'slots have')} no run,"
                f" {counted(self.counts[DOUBLED], 'run is', 'runs are')} too many."
            )
            return AnswerIsNo(said, hint="The why of each is in the list; difyops trigger history shows the runs.")
        if self.unclear or self.counts[UNKNOWN]:
            first = self.unclear[0] if self.unclear else f"{counted(self.counts[UNKNOWN], 'slot')} cannot be judged"
            return PartialFailure(f"The log cannot tell everything: {first}.")
        return None


@dataclass(slots=True)
class _Watched:
    """What was read of one app."""

    app: App
    triggers: dict[str, Trigger]
    eras: list[Era]
    slots: list[Slot]
    unreadable: list[str]
    starts: list[Start]
    alive: list[datetime]
    oldest: datetime | None
    complete: bool
    switched: list[Switched] = field(default_factory=list)


async def audit(
    workspace: Workspace,
    apps: Sequence[App],
    back: timedelta,
    *,
    on_time: timedelta = ON_TIME_WITHIN,
    others: Sequence[App] = (),
) -> Audit:
    """Hold every slot of the schedules of ``apps``, ``back`` from now, to the runs in their logs.

    Slots of the last ``on_time`` are not judged yet. ``others`` are looked at when something is missing: whether their
    runs are missing too tells a worker that was away from a schedule that was lost.

    Raises:
        NotSupported: the server has no triggers (before 1.10).
    """
    instance = workspace.instance
    instance.capabilities.require("triggers", "Triggers")
    now = datetime.fromtimestamp((await server_time(instance, workspace.clock)).now, UTC)
    since = now - back
    watched, failed = await _read_all(workspace, apps, since, now)
    judged = {item.app.id: _judged(item, on_time, now) for item in watched}
    if any(found.verdict in (MISSED, LATE, DOUBLED) for rows in judged.values() for found in rows):
        witnesses, _ = await _read_all(workspace, others[:_MOST_WITNESSES], since, now)
        judged = _explained(watched, witnesses, judged, on_time, now)
    return _audit(watched, judged, failed, since, now)


def _explained(
    watched: Sequence[_Watched],
    witnesses: Sequence[_Watched],
    judged: dict[str, list[JudgedSlot]],
    on_time: timedelta,
    now: datetime,
) -> dict[str, list[JudgedSlot]]:
    everybody = [*watched, *witnesses]
    seen = {item.app.id: _while_on(item, _judged(item, on_time, now)) for item in everybody}
    alive = sorted(moment for item in everybody for moment in item.alive)
    away = away_times(seen, alive, on_time)
    explained = {}
    for item in watched:
        rows = _judged(item, on_time, now, away)
        around = Surroundings(
            now=now, eras=item.eras, switched=item.switched, triggers=item.triggers, starts=item.starts, away=away,
            oldest=item.oldest, complete=item.complete,
            compared=sum(bool(found) for name, found in seen.items() if name != item.app.id),
        )  # fmt: skip
        explained[item.app.id] = [explain(row, around) for row in rows]
    return explained


def _while_on(item: _Watched, rows: list[JudgedSlot]) -> list[JudgedSlot]:
    """Return the slots that may tell whether a worker was there: those of triggers that were on, as far as is known."""
    found = []
    for row in rows:
        trigger = item.triggers.get(row.slot.schedule) if row.slot else None
        is_off = trigger is not None and trigger.status != "enabled"
        if row.slot and trigger and (is_off or was_on(item.switched, trigger.id, row.slot.at) is False):
            continue
        found.append(row)
    return found


def _judged(
    item: _Watched, on_time: timedelta, now: datetime, away: Sequence[tuple[datetime, datetime]] = ()
) -> list[JudgedSlot]:
    due = [slot for slot in item.slots if slot.at + on_time < now]
    pending = {slot.at for slot in item.slots} - {slot.at for slot in due}
    starts = [run for run in item.starts if not any(at - EARLY <= run.at for at in pending)]
    return match(due, starts, on_time=on_time, away=away)


async def _read_all(
    workspace: Workspace, apps: Sequence[App], since: datetime, now: datetime
) -> tuple[list[_Watched], list[tuple[str, DifyopsError]]]:
    watched: list[_Watched] = []
    failed: list[tuple[str, DifyopsError]] = []

    async def one(app: App) -> _Watched | None:
        return await _read(workspace, app, since, now)

    options = FanoutOptions(limit=workspace.instance.context.max_in_flight)
    async for item in fan_out([app for app in apps if may_have_triggers(app)], one, options):
        match item:
            case Done(value=found) if found is not None:
                watched.append(found)
            case Failed(item=app, error=error):
                failed.append((app.name, error))
    return sorted(watched, key=lambda item: (item.app.name, item.app.id)), failed


async def _read(workspace: Workspace, app: App, since: datetime, now: datetime) -> _Watched | None:
    """Read what the audit needs of one app; ``None`` for one without schedules."""
    instance, begin = workspace.instance, since - _LOOK_BACK
    triggers = {item.node_id: item for item in await instance.console.triggers(app.id)}
    history = await eras(instance, app, begin, now)
    if not any(era.schedules for era in history):
        return None
    slots, unreadable = expected(history, begin, now)
    window = await runs_in(instance, app, begin, now + timedelta(minutes=1))
    starts = [
        Start(at=datetime.fromtimestamp(run.started, UTC), id=run.id, status=run.status)
        for run in window.runs
        if run.source == "schedule"
    ]
    return _Watched(
        app=app, triggers=triggers, eras=history, slots=slots, unreadable=unreadable, starts=starts,
        alive=[datetime.fromtimestamp(run.started, UTC) for run in window.runs if run.source in _WORKERS_DO],
        oldest=datetime.fromtimestamp(window.runs[-1].started, UTC) if window.runs else None,
        complete=window.complete, switched=switches(workspace.journal, app.id),
    )  # fmt: skip


def _audit(
    watched: Sequence[_Watched],
    judged: dict[str, list[JudgedSlot]],
    failed: Sequence[tuple[str, DifyopsError]],
    since: datetime,
    now: datetime,
) -> Audit:
    counts = dict.fromkeys((ON_TIME, LATE, MISSED, DOUBLED, OFF, UNKNOWN), 0)
    findings: list[AuditFinding] = []
    unclear = [f"{name} could not be read ({error.message.rstrip('.')})" for name, error in failed]
    slots = 0
    for item in watched:
        unclear += [f"when {title!r} of {item.app.name} runs cannot be told" for title in item.unreadable]
        for row in judged[item.app.id]:
            if row.at < since:
                continue
            counts[row.verdict] += 1
            slots += row.verdict != DOUBLED and not (row.verdict == UNKNOWN and row.run)
            if row.verdict != ON_TIME:
                findings.append(_finding(item, row))
    return Audit(
        since=since, until=now, apps=len(watched), slots=slots, counts=counts,
        findings=tuple(sorted(findings, key=lambda row: (row.slot or row.started or since, row.app))),
        unclear=tuple(unclear),
    )  # fmt: skip


def _finding(item: _Watched, row: JudgedSlot) -> AuditFinding:
    node = row.slot.schedule if row.slot else ""
    titles = {schedule.node_id: schedule.title for era in item.eras for schedule in era.schedules}
    return AuditFinding(
        app=item.app.name, app_id=item.app.id, schedule=titles.get(node, node), verdict=row.verdict,
        slot=row.slot.at if row.slot else None, started=row.run.at if row.run else None, delay=row.delay,
        run=row.run.id if row.run else None, cause=row.cause, why=row.why,
    )  # fmt: skip
