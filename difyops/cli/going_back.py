"""``difyops snapshot rollback|doctor``: what changes an instance. Plan, show, confirm, apply, prove."""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any

import typer

from difyops.cli.door import command
from difyops.cli.restoring import AllowMissing, SecretFrom, given_secrets, restore
from difyops.cli.session import Session
from difyops.errors import DifyopsError, UsageError
from difyops.outcome import Outcome

if TYPE_CHECKING:
    from difyops.api.instance import Instance
    from difyops.api.model import App
    from difyops.asking import Smoke
    from difyops.snapshot.plan import RollbackPlan
    from difyops.snapshot.rollback import RollbackOptions, RolledBack
    from difyops.snapshot.way_back import WayBack

log = logging.getLogger("difyops.cli")


ToAnything = Annotated[
    str,
    typer.Option(
        "--to",
        metavar="SNAPSHOT|VERSION",
        help="Tag, commit, latest, latest~1; or the server's: previous, a version's id.",
    ),
]


def register(noun: typer.Typer) -> None:
    """Add the commands of this file to the noun."""
    for name, function in (("rollback", rollback), ("restore", restore), ("doctor", doctor)):
        command(noun, name)(function)


def rollback(
    session: Session,
    apps: Annotated[
        list[str], typer.Argument(metavar="SELECTOR...", help="Id, name, slug, glob, tag:NAME, mode:NAME, @file, all.")
    ],
    to: ToAnything,
    with_old_secrets: Annotated[
        bool, typer.Option("--with-old-secrets", help="Bring the old version's secrets back too.")
    ] = False,
    secret: SecretFrom = None,
    smoke: Annotated[
        str | None, typer.Option("--smoke", metavar="JSON|@FILE", help="Inputs of a test run before it goes live.")
    ] = None,
    expect: Annotated[str | None, typer.Option("--expect", help="Text that the test run must answer.")] = None,
    plan_id: Annotated[str | None, typer.Option("--plan", metavar="ID", help="Carry out exactly this plan.")] = None,
    with_name: Annotated[bool, typer.Option("--with-name", help="Bring name, description and icon back too.")] = False,
    message: Annotated[
        str, typer.Option("--message", "-m", help="Comment of the published version (72 characters).")
    ] = "",
    allow_missing: AllowMissing = False,
    no_wait_slot: Annotated[
        bool, typer.Option("--no-wait-slot", help="Publish at once, though a schedule is due just now.")
    ] = False,
    same_instance: Annotated[
        bool, typer.Option("--same-instance", help="The instance moved: these are its snapshots (kept in the store).")
    ] = False,
) -> Outcome:
    """Go back to a snapshot: exact version, live secrets kept, proved by reading back, undone when the proof fails.

    Examples:
        difyops snapshot rollback support-triage --to v1 --dry-run
        difyops snapshot rollback support-triage support-chat --to latest --yes
    """
    from difyops.snapshot.rollback import RollbackOptions
    from difyops.snapshot.situation import PlanOptions

    options = RollbackOptions(
        plan=PlanOptions(
            with_old_secrets=with_old_secrets,
            with_name=with_name,
            given=given_secrets(secret),
            otherwise=allow_missing,
        ),
        expected_plan=plan_id,
        allow_missing=allow_missing,
        comment=message,
        smoke=_smoke(smoke, expect),
        wait_for_slots=not no_wait_slot,
    )
    return session.run(_rollback(session, apps, to, options, same_instance=same_instance))


def doctor(
    session: Session,
    app: Annotated[str | None, typer.Argument(metavar="[APP]", help="Only this app.")] = None,
    finish: Annotated[bool, typer.Option("--finish", help="Bring cut-off rollbacks to their end.")] = False,
    undo: Annotated[bool, typer.Option("--undo", help="Put the former state back.")] = False,
) -> Outcome:
    """Tell which changes were cut off and in what state the apps are; finish or undo them (difyops changes).

    Examples:
        difyops snapshot doctor
        difyops snapshot doctor support-triage --finish
    """
    from difyops.cli import changes
    from difyops.render import changes as views

    if finish and undo:
        raise UsageError("--finish and --undo exclude each other.")
    if finish or undo:
        return views.told(session.run(changes.end(session, app, "finish" if finish else "undo")), title="ended")
    return views.told(session.run(changes.told(session, app)))


