"""``difyops snapshot rollback|doctor``: what changes an instance. Plan, show, confirm, apply, prove."""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any

import typer

from difyops.cli.changes import with_state
from difyops.cli.door import command
from difyops.cli.restoring import AllowMissing, SecretFrom, To, given_secrets, restore
from difyops.cli.session import Session
from difyops.errors import DifyopsError, Interrupted, PartialFailure, TimedOut, UsageError
from difyops.outcome import Outcome, Table

if TYPE_CHECKING:
    from difyops.api.instance import Instance
    from difyops.api.model import App
    from difyops.git_store import GitStore
    from difyops.snapshot.history import Kept
    from difyops.snapshot.plan import Plan
    from difyops.snapshot.rollback import RollbackOptions, RolledBack
    from difyops.snapshot.smoke import Smoke

log = logging.getLogger("difyops.cli")


def register(noun: typer.Typer) -> None:
    """Add the commands of this file to the noun."""
    for name, function in (("rollback", rollback), ("restore", restore), ("doctor", doctor)):
        command(noun, name)(function)


def rollback(
    session: Session,
    app: Annotated[str, typer.Argument(metavar="APP|all", help="App id, name or slug; or a selector of several.")],
    to: To,
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
        str, typer.Option("--message", "-m", help="Comment of the published version (78 characters).")
    ] = "",
    allow_missing: AllowMissing = False,
    no_wait_slot: Annotated[
        bool, typer.Option("--no-wait-slot", help="Publish at once, though a schedule is due just now.")
    ] = False,
    same_instance: Annotated[
        bool, typer.Option("--same-instance", help="The instance moved: these are its snapshots (kept in the store).")
    ] = False,
) -> Outcome:
    """Go back to a snapshot: exact version, live secrets kept, proved by reading back, undone when the proof fails."""
    from difyops.snapshot.plan import PlanOptions
    from difyops.snapshot.rollback import RollbackOptions

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
    try:
        return session.run(_rollback(session, app, to, options, same_instance=same_instance))
    except (Interrupted, TimedOut) as error:
        raise with_state(session, error) from error


def doctor(
    session: Session,
    app: Annotated[str | None, typer.Argument(metavar="[APP]", help="Only this app.")] = None,
    finish: Annotated[bool, typer.Option("--finish", help="Bring cut-off rollbacks to their end.")] = False,
    undo: Annotated[bool, typer.Option("--undo", help="Put the former state back.")] = False,
) -> Outcome:
    """Tell which changes were cut off and in what state the apps are; finish or undo them (difyops changes)."""
    from difyops.cli import changes
    from difyops.render import changes as views

    if finish and undo:
        raise UsageError("--finish and --undo exclude each other.")
    if finish or undo:
        return views.told(session.run(changes.end(session, app, "finish" if finish else "undo")), title="ended")
    return views.told(session.run(changes.told(session, app)))


async def _rollback(
    session: Session, selector: str, to: str, options: RollbackOptions, *, same_instance: bool
) -> Outcome:
    from difyops.cli.snapshot import open_store
    from difyops.render import snapshot as views
    from difyops.sealing.store import seal_to_compare
    from difyops.snapshot.belonging import place_of, require_same
    from difyops.snapshot.history import kept_apps
    from difyops.snapshot.layout import read_manifest

    store = open_store(session)
    async with session.instance() as instance:
        commit = store.resolve(to, branch=instance.name)
        manifest, place = read_manifest(store, commit), await place_of(instance)
        require_same(store, instance.name, manifest, place, same_instance=same_instance, writes=not session.dry_run)
        seal = seal_to_compare(store, instance.name, session.access)
        for warning in seal.warnings:
            log.warning("%s", warning)
        options = replace(options, plan=replace(options.plan, seal=seal, access=session.access))
        if _means_one(selector):
            live = [row async for row in instance.console.apps()]
            chosen = [_live_or_gone(live, selector, store, commit, to)]
        else:
            chosen = kept_apps(store, commit, (selector,))
        plans, failed = await _plans(instance, store, commit, to, chosen, options)
        if len(chosen) == 1 and failed:
            raise next(iter(failed.values()))
        if session.dry_run:
            return views.planned(plans, failed)
        moving = [item for item in plans if options.plan.with_name or not item.nothing_to_do]
        if moving:
            _show_plans(session, moving)
            session.confirm("Go ahead?", changes=f"Rolling back {len(moving)} app{'s' * (len(moving) != 1)}")
        done: list[RolledBack] = []
        for item in plans:
            try:
                done.append(await _one(session, instance, store, commit, to, item, options))
            except asyncio.CancelledError:
                moved = [end.plan.app_name for end in done if end.state == "rolled back"]
                if moved:
                    log.warning("rolled back before that: %s", ", ".join(moved))
                raise
            except DifyopsError as error:
                if len(chosen) == 1:
                    raise
                failed[_label(chosen, item.app_name, item.app_id)] = error
    if len(chosen) == 1 and done:
        return views.rolled_back(done[0])
    return _many(done, failed)


