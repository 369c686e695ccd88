"""``difyops cost diff|advise``: what a change will cost, and what would cost less. Registered by ``cost``."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from difyops.cli.cost_tier import (
    AllowEffects,
    AtOnce,
    By,
    CasesFile,
    Content,
    Expect,
    Margin,
    Most,
    SchemaFile,
    Tier,
    TierNode,
    TierOptions,
    Tokens,
    try_tier,
)
from difyops.cli.door import command, seconds
from difyops.cli.session import Session
from difyops.cli.values import margin_of
from difyops.counting import counted
from difyops.errors import StoreError, UsageError
from difyops.outcome import Outcome

if TYPE_CHECKING:
    from difyops.cost.knowledge import Retrieval
    from difyops.history.apps import KeptApp

Since = Annotated[str, typer.Option("--since", metavar="TIME", help="How far back recorded runs count.")]
_DAY = 86400
_VERSION = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def register(noun: typer.Typer) -> None:
    """Add the commands to the noun ``cost``."""
    command(noun, "diff")(diff)
    command(noun, "advise")(advise)


def diff(
    session: Session,
    before: Annotated[
        str, typer.Argument(metavar="A", help="A DSL file, a snapshot (tag, commit, latest~1), a version's id, live.")
    ],
    after: Annotated[str, typer.Argument(metavar="B", help="The same kinds, or draft.")],
    app: Annotated[
        str | None, typer.Option("--app", "-a", metavar="APP", help="Whose recorded runs; default: the app of a file.")
    ] = None,
    since: Since = "30d",
) -> Outcome:
    """What a change will cost before it goes live: recorded calls of each node, priced as they were and would be.

    Examples:
        difyops cost diff live draft --app support-triage
        difyops cost diff latest new-version.yml --app support-triage -o markdown
    """
    from difyops.cli.cost_asked import open_prices
    from difyops.cli.history import context_name, open_history
    from difyops.clock import SystemClock
    from difyops.cost.diff import compare_costs
    from difyops.cost.recorded import recorded
    from difyops.history.apps import find_apps
    from difyops.render import cost_changes as views

    files = {text: _file(text) for text in (before, after)}
    named = app or next((str(found[0]) for found in files.values() if found and found[0]), None)
    if named is None:
        raise UsageError("Whose runs count is not said.", hint="--app APP")
    prices, now = open_prices(session), SystemClock().now().timestamp()
    with open_history(session) as history:
        found = find_apps(history, context_name(session), [named])
        if len(found) != 1:
            raise UsageError(
                f"--app {named!r} means {counted(len(found), 'app')}.", hint="Use the exact name or the id."
            )
        (mine,) = found
        left, right = (_document(session, text, files[text], mine) for text in (before, after))
        kept = recorded(
            history, context_name(session), mine.id, mine.mode, since=now - seconds(since), until=now
        )  # fmt: skip
    sides = ((before, left), (after, right))
    return views.compared(compare_costs(mine.name, sides, kept, prices, day=int(now // _DAY)))


def advise(
    session: Session,
    app: Annotated[str, typer.Argument(metavar="APP", help="Id, exact name or glob of one app of the history.")],
    since: Since = "30d",
    tier: Tier = None,
    node: TierNode = None,
    margin: Margin = None,
    cases: CasesFile = None,
    schema: SchemaFile = None,
    expect: Expect = None,
    by: By = None,
    most: Most = None,
    content: Content = False,
    tokens: Tokens = None,
    at_once: AtOnce = None,
    allow_effects: AllowEffects = False,
) -> Outcome:
    """What would cost less: stable prompts, unused output, retrieval that sends more than it needs, in money.

    With --tier: would a smaller model do? Its plan; with --schema, --expect or --cases the test itself, paired, in
    copies. 0 not worse, 5 worse, 3 not enough cases to say.

    Examples:
        difyops cost advise support-triage
        difyops cost advise support-triage --tier gpt-4o-mini
        difyops cost advise support-triage --tier gpt-4o-mini --schema answer.json --margin 5% --yes
    """
    from difyops.cli.cost_asked import open_prices
    from difyops.cli.history import context_name, open_history
    from difyops.clock import SystemClock
    from difyops.cost.advise import advise as look
    from difyops.cost.advise import has_retrieval
    from difyops.history.apps import find_apps
    from difyops.render import cost_changes as views

    given = {
        "--node": node, "--margin": margin, "--cases": cases, "--schema": schema, "--expect": expect, "--by": by,
        "--most": most, "--content": content, "--tokens": tokens, "--at-once": at_once,
        "--allow-effects": allow_effects,
    }  # fmt: skip
    if tier is None and (alone := next((name for name, value in given.items() if value), None)):
        raise UsageError(f"{alone} goes with --tier MODEL.", hint=f"difyops cost advise {app} --tier MODEL")
    now = SystemClock().now().timestamp()
    with open_history(session) as history:
        found = find_apps(history, context_name(session), [app])
        if len(found) != 1:
            raise UsageError(f"{app!r} means {counted(len(found), 'app')}.", hint="Use the exact name or the id.")
        if tier is not None:
            options = TierOptions(
                model=tier, nodes=tuple(node or ()), margin=margin_of(margin or "2%"), cases=cases, schema=schema,
                expect=expect, by=by or "size", most=most, content=content, tokens=tokens, at_once=at_once or 2,
                allow_effects=allow_effects, since=now - seconds(since), until=now,
            )  # fmt: skip
            return try_tier(session, history, found[0], options)
        context, mine = context_name(session), found[0]
        settings, said = _retrievals(session, mine) if has_retrieval(history, context, mine) else ({}, ())
        advised = look(
            history, context, mine, open_prices(session), since=now - seconds(since), until=now, retrievals=settings
        )
        return views.advised(replace(advised, warnings=(*advised.warnings, *said)))


def _retrievals(session: Session, app: KeptApp) -> tuple[dict[str, Retrieval], tuple[str, ...]]:
    """Return how the app's retrieval is set and what its datasets are like; a warning where that cannot be read."""
    from difyops.cost.knowledge import retrievals
    from difyops.errors import DifyopsError

    async def work() -> dict[str, Retrieval]:
        async with session.instance() as instance:
            live = await instance.console.published(app.id)
            return await retrievals(instance, live.document) if live else {}

    try:
        return session.run(work()), ()
    except DifyopsError as error:
        return {}, (f"The settings of its retrieval and its datasets could not be read: {error.message}",)


