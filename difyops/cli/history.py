"""``difyops history``: runs, node executions and messages, kept on this machine. Parse, call the room, return."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from difyops.cli.door import command, group, seconds
from difyops.cli.session import Session
from difyops.errors import UsageError
from difyops.outcome import Outcome

if TYPE_CHECKING:
    from difyops.api.model import App
    from difyops.history.store import History
    from difyops.history.sync import Synced

noun = group("Keep runs, node executions and messages here: completely enough, politely read.")

Selectors = Annotated[
    list[str] | None,
    typer.Argument(metavar="[SELECTOR]...", help="Id, name, slug, glob, tag:NAME, mode:NAME, @file, all (default)."),
]

KeptApps = Annotated[
    list[str] | None, typer.Argument(metavar="[APP]...", help="Id, exact name, glob, mode:NAME, @file, all (default).")
]


@command(noun, "sync", no_dry_run="to read the history is all this does; --max-calls bounds it.")
def sync(
    session: Session,
    selectors: Selectors = None,
    since: Annotated[str, typer.Option("--since", metavar="TIME", help="How far back, where nothing is kept.")] = "30d",
    max_calls: Annotated[int, typer.Option("--max-calls", min=1, help="Calls this sync may make.")] = 2000,
    nodes: Annotated[
        str, typer.Option("--nodes", metavar="SHARE", help="Share of runs whose node records are read; 0 for none.")
    ] = "5%",
    content: Annotated[
        bool, typer.Option("--content", help="Keep inputs and outputs too (default: salted hashes and sizes).")
    ] = False,
    debug_runs: Annotated[bool, typer.Option("--debug-runs", help="The editor's test runs as well.")] = False,
) -> Outcome:
    """Read what is new, two calls at a time; failures and the slowest with their nodes, the rest by chance.

    Examples:
        difyops history sync
        difyops history sync support-triage --since 7d --max-calls 500
    """
    from difyops.clock import SystemClock
    from difyops.history.sync import SyncRequest
    from difyops.history.sync import sync as bring_up_to_date
    from difyops.render import history as views
    from difyops.render.progress import progress

    share = _share(nodes)

    async def work() -> Synced:
        async with session.instance() as instance:
            request = SyncRequest(
                apps=tuple(_chosen([app async for app in instance.console.apps()], selectors)),
                state=session.config.state,
                back=seconds(since),
                max_calls=max_calls,
                share=share,
                content=content,
                debugging=debug_runs,
                nodes=share > 0,
                ledger=session.shared_ledger,
            )
            with open_history(session) as history, progress("reading history", quiet=session.quiet) as moved:
                return await bring_up_to_date(instance, history, request, clock=SystemClock(), moved=moved)

    return views.synced(session.run(work()))


@command(noun, "status")
def status(session: Session) -> Outcome:
    """Show what is kept: covered time, gaps, runs by source, sampled share, calls spent.

    Examples:
        difyops history status
        difyops history status -o json
    """
    from dataclasses import replace

    from difyops.history.others import elsewhere
    from difyops.history.status import status as look
    from difyops.render import history as views

    with open_history(session) as history:
        found, shared = look(history, context_name(session)), session.shared_ledger
        others = tuple(elsewhere(shared, history, found.context)) if shared else ()
        return views.status(replace(found, elsewhere=others))


@command(noun, "export", no_dry_run="to write the files is all this does.")
def export(
    session: Session,
    folder: Annotated[Path | None, typer.Argument(metavar="[FOLDER]", help="Where the Parquet files go.")] = None,
    pack: Annotated[
        bool, typer.Option("--pack", help="Move closed months out of SQLite into Parquet, in the state folder.")
    ] = False,
) -> Outcome:
    """Write Parquet, partitioned by context, app and month; or pack closed months. Needs difyops[analytics].

    Examples:
        difyops history export archive
        difyops history export --pack
    """
    from difyops.clock import SystemClock
    from difyops.history import archive
    from difyops.history.packing import pack as pack_months
    from difyops.render import history as views

    if (folder is None) != pack:
        raise UsageError("export wants a folder, or --pack.", hint="difyops history export ./parquet")
    with open_history(session) as history:
        name = context_name(session)
        if folder is not None:
            return views.exported(archive.export(history, folder, context=name))
        return views.exported(pack_months(history, context=name, now=SystemClock().now().timestamp()))


@command(noun, "import", no_dry_run="to read the files in is all this does.")
def import_(
    session: Session,
    folder: Annotated[Path | None, typer.Argument(metavar="[FOLDER]", help="Parquet files that export wrote.")] = None,
    database: Annotated[
        str | None,
        typer.Option("--database", metavar="REFERENCE", help="Dify's own PostgreSQL, read only: env:, file:, cmd:, …"),
    ] = None,
    since: Annotated[str, typer.Option("--since", metavar="TIME", help="With --database: how far back.")] = "30d",
) -> Outcome:
    """Read Parquet files, or Dify's own database, into the history.

    Examples:
        difyops history import archive
        difyops history import --database env:DIFY_DATABASE --since 30d
    """
    from difyops.clock import SystemClock
    from difyops.history import archive
    from difyops.history.database import read_database
    from difyops.render import history as views

    if (folder is None) == (database is None):
        raise UsageError("import wants a folder, or --database.", hint="difyops history import ./parquet")
    with open_history(session) as history:
        if folder is not None:
            return views.imported(archive.import_parquet(history, folder))
        from difyops.credentials import resolve

        after = SystemClock().now().timestamp() - seconds(since)
        dsn = resolve(database or "").reveal()
        return views.imported(read_database(history, dsn, context=context_name(session), since=after))


@command(noun, "forget")
def forget(
    session: Session,
    apps: KeptApps = None,
    older_than: Annotated[
        str | None, typer.Option("--older-than", metavar="TIME", help="Only what began so long ago.")
    ] = None,
) -> Outcome:
    """Delete what is kept of a context, of some apps, or what is old. The instance is not touched.

    Examples:
        difyops history forget --older-than 180d --dry-run
        difyops history forget support-triage --yes
    """
    from difyops.clock import SystemClock
    from difyops.history.apps import find_apps
    from difyops.render import history as views

    before = SystemClock().now().timestamp() - seconds(older_than) if older_than else None
    with open_history(session) as history:
        name = context_name(session)
        chosen = [app.id for app in find_apps(history, name, apps)] if apps else [None]
        what = f"{', '.join(apps) if apps else 'everything'} of {name}"
        what += f" older than {older_than}" if older_than else ""
        if not session.dry_run:
            session.confirm(f"Forget {what}?", changes=f"Forgetting {what}")
        gone: Counter[str] = Counter()
        for app in chosen:
            gone.update((history.holds if session.dry_run else history.forget)(name, app, before=before))
        return views.forgotten(dict(gone), what, dry_run=session.dry_run)


def open_history(session: Session) -> History:
    """Return the history of this machine."""
    from difyops.history.store import History

    return History.open(session.config.state)


def context_name(session: Session) -> str:
    """Return the name of the context that the command works on."""
    return session.config.context(session.one_context()).name


def _chosen(apps: list[App], selectors: list[str] | None) -> list[App]:
    from difyops.targets import select

    return select(apps, selectors or ["all"], may_be_empty=True)


def _share(text: str) -> float:
    number = text.removesuffix("%")
    try:
        value = float(number) / (100 if text.endswith("%") else 1)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1:
        raise UsageError(f"{text!r} is not a share.", hint="Examples: 5%, 0.05, 0, 100%.")
    return value
