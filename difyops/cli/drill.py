"""``difyops drill``: is the way back real? Parse, call the room, return."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from difyops.cli.door import command, group, seconds
from difyops.cli.reporting import As, formats_of, reported, unknown
from difyops.cli.session import Session
from difyops.errors import DifyopsError, UsageError
from difyops.outcome import Outcome

if TYPE_CHECKING:
    from difyops.asking import Smoke
    from difyops.drill.model import Drilled

noun = group("Restore drills: bring the newest snapshot back into scratch apps, prove it, take them away.")


@command(noun, "run")
def run(
    session: Session,
    selectors: Annotated[
        list[str] | None,
        typer.Argument(metavar="[SELECTOR]...", help="Apps of the snapshot: id, name, glob, @file; default all."),
    ] = None,
    to: Annotated[str, typer.Option("--to", metavar="SNAPSHOT", help="Tag, commit, latest, latest~1.")] = "latest",
    into: Annotated[
        str | None, typer.Option("--into", metavar="CONTEXT", help="A scratch context; default: scratch apps here.")
    ] = None,
    inputs: Annotated[
        Path | None, typer.Option("--inputs", metavar="FILE", help="YAML: app: {inputs, query, expect} of smoke runs.")
    ] = None,
    smoke: Annotated[bool, typer.Option("--smoke/--no-smoke", help="Run each restored app once.")] = True,
    allow_effects: Annotated[
        bool, typer.Option("--allow-effects", help="Also run apps whose nodes write somewhere (tools, POST, agents).")
    ] = False,
    at_once: Annotated[int, typer.Option("--at-once", min=1, max=4, help="Apps side by side.")] = 3,
    formats: As = None,
) -> Outcome:
    """Restore, prove, run and remove every app of a snapshot. 0 passed, 5 a backup does not hold, 3 not judged.

    Examples:
        difyops drill run --dry-run
        difyops drill run support-triage --yes
    """
    from difyops.drill.model import DrillRequest
    from difyops.render import drill as views

    wanted = formats_of(formats)
    request = DrillRequest(
        source=session.config.context(session.one_context()).name, selectors=tuple(selectors or ("all",)), to=to,
        smoke=smoke, allow_effects=allow_effects, smokes=_smokes(inputs) if inputs else {}, at_once=at_once,
    )  # fmt: skip
    try:
        done = session.run(_work(session, request, into))
    except DifyopsError as error:
        return unknown(error, wanted, "drill.run")
    if isinstance(done, Outcome):
        return done
    shown = views.drilled(done)
    return reported(shown, views.drill_suite(done), wanted) if wanted else shown


@command(noun, "report")
def report(
    session: Session,
    since: Annotated[str, typer.Option("--since", metavar="TIME", help="How far back.")] = "365d",
) -> Outcome:
    """Show the drills that were run, with RPO and RTO, for auditors (-o markdown).

    Examples:
        difyops drill report
        difyops drill report -o markdown
    """
    from datetime import timedelta

    from difyops.clock import SystemClock
    from difyops.drill.report import report as read
    from difyops.render import drill as views

    name = session.config.context(session.one_context()).name
    begin = SystemClock().now() - timedelta(seconds=seconds(since))
    return views.reported(read(session.ledger, name, begin))


async def _work(session: Session, request: object, into: str | None) -> Drilled | Outcome:
    from difyops.cli.stores import open_store
    from difyops.drill.model import DrillRequest
    from difyops.drill.run import refuse_production
    from difyops.drill.run import run as drill
    from difyops.render import drill as views
    from difyops.snapshot.history import kept_apps

    assert isinstance(request, DrillRequest)  # noqa: S101
    store = open_store(session)
    source = session.config.context(request.source)
    async with session.instance(into or request.source) as instance:
        if into is not None:
            refuse_production(source.url, instance, source.workspace_id)
        commit = store.resolve(request.to, branch=request.source)
        names = [app.name for app in kept_apps(store, commit, request.selectors)] if session.dry_run else []
        if session.dry_run:
            return views.planned(request.source, instance.name, commit, names)
        session.confirm(
            f"Make and remove scratch apps in {instance.name}?", changes=f"A restore drill in {instance.name}"
        )
        return await drill(session.workspace(instance, store=store), store, request)


def _smokes(path: Path) -> dict[str, Smoke]:
    """Return the smoke runs of a file.

    Raises:
        UsageError: it cannot be read, or says something else; names file, line and field.
    """
    from difyops.asking import Smoke
    from difyops.settings import names_in
    from difyops.settings_file import load_file

    body, source = load_file(path, error=UsageError, hint="support: {query: hello, expect: hi}")
    return names_in(Smoke, body, source)