def _live_or_gone(live: Sequence[App], selector: str, store: GitStore, commit: str, to: str) -> App:
    """Return the app that is there now; one that only the snapshot knows is for restore."""
    from difyops.errors import SelectorError
    from difyops.snapshot.history import kept_app
    from difyops.targets import matching, pick

    try:
        return pick(live, selector)
    except SelectorError as error:
        if matching(live, selector):
            raise  # several apps of that name
        try:
            kept = kept_app(store, commit, selector)
        except DifyopsError:
            raise error from None
        if any(app.id == kept.record.id for app in live):
            return next(app for app in live if app.id == kept.record.id)
        hint = f"difyops snapshot restore {kept.record.id} --to {to}"
        raise SelectorError(f"{kept.record.name!r} does not exist any more; it can be restored.", hint=hint) from error


async def _plans(
    instance: Instance, store: GitStore, commit: str, to: str, chosen: Sequence[App], options: RollbackOptions
) -> tuple[list[Plan], dict[str, DifyopsError]]:
    from difyops.snapshot.plan import make_plan

    plans: list[Plan] = []
    failed: dict[str, DifyopsError] = {}
    for app in chosen:
        try:
            plans.append((await make_plan(instance, _kept(store, commit, app.id), to, options.plan))[0])
        except DifyopsError as error:
            failed[_label(chosen, app.name, app.id)] = error
    return plans, failed


def _label(chosen: Sequence[App], name: str, app_id: str) -> str:
    """Return the app's name, with its id where another one has the same: none may hide behind the other."""
    return name if sum(app.name == name for app in chosen) == 1 else f"{name} ({app_id})"


async def _one(
    session: Session, instance: Instance, store: GitStore, commit: str, to: str, plan: Plan, options: RollbackOptions
) -> RolledBack:
    from difyops.snapshot.rollback import roll_back

    exact = replace(options, expected_plan=options.expected_plan or plan.id)
    workspace = session.workspace(instance, store=store)
    return await roll_back(workspace, _kept(store, commit, plan.app_id), to, exact)


def _kept(store: GitStore, commit: str, app_id: str) -> Kept:
    from difyops.snapshot.history import kept_app

    return kept_app(store, commit, app_id)


def _many(done: Sequence[RolledBack], failed: dict[str, DifyopsError]) -> Outcome:
    rows: list[tuple[object, ...]] = [(item.plan.app_name, item.state, item.live_after) for item in done]
    rows += [(name, "failed", error.message) for name, error in failed.items()]
    moved = sum(item.state == "rolled back" for item in done)
    error = PartialFailure(f"{len(failed)} of {len(rows)} apps failed.") if failed else None
    data = {
        "apps": [{"name": item.plan.app_name, "state": item.state, "live_after": item.live_after} for item in done],
        "failed": {name: problem.as_dict() for name, problem in failed.items()},
    }
    return Outcome(
        kind="snapshot.rollback.all",
        data=data,
        blocks=[Table(columns=("app", "state", "live"), rows=rows)],
        summary=f"{moved} rolled back, {len(done) - moved} were there already, {len(failed)} failed",
        error=error,
    )


def _show_plans(session: Session, plans: Sequence[Plan]) -> None:
    """Show the plan on stderr before the question; with --yes a person still finds it in the log of the job."""
    if session.quiet:
        return
    from difyops.render import snapshot as views
    from difyops.render.plain import as_plain

    sys.stderr.write("\n\n".join(as_plain(views.plan(item)) for item in plans) + "\n")
    sys.stderr.flush()


def _means_one(selector: str) -> bool:
    return (
        selector != "all" and not selector.startswith(("tag:", "mode:", "@")) and not any(c in selector for c in "*?[")
    )


def _smoke(text: str | None, expect: str | None) -> Smoke | None:
    if text is None:
        if expect is not None:
            raise UsageError("--expect needs --smoke.")
        return None
    from difyops.cli.values import json_object
    from difyops.snapshot.smoke import Smoke

    body = json_object(text, "--smoke")
    query = body.pop("query", "ping") if "inputs" in body else "ping"
    inputs: Any = body.get("inputs", body)
    return Smoke(inputs=inputs, query=str(query), expect=expect)
