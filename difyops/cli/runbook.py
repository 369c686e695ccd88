"""``difyops runbook``: checks and actions for on-call, cron and CI. Parse, call the room, return what it found."""

from __future__ import annotations

import contextlib
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated

import typer

from difyops.cli.door import command, group, seconds
from difyops.cli.reporting import As, formats_of, reported, unknown
from difyops.cli.session import Session
from difyops.errors import DifyopsError, UsageError
from difyops.outcome import Outcome

noun = group("Runbooks that run: checks and actions for on-call, cron and CI.")

Which = Annotated[str, typer.Argument(metavar="RUNBOOK", help="Name, or path of a YAML file.")]


@command(noun, "list")
def list_(
    session: Session,
    since: Annotated[
        str | None, typer.Option("--since", metavar="TIME", help="Past runs instead: 24h, 7d, or 2026-11-20.")
    ] = None,
    runbook: Annotated[str | None, typer.Option("--of", metavar="RUNBOOK", help="Only runs of this runbook.")] = None,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, max=500, help="How many runs.")] = 50,
) -> Outcome:
    """List the runbooks there are; with --since, past runs, newest first.

    Examples:
        difyops runbook list
        difyops runbook list --since 1d -o json
    """
    from difyops.render import runbook as views
    from difyops.render.runbook_book import listed
    from difyops.runbook.history import runs
    from difyops.runbook.library import entries

    if since is None and runbook is None:
        return listed(entries(session.config))
    moment = None if since is None else _moment(since)
    return views.runs(runs(session.ledger, session.config.state, since=moment, runbook=runbook, limit=limit))


@command(noun, "show")
def show(
    session: Session,
    runbook: Annotated[
        str | None, typer.Argument(metavar="RUNBOOK|CHECK|ACTION", help="A runbook, or a check or action.")
    ] = None,
    checks: Annotated[bool, typer.Option("--checks", help="All checks and actions, and what they need.")] = False,
) -> Outcome:
    """Show a runbook as a document to read, or what a check or an action does and takes.

    Examples:
        difyops runbook show backup-freshness
        difyops runbook show runs.latency
    """
    from difyops.render import runbook_book as views
    from difyops.runbook.library import find
    from difyops.runbook.load import load
    from difyops.runbook.registry import tools

    every = [*tools("check").values(), *tools("action").values()]
    if checks or runbook is None:
        return views.tools(every)
    named = [tool for tool in every if tool.name == runbook]
    if named:
        return views.tools(named)
    return views.shown(load(find(session.config, runbook)))


@command(noun, "lint")
def lint(
    session: Session,
    runbooks: Annotated[
        list[str] | None, typer.Argument(metavar="[RUNBOOK]...", help="Names or files; all without.")
    ] = None,
) -> Outcome:
    """Check runbooks without running them; names file, line and field. Exit 5 on a problem.

    Examples:
        difyops runbook lint
        difyops runbook lint backup-freshness -o json
    """
    from difyops.render import runbook_book as views
    from difyops.runbook.library import entries, find
    from difyops.runbook.load import lint as look

    if runbooks:
        paths = [find(session.config, name) for name in runbooks]
    else:
        paths = [entry.path for entry in entries(session.config)]
    return views.linted([problem for path in paths for problem in look(path)[1]], len(paths))


@command(noun, "run", fleet=True)
def run(
    session: Session,
    runbook: Annotated[str | None, typer.Argument(metavar="[RUNBOOK]", help="Name, or path of a YAML file.")] = None,
    given: Annotated[
        list[str] | None, typer.Option("--set", "-s", metavar="NAME=VALUE", help="An input (repeatable).")
    ] = None,
    act: Annotated[bool, typer.Option("--act", help="Carry out the actions, too; each is asked about first.")] = False,
    approve: Annotated[
        list[str] | None, typer.Option("--approve", metavar="STEP|all", help="Approve a manual step beforehand.")
    ] = None,
    as_: As = None,
    undo: Annotated[
        str | None, typer.Option("--undo", metavar="RUN", help="Instead: take the actions of that run back.")
    ] = None,
) -> Outcome:
    """Run a runbook. Exit 0 well, 5 a step failed, 8 nobody agreed to an action, 3 something was not measured.

    Examples:
        difyops runbook run backup-freshness
        difyops runbook run backup-freshness --as nagios
    """
    if (runbook is None) == (undo is None):
        raise UsageError("Name a runbook, or --undo RUN.", hint="difyops runbook list")
    from difyops.cli.runbook_run import RunbookRequest, carry_out
    from difyops.render.runbook import ran
    from difyops.runbook.outputs import suite_of

    formats = formats_of(as_)
    wanted = RunbookRequest(runbook=runbook, undo=undo, given=tuple(given or ()), approve=tuple(approve or ()), act=act)
    try:
        record = carry_out(session, wanted)
    except DifyopsError as error:
        return unknown(error, formats, "runbook.run")
    return reported(ran(record), suite_of(record), formats, dry_run=session.dry_run)


@command(noun, "report")
def report(
    session: Session,
    run_id: Annotated[
        str, typer.Argument(metavar="RUN", help="A run's id, its beginning, latest, or a runbook.")
    ] = "latest",
    since: Annotated[str | None, typer.Option("--since", metavar="TIME", help="List the runs since then.")] = None,
    write: Annotated[Path | None, typer.Option("--write", metavar="FILE", help="Markdown, into a file.")] = None,
) -> Outcome:
    """Write the incident report of a run, with timeline and the skeleton of the post-mortem (-o markdown).

    Examples:
        difyops runbook report
        difyops runbook report -o markdown
    """
    from difyops.render import runbook as views
    from difyops.runbook.history import run as past
    from difyops.runbook.history import runs
    from difyops.runbook.report import report as made

    if since is not None:
        return views.runs(runs(session.ledger, session.config.state, since=_moment(since)))
    outcome = views.reported(made(past(session.ledger, session.config.state, run_id)))
    if write is not None and not session.dry_run:
        from difyops import atomic_file
        from difyops.render.plain import as_markdown

        atomic_file.write(write, (as_markdown(outcome.blocks) + "\n").encode())
    return outcome


@command(noun, "new")
def new(
    session: Session,
    name: Annotated[str, typer.Argument(metavar="NAME", help="Small letters, digits and dashes.")],
    folder: Annotated[Path | None, typer.Option("--in", metavar="FOLDER", help="Where (default: runbooks/).")] = None,
) -> Outcome:
    """Write a commented skeleton to start from.

    Examples:
        difyops runbook new my-check
        difyops runbook new my-check --in runbooks
    """
    from difyops.runbook.skeleton import text_of, write

    base = session.config.project_file.parent if session.config.project_file else Path.cwd()
    target = folder or base / "runbooks"
    if session.dry_run:
        text = text_of(name, target / f"{name}.yaml")
        return Outcome(kind="runbook.new", data={"path": None, "text": text}, raw=text.encode())
    path = write(name, target)
    return Outcome(kind="runbook.new", data={"path": str(path)}, summary=f"wrote {path}", names=[str(path)])


def _moment(text: str) -> datetime:
    with contextlib.suppress(ValueError):
        found = datetime.fromisoformat(text)
        return found if found.tzinfo else found.replace(tzinfo=UTC)
    try:
        return datetime.now(UTC) - timedelta(seconds=seconds(text))
    except OverflowError:
        raise UsageError(f"--since {text!r} is before all time.", hint="Example: --since 7d") from None
