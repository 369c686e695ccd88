"""``difyops release``: plan, apply, status, abort. Parse, show, confirm, call the room, return."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from difyops.cli import promote
from difyops.cli.door import command, group, seconds
from difyops.cli.release_options import (
    Again,
    AllowEffects,
    Alpha,
    Baseline,
    Calls,
    CasesFile,
    Dearer,
    Events,
    Every,
    For,
    Inputs,
    Least,
    Margin,
    NoShadow,
    NoWaitSlot,
    PlanFile,
    Pricier,
    Slower,
    Tokens,
    Wait,
    cases_of,
    gates_of,
    shadow_of,
    watch_of,
    workspace_of,
)
from difyops.cli.session import Session
from difyops.errors import Interrupted, UsageError
from difyops.outcome import Outcome

if TYPE_CHECKING:
    from difyops.api.instance import Instance
    from difyops.release.plan import ReleasePlan
    from difyops.release.planning import PlanRequest
    from difyops.release.run import Released
    from difyops.workspace import Workspace

noun = group("New versions: tried in a copy, published, watched, and taken back when they are worse.")
noun.add_typer(promote.noun, name="promote")


@command(noun, "plan")
def plan(
    session: Session,
    app: Annotated[str, typer.Argument(metavar="APP", help="App id, name or slug.")],
    snapshot: Annotated[
        str | None, typer.Option("--snapshot", metavar="TAG", help="Release a snapshot; default: the draft.")
    ] = None,
    file: Annotated[Path | None, typer.Option("--file", metavar="PATH", help="Release an exported DSL.")] = None,
    to: Annotated[
        Path | None, typer.Option("--plan", metavar="FILE", help="Where to write it; default: APP.release.yaml.")
    ] = None,
    calls: Calls = 50,
    no_shadow: NoShadow = False,
    inputs: Inputs = None,
    allow_effects: AllowEffects = False,
    tokens: Tokens = 0,
    events: Events = 50,
    least: Least = 5,
    watch: For = "1h",
    every: Every = "15s",
    alpha: Alpha = 0.01,
    slower: Slower = 0.25,
    dearer: Dearer = 0.25,
    pricier: Pricier = None,
    cases: CasesFile = None,
    baseline: Baseline = None,
    margin: Margin = None,
    no_wait_slot: NoWaitSlot = False,
    again: Again = False,
) -> Outcome:
    """Write a plan: what is live, what is to be, and by which rules it is judged. Nothing is changed.

    Examples:
        difyops release plan support-triage
        difyops release plan support-triage --snapshot v1 --events 100 --for 2h
        difyops release plan support-triage --cases cases.jsonl --baseline newest --pricier 0.1
    """
    from difyops.release.planning import PlanRequest

    if snapshot is not None and file is not None:
        raise UsageError("--snapshot and --file exclude each other.")
    source, word = ("snapshot", snapshot) if snapshot else ("file", str(file)) if file else ("draft", "")
    request = PlanRequest(
        app_id=app, source=source, word=word, shadow=shadow_of(calls, no_shadow, inputs, allow_effects, tokens),
        watch=watch_of(events, least, watch, every), cases=cases_of(cases, baseline, margin),
        gates=gates_of(alpha, slower, dearer, pricier),
        wait_for_slots=not no_wait_slot, again=again,
    )  # fmt: skip
    return session.run(_planned(session, request, to))


@command(noun, "apply")
def apply(session: Session, path: PlanFile, wait: Wait = None, again: Again = False) -> Outcome:
    """Carry a plan out: shadow, publish, watch. 0 passed, 5 failed (and taken back), 3 not decided: it is held.

    Called again it goes on where it stands. On a terminal it asks what becomes of a release that is held.

    Examples:
        difyops release apply support-triage.release.yaml --dry-run
        difyops release apply support-triage.release.yaml --yes --wait 1h
    """
    from difyops.cli.cost_holding import holding
    from difyops.release.plan import read_plan, runs_of
    from difyops.render import release as views

    found = read_plan(path)
    context = session.one_context() or found.context
    if session.dry_run:
        return session.run(_checked(session, found, context, again))
    asked = [(context, found.app_id)] * runs_of(found)
    with holding(session, asked, what=f"The release of {found.app_name}") as used:
        released = session.run(_applied(session, found, context, wait, again))
        used({(context, found.app_id): released.used}, copies=True)
    return views.released(released)


@command(noun, "status")
def status(
    session: Session,
    app: Annotated[str | None, typer.Argument(metavar="[APP]", help="Only this app's; a release's id.")] = None,
) -> Outcome:
    """Show releases: what is held and what it waits for, what passed, what was taken back and why.

    Examples:
        difyops release status
        difyops release status support-triage -o json
    """
    return session.run(_status(session, app))


@command(noun, "abort")
def abort(
    session: Session,
    app: Annotated[str, typer.Argument(metavar="APP", help="App id or name, or the id of a release.")],
) -> Outcome:
    """Go back to the version before a release that is under way or held, if what is live is still ours (else 8).

    Examples:
        difyops release abort support-triage --dry-run
        difyops release abort support-triage --yes
    """
    return session.run(_aborted(session, app))


async def _planned(session: Session, request: PlanRequest, to: Path | None) -> Outcome:
    from dataclasses import replace

    from difyops.release.cases import newest_baseline
    from difyops.release.plan import write_plan
    from difyops.release.planning import make_plan
    from difyops.render import release as views
    from difyops.targets import pick

    async with session.instance() as instance:
        app = pick([item async for item in instance.console.apps()], request.app_id)
        workspace = workspace_of(session, instance)
        if request.cases is not None and request.cases.baseline == "newest":
            tag = newest_baseline(workspace.store, instance.name, app)
            request = replace(request, cases=replace(request.cases, baseline=tag))
        found = await make_plan(workspace, replace(request, app_id=app.id))
    place = to or Path(f"{re.sub(r'[^A-Za-z0-9._-]+', '-', app.name).strip('-') or app.id}.release.yaml")
    if not session.dry_run:
        write_plan(place, found.plan.as_data())
    return views.planned(found.plan, found.notes, None if session.dry_run else str(place))


async def _checked(session: Session, found: ReleasePlan, context: str, again: bool) -> Outcome:
    """Say what apply would do, after everything that could refuse it."""
    from difyops.release.run import ReleaseOptions, open_release, ready
    from difyops.render import release as views

    async with session.instance(context) as instance:
        refuse_elsewhere(found, instance)
        workspace = workspace_of(session, instance)
        if open_release(workspace, found) is None:
            await ready(workspace, found, ReleaseOptions(again=again))
    return views.planned(found, (), None)


async def _applied(session: Session, found: ReleasePlan, context: str, wait: str | None, again: bool) -> Released:
    from difyops.cli.cost_asked import own_file
    from difyops.release.run import ReleaseOptions, open_release
    from difyops.release.run import apply as carry_out

    async with session.instance(context) as instance:
        refuse_elsewhere(found, instance)
        workspace = workspace_of(session, instance)
        if open_release(workspace, found) is None:
            session.show_lines(
                [f"{found.app_name}: {found.target.source} {found.target.word}".rstrip() + " over what is live"]
                + [f"  {line}" for line in found.changes]
            )
            session.confirm("Release it?", changes=f"A release of {found.app_name}")
        options = ReleaseOptions(
            again=again, wait=None if wait is None else seconds(wait, zero=True), own_prices=own_file(session)
        )
        released = await carry_out(workspace, found, options)
        return await _decided(session, workspace, released)


async def _decided(session: Session, workspace: Workspace, released: Released) -> Released:
    """Ask the person at the terminal what becomes of a held release; nobody there, or ``--yes``: it stays held."""
    from difyops.cli.question import may_be_asked
    from difyops.release.status import decide

    if released.state != "held" or session.yes or not may_be_asked():
        return released
    session.show_lines([f"{released.app_name} is held: {released.text}"])
    try:
        said = session.answer("Keep the new version (k), go back (b), or leave it held (Enter)?").lower()
    except Interrupted:
        raise Interrupted("Interrupted; the new version stays live, and held.", hint="difyops release status") from None
    if said not in ("k", "keep", "b", "back"):
        return released
    return await decide(workspace, released.id, keeps=said.startswith("k"))


def refuse_elsewhere(found: ReleasePlan, instance: Instance) -> None:
    """Refuse a plan of another instance.

    Raises:
        UsageError: it is.
    """
    if found.url.rstrip("/") != instance.context.url.rstrip("/"):
        raise UsageError(f"The plan is of {found.context} ({found.url}); {instance.name} is another instance.")


async def _status(session: Session, app: str | None) -> Outcome:
    from difyops.release.status import status as read
    from difyops.render import release as views

    async with session.instance() as instance:
        return views.statuses(await read(session.workspace(instance), app))


async def _aborted(session: Session, app: str) -> Outcome:
    from difyops.release.status import abort as take_back
    from difyops.render import release as views

    async with session.instance() as instance:
        if not session.dry_run:
            session.confirm("Go back to the version before it?", changes=f"Aborting the release of {app}")
            record, ended = await take_back(session.workspace(instance), app)
            return views.aborted(record, ended)
        from difyops.release.status import open_releases
        from difyops.release.status import status as read

        open_releases(session.workspace(instance), app)
        return views.statuses(await read(session.workspace(instance), app))
