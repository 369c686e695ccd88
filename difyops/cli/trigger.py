"""``difyops trigger``: what starts workflows by itself, whether it did, and why not."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from difyops.cli.door import command, group, seconds
from difyops.cli.session import Session
from difyops.counting import counted
from difyops.errors import UsageError
from difyops.outcome import Outcome

if TYPE_CHECKING:
    from difyops.api.instance import Instance
    from difyops.api.model import App
    from difyops.trigger.firing import Fired, Shot
    from difyops.trigger.listing import TriggerRow

noun = group("What starts workflows by itself: schedules, webhooks, plugins. Whether it did, and why not.")

Apps = Annotated[
    list[str] | None,
    typer.Argument(metavar="[APP]...", help="Id, name, slug, glob, tag:NAME, @file, all (default)."),
]
Chosen = Annotated[list[str], typer.Argument(metavar="APP...", help="Id, name, slug, glob, tag:NAME, @file, all.")]
Which = Annotated[
    list[str] | None,
    typer.Option("--trigger", metavar="NAME", help="Title, node id, or kind: webhook, schedule, plugin (repeatable)."),
]
Since = Annotated[str, typer.Option("--since", metavar="TIME", help="How far back.")]


@command(noun, "list", fleet=True)
def list_(session: Session, apps: Apps = None) -> Outcome:
    """List triggers: on or off, the next slot of a schedule in its zone, the address of a webhook.

    Who knows a webhook's address may call it: treat the list as a secret.

    Examples:
        difyops trigger list
        difyops trigger list nightly-report -o json
    """
    from difyops.clock import SystemClock
    from difyops.render import trigger as views
    from difyops.trigger.listing import list_triggers

    async def work() -> Outcome:
        async with session.instance() as instance:
            chosen = await _chosen(instance, apps)
            return views.listed(await list_triggers(instance, chosen, now=SystemClock().now()))

    return session.run(work())


@command(noun, "enable")
def enable(session: Session, apps: Chosen, trigger: Which = None) -> Outcome:
    """Switch triggers on. A schedule that missed its slot while it was off may run once, at once.

    Examples:
        difyops trigger enable nightly-report --dry-run
        difyops trigger enable nightly-report order-intake --yes
    """
    return _switch(session, apps, trigger, on=True)


@command(noun, "disable")
def disable(session: Session, apps: Chosen, trigger: Which = None) -> Outcome:
    """Switch triggers off: schedules stop, callers of a webhook get 404.

    Examples:
        difyops trigger disable nightly-report --dry-run
        difyops trigger disable all --yes
    """
    return _switch(session, apps, trigger, on=False)


@command(noun, "fire")
def fire(
    session: Session,
    app: Annotated[str, typer.Argument(metavar="APP", help="App id, exact name or slug.")],
    trigger: Annotated[str | None, typer.Option("--trigger", metavar="NAME", help="Title, node id or kind.")] = None,
    data: Annotated[str | None, typer.Option("--data", metavar="TEXT|@FILE", help="The body of the call.")] = None,
    header: Annotated[list[str] | None, typer.Option("--header", metavar="NAME: VALUE", help="Repeatable.")] = None,
    method: Annotated[str | None, typer.Option("--method", help="Default: the node's own.")] = None,
    debug: Annotated[bool, typer.Option("--debug", help="The address that an editor's test run listens on.")] = False,
    wait: Annotated[str, typer.Option("--wait", metavar="TIME", help="How long to look for the run.")] = "15s",
) -> Outcome:
    """Start a workflow once by hand: call its webhook as a caller does, and find the run.

    A schedule cannot be fired in Dify: its live version is run once through the service API instead, and that is said.

    Examples:
        difyops trigger fire orders --data '{"id": 7}' --yes
        difyops trigger fire order-intake --data '{"order": "A-17"}' --yes
    """
    from difyops.render import trigger as views
    from difyops.trigger.firing import Shot

    shot = Shot(
        content=_body(data),
        headers=_headers(header),
        method=method.upper() if method else None,
        debug=debug,
        wait=seconds(wait, zero=True),
    )
    return views.fired(session.run(_fire(session, app, trigger, shot)))


@command(noun, "history", fleet=True)
def history(
    session: Session,
    apps: Apps = None,
    since: Since = "24h",
    kind: Annotated[str | None, typer.Option("--kind", help="schedule, webhook or plugin.")] = None,
) -> Outcome:
    """List the runs that triggers started; run lists and statistics of Dify leave them out.

    Examples:
        difyops trigger history
        difyops trigger history nightly-report --since 7d -o json
    """
    from difyops.clock import SystemClock
    from difyops.render import trigger as views
    from difyops.trigger.runs import SOURCES, triggered_runs

    if kind is not None and kind not in SOURCES:
        raise UsageError(f"{kind!r} is no kind of trigger.", hint=f"One of: {', '.join(SOURCES)}.")
    now = SystemClock().now()
    begin = now - timedelta(seconds=seconds(since))

    async def work() -> Outcome:
        async with session.instance() as instance:
            chosen = await _chosen(instance, apps)
            found = await triggered_runs(instance, chosen, begin, now, (kind,) if kind else SOURCES)
            return views.history(found)

    return session.run(work())


@command(noun, "audit", fleet=True)
def audit(
    session: Session,
    apps: Apps = None,
    since: Since = "24h",
    on_time: Annotated[
        str, typer.Option("--on-time", metavar="TIME", help="How long after its slot a run may start.")
    ] = "2m",
) -> Outcome:
    """Hold the slots of schedules to the runs that came: missed, late, doubled, and why.

    Exit 5 when a slot has no run or a run is one too many, 3 when the log cannot tell.

    Examples:
        difyops trigger audit --since 7d
        difyops trigger audit
    """
    from difyops.render import trigger as views
    from difyops.trigger.audit import audit as hold

    back = timedelta(seconds=seconds(since))
    within = timedelta(seconds=seconds(on_time))

    async def work() -> Outcome:
        async with session.instance() as instance:
            every = [item async for item in instance.console.apps()]
            chosen = _selected(every, apps)
            rest = [item for item in every if item.id not in {app.id for app in chosen}]
            workspace = session.workspace(instance)
            return views.audited(await hold(workspace, chosen, back, on_time=within, others=rest))

    return session.run(work())


def _switch(session: Session, selectors: list[str], wanted: list[str] | None, *, on: bool) -> Outcome:
    from difyops.clock import SystemClock
    from difyops.render import trigger as views
    from difyops.trigger.listing import list_triggers

    word = "enabled" if on else "disabled"

    async def work() -> Outcome:
        async with session.instance() as instance:
            apps = await _chosen(instance, selectors)
            found = await list_triggers(instance, apps, now=SystemClock().now())
            for _, error in found.failed:
                raise error
            rows = _fitting(found.rows, wanted)
            moving = [row for row in rows if row.status != word]
            moved = {row.id for row in moving}
            if moving and not session.dry_run:
                names = ", ".join(f"{row.app}/{row.title}" for row in moving[:5]) + (" ..." if len(moving) > 5 else "")
                session.confirm(
                    f"Switch {names} {word}?", changes=f"Switching {counted(len(moving), 'trigger')} {word}"
                )
                moved = await _switch_all(session, instance, apps, moving, on=on)
            return views.switched(rows, moved, on=on, dry_run=session.dry_run)

    return session.run(work())


async def _switch_all(
    session: Session, instance: Instance, apps: list[App], moving: list[TriggerRow], *, on: bool
) -> set[str]:
    from difyops.switching import switch_triggers

    workspace, moved = session.workspace(instance), set()
    for app in apps:
        own = {row.id for row in moving if row.app_id == app.id}
        triggers = [item for item in await instance.console.triggers(app.id) if item.id in own] if own else []
        if triggers and await switch_triggers(workspace, app, triggers, on=on):
            moved |= own
    return moved


def _fitting(rows: tuple[TriggerRow, ...], wanted: list[str] | None) -> list[TriggerRow]:
    names = {row.id: {row.id, row.title, row.node_id, row.kind} for row in rows}
    unknown = [name for name in wanted or () if not any(name in known for known in names.values())]
    if unknown or not rows:
        there = ", ".join(sorted({f"{row.title} ({row.kind})" for row in rows})) or "none"
        said = f"No trigger {unknown[0]!r}" if unknown else "No trigger at all"
        raise UsageError(f"{said} in these apps.", hint=f"There is: {there}.")
    return [row for row in rows if not wanted or set(wanted) & names[row.id]]


async def _fire(session: Session, selector: str, wanted: str | None, shot: Shot) -> Fired:
    from difyops.clock import SystemClock
    from difyops.targets import pick
    from difyops.trigger.firing import check_enabled, chosen_trigger, fire_webhook
    from difyops.trigger.listing import list_triggers

    async with session.instance() as instance:
        app = pick([item async for item in instance.console.apps()], selector)
        found = await list_triggers(instance, [app], now=SystemClock().now())
        for _, error in found.failed:
            raise error
        row = chosen_trigger(found.rows, wanted)
        if row.kind == "plugin":
            raise UsageError("A plugin's trigger is fired by the plugin's own provider only.")
        if row.kind == "schedule" and (shot.content or shot.headers or shot.method or shot.debug):
            raise UsageError("A schedule takes no --data, --header, --method or --debug: it has no inputs.")
        if row.kind == "webhook":
            check_enabled(row, shot)
        if session.dry_run:
            return _would(app, row, shot)
        session.confirm(f"Start {app.name} now?", changes=f"Starting {app.name!r} by its {row.kind}")
        if row.kind == "webhook":
            return await fire_webhook(session.workspace(instance), app, row, shot)
    return await _run_live(session, app, row)


async def _run_live(session: Session, app: App, row: TriggerRow) -> Fired:
    from difyops.cli.app_run import run_once
    from difyops.trigger.firing import Fired

    answer = await run_once(session, app.id, "", {})
    context = session.config.context(session.one_context()).name
    session.audit("trigger.fire", app.id, context, trigger=row.id, run=answer.run_id)
    return Fired(
        app=app.name, app_id=app.id, trigger=row.title, kind=row.kind, how="service API (Dify fires no schedule)",
        answered=None, answer=answer.text[:2000], run=answer.run_id, status=answer.status,
    )  # fmt: skip


def _would(app: App, row: TriggerRow, shot: Shot) -> Fired:
    from difyops.trigger.firing import Fired

    how = "service API (Dify fires no schedule)" if row.kind == "schedule" else "debug" if shot.debug else "webhook"
    return Fired(
        app=app.name, app_id=app.id, trigger=row.title, kind=row.kind, how=f"would use: {how}",
        answered=None, answer="", run=None, status="not sent",
    )  # fmt: skip


async def _chosen(instance: Instance, selectors: list[str] | None) -> list[App]:
    return _selected([item async for item in instance.console.apps()], selectors)


def _selected(apps: list[App], selectors: list[str] | None) -> list[App]:
    from difyops.targets import select

    return select(apps, selectors) if selectors else apps


def _body(text: str | None) -> bytes:
    if text is None or not text.startswith("@"):
        return (text or "").encode()
    try:
        return Path(text[1:]).read_bytes()
    except OSError as error:
        raise UsageError(f"--data {text}: it cannot be read: {error.strerror}.") from error


def _headers(given: list[str] | None) -> dict[str, str]:
    found: dict[str, Any] = {}
    for line in given or ():
        name, colon, value = line.partition(":")
        if not colon or not name.strip() or not line.isprintable() or not line.isascii():
            raise UsageError(f"--header {line!r} is no header.", hint="Example: --header 'X-Source: test'")
        found[name.strip()] = value.strip()
    return found