async def _rollback(
    session: Session, selectors: Sequence[str], to: str, options: RollbackOptions, *, same_instance: bool
) -> Outcome:
    from difyops.cli.stores import open_store
    from difyops.render import going_back as views
    from difyops.snapshot.way_back import WayBackRequest, find_way_back

    async with session.instance() as instance:
        asked = WayBackRequest(word=to, access=session.access, same_instance=same_instance, writes=not session.dry_run)
        way = await find_way_back(instance, lambda: open_store(session), asked)
        for warning in way.seal.warnings:
            log.warning("%s", warning)
        options = replace(options, plan=replace(options.plan, seal=way.seal, access=session.access))
        live = [row async for row in instance.console.apps()]
        chosen = list({app.id: app for selector in selectors for app in way.chosen(live, selector)}.values())
        plans, failed = await plans_of(instance, way, chosen, options)
        if len(chosen) == 1 and failed:
            raise next(iter(failed.values()))
        if session.dry_run:
            return views.planned(plans, failed, with_name=options.plan.with_name)
        moving = [item for item in plans if options.plan.with_name or not item.nothing_to_do]
        if moving:
            show_plans(session, moving)
            session.confirm("Go ahead?", changes=f"Rolling back {len(moving)} app{'s' * (len(moving) != 1)}")
        done: list[RolledBack] = []
        for item in plans:
            try:
                done.append(await roll_one(session, instance, way, item, options))
            except asyncio.CancelledError:
                moved = [end.plan.app_name for end in done if end.state == "rolled back"]
                if moved:
                    log.warning("rolled back before that: %s", ", ".join(moved))
                raise
            except DifyopsError as error:
                if len(chosen) == 1:
                    raise
                failed[_label(chosen, item.app_name, item.app_id)] = error
    return views.rolled_back(done, failed)


async def plans_of(
    instance: Instance, way: WayBack, chosen: Sequence[App], options: RollbackOptions
) -> tuple[list[RollbackPlan], dict[str, DifyopsError]]:
    """Return the plan of each app, and why an app has none."""
    from difyops.snapshot.plan import make_plan

    plans: list[RollbackPlan] = []
    failed: dict[str, DifyopsError] = {}
    for app in chosen:
        try:
            plans.append((await make_plan(instance, await way.kept(app), way.word, options.plan))[0])
        except DifyopsError as error:
            failed[_label(chosen, app.name, app.id)] = error
    return plans, failed


def _label(chosen: Sequence[App], name: str, app_id: str) -> str:
    """Return the app's name, with its id where another one has the same: none may hide behind the other."""
    return name if sum(app.name == name for app in chosen) == 1 else f"{name} ({app_id})"


async def roll_one(
    session: Session, instance: Instance, way: WayBack, plan: RollbackPlan, options: RollbackOptions
) -> RolledBack:
    """Carry one plan out, as it was shown."""
    from difyops.api.model import App
    from difyops.snapshot.rollback import roll_back

    exact = replace(options, expected_plan=options.expected_plan or plan.id)
    kept = await way.kept(App(id=plan.app_id, name=plan.app_name, mode=plan.mode))
    return await roll_back(session.workspace(instance, store=way.store), kept, way.word, exact)


def show_plans(session: Session, plans: Sequence[RollbackPlan]) -> None:
    """Show the plan on stderr before the question; with --yes a person still finds it in the log of the job."""
    if session.quiet:
        return
    from difyops.render import going_back as views
    from difyops.render.plain import as_plain

    sys.stderr.write("\n\n".join(as_plain(views.plan(item)) for item in plans) + "\n")
    sys.stderr.flush()


def _smoke(text: str | None, expect: str | None) -> Smoke | None:
    if text is None:
        if expect is not None:
            raise UsageError("--expect needs --smoke.")
        return None
    from difyops.asking import Smoke
    from difyops.cli.values import json_object

    body = json_object(text, "--smoke")
    query = body.pop("query", "ping") if "inputs" in body else "ping"
    inputs: Any = body.get("inputs", body)
    return Smoke(inputs=inputs, query=str(query), expect=expect)
