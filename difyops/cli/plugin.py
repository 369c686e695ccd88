"""``difyops plugin``: plugins of an instance, who uses them, and upgrades with a way back."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from difyops.cli.door import command, group, seconds
from difyops.cli.session import Session
from difyops.counting import counted
from difyops.errors import PartialFailure, Refused, UsageError
from difyops.outcome import Outcome

if TYPE_CHECKING:
    from difyops.api.instance import Instance
    from difyops.plugins_of_dify.holds import Holds
    from difyops.plugins_of_dify.plan import UpgradePlan

noun = group("Plugins of an instance: which are old, who uses them, upgrades with a way back.")

Name = Annotated[str, typer.Argument(metavar="PLUGIN", help="org/name, its identifier, or the name alone.")]


@command(noun, "list", fleet=True)
def list_(session: Session) -> Outcome:
    """List the installed plugins, and which are held.

    Examples:
        difyops plugin list
        difyops plugin list -o json
    """
    from difyops.render import plugin as views

    return views.listed(session.run(_inventory(session, newest=False)))


@command(noun, "outdated", fleet=True)
def outdated(session: Session) -> Outcome:
    """Compare the installed plugins with the marketplace's newest.

    Exit 5 when one is outdated and not held, 3 when the server does not know the newest version.

    Examples:
        difyops plugin outdated
        difyops plugin outdated -o json
    """
    from difyops.render import plugin as views

    return views.outdated(session.run(_inventory(session, newest=True)))


@command(noun, "uses")
def uses(session: Session, plugin: Name) -> Outcome:
    """Find every place that names a plugin, in what is live and in drafts; "old" is another version than installed.

    Examples:
        difyops plugin uses langgenius/openai
        difyops plugin uses langgenius/openai -o json
    """
    from difyops.plugins_of_dify.inventory import installed, plugin_named
    from difyops.plugins_of_dify.uses import uses_of
    from difyops.render import plugin as views

    async def work() -> Outcome:
        async with session.instance() as instance:
            found = plugin_named(await installed(instance), plugin)
            apps = [item async for item in instance.console.apps()]
            return views.used(await uses_of(instance, apps, found.id, found.identifier))

    return session.run(work())


@command(noun, "upgrade")
def upgrade(
    session: Session,
    plugin: Name,
    to: Annotated[
        str | None, typer.Option("--to", metavar="VERSION", help="Newest by default; an identifier for any other.")
    ] = None,
    plan: Annotated[
        Path | None, typer.Option("--plan", metavar="FILE", help="Write what would be done, and stop.")
    ] = None,
    apply: Annotated[
        Path | None, typer.Option("--apply", metavar="FILE", help="Do what this plan says; 8 when something moved.")
    ] = None,
    inputs: Annotated[
        Path | None, typer.Option("--inputs", metavar="FILE", help="YAML: app: {inputs}; its draft must run with them.")
    ] = None,
    watch: Annotated[
        str | None, typer.Option("--watch", metavar="TIME", help="Look at the apps' runs so long; back when they fail.")
    ] = None,
    events: Annotated[
        int, typer.Option("--events", min=1, help="Runs that must have ended under --watch for a pass; fewer are 3.")
    ] = 10,
    wait: Annotated[str, typer.Option("--wait", metavar="TIME", help="For the installation.")] = "10m",
    despite_hold: Annotated[bool, typer.Option("--despite-hold", help="Upgrade a plugin that is held.")] = False,
    no_snapshot: Annotated[bool, typer.Option("--no-snapshot", help="Take no snapshot of the apps before.")] = False,
) -> Outcome:
    """Upgrade a plugin and rewrite every app that names its version, which Dify leaves undone. Whatever fails, back.

    The old package is made sure of first; touched apps are kept in a snapshot; each app is published by itself, waits
    for due schedules, and keeps the edits of its draft.

    Examples:
        difyops plugin upgrade langgenius/google --plan google.json
        difyops plugin upgrade langgenius/openai --dry-run
    """
    from difyops.render import plugin as views

    if apply is not None and (plan is not None or to is not None):
        raise UsageError("--apply does what the plan says: it goes with neither --plan nor --to.")
    watched = seconds(watch) if watch else 0.0
    options: dict[str, Any] = {"wait": seconds(wait), "inputs": _inputs(inputs), "watch": watched, "events": events}

    async def work() -> Outcome:
        async with session.instance() as instance:
            made = await _planned(session, instance, plugin, to, apply, despite_hold=despite_hold)
            if plan is not None or session.dry_run:
                file = _written(plan, made) if plan is not None and not session.dry_run else None
                return views.planned(made, file=file)
            session.show_lines(views.lines(made))
            session.confirm("Upgrade it?", changes=f"Upgrading {made.plugin} and {counted(len(made.apps), 'app')}")
            return await _carried_out(session, instance, made, options, keeps=not no_snapshot)

    return session.run(work())


async def _inventory(session: Session, *, newest: bool) -> Any:
    from difyops.plugins_of_dify.inventory import list_plugins

    async with session.instance() as instance:
        return await list_plugins(instance, _holds(session), newest=newest)


async def _planned(
    session: Session, instance: Instance, name: str, to: str | None, file: Path | None, *, despite_hold: bool
) -> UpgradePlan:
    from difyops.plugins_of_dify.inventory import installed, plugin_named
    from difyops.plugins_of_dify.plan import check_plan, make_plan, read_plan

    found = plugin_named(await installed(instance), name)
    reason = _holds(session).reason(found.id)
    if reason is not None and not despite_hold:
        raise Refused(f"{found.id} is held: {reason}.", hint="--despite-hold upgrades it all the same.")
    apps = [item async for item in instance.console.apps()]
    if file is None:
        return await make_plan(instance, apps, found.id, to)
    made = read_plan(file)
    if made.plugin != found.id:
        raise UsageError(f"{file} is a plan for {made.plugin}, not for {found.id}.")
    await check_plan(instance, apps, made)
    return made


async def _carried_out(
    session: Session, instance: Instance, plan: UpgradePlan, options: dict[str, Any], *, keeps: bool
) -> Outcome:
    from difyops.plugins_of_dify.upgrade import UpgradeOptions
    from difyops.plugins_of_dify.upgrade import upgrade as carry_out
    from difyops.plugins_of_dify.watching import UpgradeWatch
    from difyops.render import plugin as views

    workspace = session.workspace(instance)
    tests = _tests(instance, plan, options["inputs"])
    tag = await _kept(session, instance, plan) if keeps and plan.apps else None
    watch = None
    if options["watch"]:
        watch = UpgradeWatch(
            instance=instance, app_ids=sorted({*plan.users, *(app.id for app in plan.apps)}), clock=workspace.clock,
            state=workspace.state, seconds=options["watch"], wanted=options["events"],
            say=lambda text: session.show_lines([text]),
        )  # fmt: skip
        await watch.begin()
    done = await carry_out(workspace, plan, UpgradeOptions(tests=tests, wait=options["wait"], watch=watch))
    error = None
    if watch is not None and watch.last.events < watch.wanted:
        error = PartialFailure(
            f"Only {counted(watch.last.events, 'run')} that can be judged ended while it was watched,"
            f" {watch.wanted} are wanted."
            " The upgrade stays.",
            hint=f"difyops plugin upgrade {plan.plugin} --to {plan.old} goes back",
        )
    return views.upgraded(done, snapshot=tag, warnings=[], error=error)


async def _kept(session: Session, instance: Instance, plan: UpgradePlan) -> str:
    """Take a snapshot of the touched apps, and return its tag."""
    import secrets

    from difyops.cli.stores import open_store
    from difyops.clock import SystemClock
    from difyops.snapshot.take import TakeOptions, take

    tag = f"before-plugin-{SystemClock().now():%Y%m%d-%H%M%S}-{secrets.token_hex(2)}"
    message = f"before the upgrade of {plan.plugin}"
    wanted = TakeOptions(selectors=tuple(app.id for app in plan.apps), tag=tag, message=message, access=session.access)
    taken = await take(instance, open_store(session, create=True), wanted)
    if taken.error is not None:
        raise taken.error
    return tag


def _tests(instance: Instance, plan: UpgradePlan, inputs: dict[str, Any]) -> dict[str, Callable[[], Awaitable[None]]]:
    """Return what each draft must pass: a run with the inputs that were given for the app's name or id."""
    from difyops.asking import Smoke, smoke_run
    from difyops.dsl.model import AGENT_MODE

    def test(app_id: str, given: dict[str, Any]) -> Callable[[], Awaitable[None]]:
        async def run() -> None:
            await smoke_run(instance, await instance.console.app(app_id), Smoke(inputs=given))

        return run

    found, unused = {}, set(inputs)
    for app in plan.apps:
        if app.mode == AGENT_MODE and {app.id, app.name} & unused:
            raise UsageError(f"--inputs: {app.name!r} is an agent app; a draft of these cannot be run.")
        for key in (app.id, app.name):
            if key in inputs:
                found[app.id] = test(app.id, dict(inputs[key] or {}))
                unused.discard(key)
    if unused:
        raise UsageError(f"--inputs: {sorted(unused)[0]!r} is none of the touched apps.")
    return found


def _inputs(file: Path | None) -> dict[str, Any]:
    from collections.abc import Mapping

    from difyops.settings import names_in
    from difyops.settings_file import load_file

    if file is None:
        return {}
    body, source = load_file(file, error=UsageError)
    return names_in(Mapping[str, Any] | None, body, source)


def _written(path: Path, plan: UpgradePlan) -> str:
    from difyops.plugins_of_dify.plan import write_plan

    write_plan(path, plan)
    return str(path)


def _holds(session: Session) -> Holds:
    from difyops.plugins_of_dify.holds import holds_of

    return holds_of(session.config.sections)
