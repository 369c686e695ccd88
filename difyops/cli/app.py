"""``difyops app``: look at apps, switch their API on and off."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from difyops.cli import waiting
from difyops.cli.door import command, group
from difyops.cli.session import Session
from difyops.counting import counted
from difyops.errors import DifyopsError, PartialFailure, UsageError
from difyops.outcome import Facts, Outcome, Table
from difyops.render.safe import text

if TYPE_CHECKING:
    from difyops.api.instance import Instance
    from difyops.api.model import AgentVersion, App, Trigger, Workflow

noun = group("Look at apps, run one, switch their API, answer what waits for a person.")

Selectors = Annotated[
    list[str] | None,
    typer.Argument(metavar="[SELECTOR]...", help="Id, name, slug, glob, tag:NAME, mode:NAME, @file, all (default)."),
]
Chosen = Annotated[
    list[str], typer.Argument(metavar="SELECTOR...", help="Id, name, slug, glob, tag:NAME, mode:NAME, @file, all.")
]
Site = Annotated[bool, typer.Option("--site", help="The web page instead of the API.")]


@command(noun, "list", fleet=True)
def list_(session: Session, selectors: Selectors = None) -> Outcome:
    """List apps with mode, tags and live version.

    Examples:
        difyops app list
        difyops app list 'support-*' mode:chat -o json
    """
    from difyops.targets import select

    async def work() -> tuple[list[App], str]:
        async with session.instance() as instance:
            apps = [app async for app in instance.console.apps()]
            return (select(apps, selectors) if selectors else apps), instance.context.url

    apps, url = session.run(work())
    rows = [
        (app.name, app.mode, ", ".join(app.tags), _live(app), _when(app.updated_at), app.id)
        for app in sorted(apps, key=lambda app: (app.name, app.id))
    ]
    return Outcome(
        kind="app.list",
        data=[_told(app, url) for app in apps],
        blocks=[Table(columns=("name", "mode", "tags", "live", "updated", "id"), rows=rows, empty="No apps.")],
        summary=f"{counted(len(apps), 'app')}",
        names=[app.name for app in apps],
    )


def _told(app: App, url: str) -> dict[str, object]:
    """Return one app as a row for programs, with the address of its page in the console."""
    return {
        "id": app.id,
        "name": app.name,
        "mode": app.mode,
        "description": app.description,
        "tags": app.tags,
        "live_version": app.live_version,
        "created_at": _when(app.created_at),
        "updated_at": _when(app.updated_at),
        "author": app.author,
        "enable_api": app.enable_api,
        "enable_site": app.enable_site,
        "agent_id": app.agent_id,
        "console": _page(app, url),
    }


def _page(app: App, url: str) -> str:
    return f"{url}/app/{app.id}/{'workflow' if app.has_workflow else 'configuration'}"


@command(noun, "show")
def show(
    session: Session,
    apps: Annotated[
        list[str], typer.Argument(metavar="SELECTOR...", help="Id, name, slug, glob, tag:NAME, mode:NAME, @file, all.")
    ],
) -> Outcome:
    """Show apps: flags, live version, draft, triggers, what its content refers to.

    Examples:
        difyops app show support-triage
        difyops app show support-triage support-chat -o json
    """

    async def work() -> Outcome:
        async with session.instance() as instance:
            rows = [item async for item in instance.console.apps()]
            return _together([await _shown(instance, app) for app in _several(rows, apps)])

    return session.run(work())


def _several(rows: list[App], selectors: list[str]) -> list[App]:
    """Return the apps that are meant; an exact name or id means one."""
    from difyops.targets import pick, select

    plain = len(selectors) == 1 and not selectors[0].startswith(("@", "tag:", "mode:")) and selectors[0] != "all"
    if plain and not any(character in selectors[0] for character in "*?["):
        return [pick(rows, selectors[0])]
    return select(rows, selectors)


def _together(shown: list[Outcome]) -> Outcome:
    """Return what is shown of the apps, one below the other; ``data`` has a row for each, be it one or ten."""
    return Outcome(
        kind="app.show",
        data=[one.data for one in shown],
        blocks=[block for one in shown for block in one.blocks],
        names=[name for one in shown for name in one.names or ()],
        summary=counted(len(shown), "app") if len(shown) > 1 else None,
    )


@command(noun, "versions")
def versions(
    session: Session,
    app: Annotated[str, typer.Argument(metavar="APP", help="App id, exact name or slug.")],
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, help="How many, newest first.")] = 20,
) -> Outcome:
    """List the versions that the server itself keeps of an app: the way back when nobody took a snapshot.

    Examples:
        difyops app versions support-triage
        difyops app versions support-triage --limit 5 -o json
    """
    from difyops.render.app_history import versions as view
    from difyops.snapshot.server_versions import versions as list_versions
    from difyops.targets import pick

    async def work() -> Outcome:
        async with session.instance() as instance:
            row = pick([item async for item in instance.console.apps()], app)
            return view(await list_versions(instance, await instance.console.app(row.id), limit=limit), row)

    return session.run(work())


@command(noun, "run", no_dry_run="to run the app once is all this does.")
def run(
    session: Session,
    app: Annotated[str, typer.Argument(metavar="APP", help="App id, exact name or slug.")],
    query: Annotated[str, typer.Argument(metavar="[QUERY]", help="The question, for the chat modes.")] = "",
    inputs: Annotated[
        list[str] | None, typer.Option("--input", metavar="K=V|@FILE", help="Inputs of the app (repeatable).")
    ] = None,
    stream: Annotated[bool, typer.Option("--stream", help="Show the text as it comes, in a pipe too.")] = False,
) -> Outcome:
    """Run one app once with its own key, and show the answer; a pipe gets the answer alone.

    When the stream breaks, the end of the same run is looked for by its id; it is never run twice.

    Examples:
        difyops app run support-chat "Where is my order?"
        difyops app run support-triage --input query=hello -o json
    """
    from difyops.cli.app_run import run_once
    from difyops.cli.values import inputs_of
    from difyops.render.stream import TextStream

    if stream and session.output not in (None, "table"):
        raise UsageError(f"--stream shows text, not {session.output}.", hint="Leave out --stream or -o.")
    live = TextStream() if stream else None
    answer = session.run(run_once(session, app, query, inputs_of(inputs), live.write if live else None))
    spent = f"{counted(answer.tokens, 'token')}, " if answer.tokens is not None else ""
    again = {"events": "; the end was read once more", "polled": "; the end was asked for"}.get(answer.learned, "")
    return Outcome(
        kind="app.run",
        data=answer,
        raw=live.end(answer.text) if live else (text(answer.text) + "\n").encode(),
        summary=f"{answer.status}: {spent}{answer.seconds:.1f} s{again}",
        names=[str(answer.run_id or answer.message_id)],
    )


waiting.register(noun)


@command(noun, "enable")
def enable(session: Session, selectors: Chosen, site: Site = False) -> Outcome:
    """Switch the service API (or the web page) of apps on.

    Examples:
        difyops app enable support-triage --yes
        difyops app enable tag:prod --site --dry-run
    """
    return _switch(session, selectors, site=site, on=True)


@command(noun, "disable")
def disable(session: Session, selectors: Chosen, site: Site = False) -> Outcome:
    """Switch the service API (or the web page) of apps off: callers get 403 at once.

    Examples:
        difyops app disable support-triage --dry-run
        difyops app disable 'support-*' --yes
    """
    return _switch(session, selectors, site=site, on=False)


async def _shown(instance: Instance, row: App) -> Outcome:
    from difyops.snapshot.agreement import merged

    detail = merged(row, await instance.console.app(row.id))
    live: Workflow | AgentVersion | None = None
    draft: Workflow | AgentVersion | None = None
    triggers: list[Trigger] = []
    edited = False
    if detail.has_workflow:
        live, draft = await instance.console.live_and_draft(row.id, detail.live_version)
        triggers = await instance.console.triggers(row.id)
        edited = bool(draft and live and draft.document != live.document)
    if detail.is_agent:
        from difyops.api.agents import Agents

        state = await Agents(instance.console).state(detail)
        live, draft = await Agents(instance.console).live(detail, state.active), state.draft
        edited = bool(live and live.soul != draft.soul)
    page = _page(detail, instance.context.url)
    return _detail_outcome(detail, live, draft, triggers, edited=edited, page=page)


def _detail_outcome(
    app: App,
    live: Workflow | AgentVersion | None,
    draft: Workflow | AgentVersion | None,
    triggers: list[Trigger],
    *,
    edited: bool,
    page: str,
) -> Outcome:
    from difyops.dsl.model import datasets, models, node_types, tools
    from difyops.dsl.secrets import redact
    from difyops.snapshot.reading import config_of

    content = live or (draft if app.is_agent else None)
    document = redact(content.document if content else config_of(app)).document
    uses = {
        "node types": sorted(node_types(document)),
        "models": sorted("/".join(item) for item in models(document)),
        "tools": sorted(str(tool or provider) for provider, _, tool, _ in tools(document)),
        "datasets": sorted(datasets(document)),
    }
    facts: list[tuple[str, object]] = [
        ("name", app.name),
        ("id", app.id),
        ("mode", app.mode),
        ("description", app.description),
        ("tags", ", ".join(app.tags)),
        ("console", page),
        ("API", app.enable_api),
        ("site", app.enable_site),
        ("live version", f"{live.id} {live.marked_name}".strip() if live else None),
        ("published", _published(live) if live else None),
        ("draft", "edited, not published" if edited else "as live" if draft else None),
        *((label, ", ".join(values)) for label, values in uses.items()),
        *(("trigger", f"{item.title} ({item.kind}): {item.status}") for item in triggers),
    ]
    data = {
        "app": app,
        "console": page,
        "live": {"id": live.id, "name": live.marked_name, "by": live.created_by, "at": live.created_at}
        if live
        else None,
        "draft_edited": edited,
        "triggers": triggers,
        "uses": uses,
    }
    return Outcome(kind="app.show", data=data, blocks=[Facts(pairs=facts)], names=[app.name])


def _switch(session: Session, selectors: list[str], *, site: bool, on: bool) -> Outcome:
    what, word = "site" if site else "API", "on" if on else "off"

    async def work() -> tuple[list[App], set[str], dict[str, DifyopsError]]:
        from difyops.targets import select

        async with session.instance() as instance:
            chosen = select([app async for app in instance.console.apps()], selectors)
            if session.dry_run:
                return chosen, await _would_move(instance, chosen, site=site, on=on), {}
            names = ", ".join(app.name for app in chosen[:5]) + (" ..." if len(chosen) > 5 else "")
            session.confirm(
                f"Switch the {what} of {names} {word}?", changes=f"Switching {counted(len(chosen), 'app')} {word}"
            )
            return chosen, *await _switch_all(session, instance, chosen, site=site, on=on)

    chosen, moved, failed = session.run(work())
    reasons = {app_id: error.message for app_id, error in failed.items()}
    rows = [
        (app.name, "failed" if app.id in failed else word, reasons.get(app.id), app.id)[: None if failed else 2]
        for app in chosen
    ]
    return Outcome(
        kind=f"app.{'enable' if on else 'disable'}",
        data=[
            {
                "id": app.id,
                "name": app.name,
                what.lower(): word,
                "ok": app.id not in failed,
                "changed": app.id in moved,
                "error": reasons.get(app.id),
            }
            for app in chosen
        ],
        blocks=[Table(columns=("app", what, "why", "id")[: None if failed else 2], rows=rows)],
        summary=(
            f"{'would switch' if session.dry_run else 'switched'} {counted(len(moved), 'app')}: {what} {word}"
            + (
                f"; {same} {'was' if same == 1 else 'were'} so already"
                if (same := len(chosen) - len(moved) - len(failed))
                else ""
            )
        ),
        names=[app.name for app in chosen],
        error=_failure(chosen, failed),
    )


async def _would_move(instance: Instance, chosen: list[App], *, site: bool, on: bool) -> set[str]:
    """Return the ids of the apps that are not so yet; the list does not tell on every version, so each is read."""
    moved = set()
    for app in chosen:
        now = await instance.console.app(app.id)
        if (now.enable_site if site else now.enable_api) is not on:
            moved.add(app.id)
    return moved


def _failure(chosen: list[App], failed: dict[str, DifyopsError]) -> DifyopsError | None:
    """Return what the failures come to: the one reason when nothing went well, partial when something did."""
    if not failed:
        return None
    if len(failed) == len(chosen):
        return next(iter(failed.values()))
    return PartialFailure(f"{len(failed)} of {counted(len(chosen), 'app')} failed.")


async def _switch_all(
    session: Session, instance: Instance, chosen: list[App], *, site: bool, on: bool
) -> tuple[set[str], dict[str, DifyopsError]]:
    """Return the ids of the apps that were switched (the others were so already), and the errors by id."""
    from difyops.fanout import Done, Failed, FanoutOptions, fan_out
    from difyops.switching import switch_app

    workspace = session.workspace(instance)

    async def one(app: App) -> bool:
        return await switch_app(workspace, app, site=site, on=on)

    results = [item async for item in fan_out(chosen, one, FanoutOptions(limit=instance.context.max_in_flight))]
    moved = {item.item.id for item in results if isinstance(item, Done) and item.value}
    return moved, {item.item.id: item.error for item in results if isinstance(item, Failed)}


def _published(live: Workflow | AgentVersion) -> str:
    return f"{_when(live.created_at)} by {live.created_by}" if live.created_by else str(_when(live.created_at))


def _live(app: App) -> str | None:
    if app.is_agent:
        return None  # the list does not say
    if not app.has_workflow:
        return "always"
    return app.live_version[:8] if app.live_version else None


def _when(seconds: float | None) -> str | None:
    from difyops.clock import from_unix, iso

    moment = from_unix(seconds)
    return iso(moment) if moment else None
