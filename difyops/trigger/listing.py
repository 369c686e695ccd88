"""Every trigger of the apps: what it is, whether it is on, when it runs next or where it listens."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from difyops.api.instance import Instance
from difyops.api.model import App, Trigger
from difyops.api.triggers import webhook_address
from difyops.errors import DifyopsError, UnreadableAnswer
from difyops.fanout import Done, Failed, FanoutOptions, fan_out
from difyops.publishing.slots import Schedule, schedules
from difyops.requirements import check_triggers


@dataclass(frozen=True, slots=True, kw_only=True)
class TriggerRow:
    """One trigger. ``next`` is its next slot in UTC and ``next_local`` the same in ``zone``; both only while it is on.

    ``url`` and ``debug_url`` are a webhook's addresses: who knows one may call it. ``note`` says what cannot be told.
    """

    app: str
    app_id: str
    id: str
    kind: str
    title: str
    node_id: str
    status: str
    cron: str | None = None
    zone: str | None = None
    next: datetime | None = None
    next_local: str | None = None
    url: str | None = None
    debug_url: str | None = None
    note: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Triggers:
    """The triggers of the apps, and the apps whose triggers could not be read, by name."""

    rows: tuple[TriggerRow, ...]
    failed: tuple[tuple[str, DifyopsError], ...] = ()


def may_have_triggers(app: App) -> bool:
    """Say whether an app may have triggers: a workflow that was published."""
    return app.mode == "workflow" and app.live_version is not None


def kind_of(trigger: Trigger) -> str:
    """Return webhook, schedule or plugin."""
    return trigger.kind.removeprefix("trigger-")


async def list_triggers(instance: Instance, apps: Sequence[App], *, now: datetime) -> Triggers:
    """Return the triggers of ``apps``; one app that cannot be read does not hide the others.

    Raises:
        NotSupported: the server has no triggers (before 1.10).
    """
    instance.capabilities.require("triggers", "Triggers")
    rows: list[TriggerRow] = []
    failed: list[tuple[str, DifyopsError]] = []

    async def one(app: App) -> list[TriggerRow]:
        return await _of(instance, app, now)

    options = FanoutOptions(limit=instance.context.max_in_flight)
    async for item in fan_out([app for app in apps if may_have_triggers(app)], one, options):
        match item:
            case Done(value=found):
                rows += found
            case Failed(item=app, error=error):
                failed.append((app.name, error))
    rows.sort(key=lambda row: (row.app, row.app_id, row.kind, row.title, row.id))
    return Triggers(rows=tuple(rows), failed=tuple(sorted(failed, key=lambda pair: pair[0])))


async def _of(instance: Instance, app: App, now: datetime) -> list[TriggerRow]:
    triggers = await instance.console.triggers(app.id)
    live = await instance.console.published(app.id)
    document = live.document if live else {}
    try:
        check_triggers(document, triggers)
    except UnreadableAnswer:  # somebody may have published between the two answers
        triggers = await instance.console.triggers(app.id)
        check_triggers(document, triggers)
    known: dict[str, Schedule] = {item.node_id: item for item in schedules(document)}
    return [await _row(instance, app, trigger, known.get(trigger.node_id), now) for trigger in triggers]


async def _row(instance: Instance, app: App, trigger: Trigger, schedule: Schedule | None, now: datetime) -> TriggerRow:
    kind, is_on = kind_of(trigger), trigger.status == "enabled"
    address = await webhook_address(instance.console, app.id, trigger.node_id) if kind == "webhook" else None
    local, note = None, None
    if kind == "schedule" and (schedule is None or not schedule.is_readable):
        note = "when it runs cannot be told from its cron and time zone"
    elif schedule is not None and is_on:
        local = schedule.following(now)
    if kind == "webhook" and address is None:
        note = "the server does not tell its address"
    return TriggerRow(
        app=app.name,
        app_id=app.id,
        id=trigger.id,
        kind=kind,
        title=trigger.title,
        node_id=trigger.node_id,
        status=trigger.status,
        cron=schedule.cron if schedule else None,
        zone=schedule.zone if schedule else None,
        next=local.astimezone(UTC) if local else None,
        next_local=local.isoformat(timespec="minutes") if local else None,
        url=address.url if address else None,
        debug_url=address.debug_url if address else None,
        note=note,
    )