def _file(text: str) -> tuple[str, dict[str, Any]] | None:
    """Return the app's name and the content of a DSL file; ``None`` for what is no file.

    Raises:
        UsageError: it is a file and no DSL of an app.
    """
    from difyops.dsl.load import load_dsl
    from difyops.dsl.model import DslError, as_dict

    path = Path(text)
    if not path.is_file():
        if path.suffix in (".yml", ".yaml", ".json"):
            raise UsageError(f"{text}: there is no such file.")
        return None
    try:
        body = load_dsl(path.read_bytes(), what=text)
    except OSError as error:
        raise UsageError(f"{text} cannot be read: {error.strerror or error}.") from error
    except DslError as error:
        raise UsageError(error.message, hint=error.hint) from error
    content = as_dict(body.get("workflow")) or {"model_config": as_dict(body.get("model_config"))}
    if not (content.get("graph") or content.get("model_config")):
        raise UsageError(f"{text} holds neither a workflow nor a model_config.", hint="difyops cost diff live app.yml")
    return str(as_dict(body.get("app")).get("name") or ""), content


def _document(
    session: Session, text: str, file: tuple[str, dict[str, Any]] | None, app: KeptApp
) -> dict[str, Any]:  # fmt: skip
    if file is not None:
        return file[1]
    if text in ("live", "draft") or _VERSION.fullmatch(text):
        return session.run(_on_server(session, text, app))
    return _in_store(session, text, app)


async def _on_server(session: Session, text: str, app: KeptApp) -> dict[str, Any]:
    from difyops.errors import NotFound

    async with session.instance() as instance:
        console = instance.console
        detail = await console.app(app.id)
        if not detail.has_workflow:
            if text != "live":
                raise UsageError(f"{app.name} has no {text}: only workflows have drafts and versions.", hint="live")
            return {"model_config": detail.model_config or {}}
        if text == "draft":
            found = await console.draft(app.id)
        elif text == "live":
            found = await console.published(app.id)
        else:
            found = None
            async for version in console.versions(app.id):
                if version.id == text:
                    found = version
        if found is None:
            raise NotFound(f"{app.name} has no {text}.", hint=f"difyops app versions {app.name!r}")
        return found.document


def _in_store(session: Session, text: str, app: KeptApp) -> dict[str, Any]:
    from difyops.cli.history import context_name
    from difyops.cli.stores import open_store
    from difyops.snapshot.history import read_kept
    from difyops.snapshot.layout import read_manifest

    store = open_store(session)
    commit = store.resolve(text, branch=context_name(session))
    with store.at(commit) as files:
        found = read_kept(files, read_manifest(store, commit), app.id).live
    if found is None:
        raise StoreError(f"{app.name} was not live in {text}.", hint=f"difyops snapshot show {text}")
    return found
