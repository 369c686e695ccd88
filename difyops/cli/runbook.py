"""``difyops runbook``: checks and actions for on-call, cron and CI. Parse, call the room, return what it found."""

from __future__ import annotations

import contextlib
import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from difyops.cli.door import command, group, seconds
from difyops.cli.session import Session
from difyops.errors import ConfigError, DifyopsError, Interrupted, UsageError
from difyops.outcome import Outcome

if TYPE_CHECKING:
    from difyops.config import Context
    from difyops.runbook.acting import Consent
    from difyops.runbook.model import Runbook
    from difyops.runbook.record import RunRecord, StepRecord
    from difyops.runbook.scene import Scene

noun = group("Runbooks that run: checks and actions for on-call, cron and CI.")

_GRACE = 5.0  # seconds that a run whose deadline passed has to write down its end
_A_SECOND = timedelta(seconds=1)
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
    """List the runbooks there are; with --since, past runs, newest first."""
    from difyops.render import runbook as views
    from difyops.runbook.history import runs
    from difyops.runbook.library import entries

    if since is None and runbook is None:
        return views.listed(entries(session.config))
    moment = _moment(since) if since else None
    return views.runs(runs(session.ledger, session.config.state, since=moment, runbook=runbook, limit=limit))


@command(noun, "show")
def show(
    session: Session,
    runbook: Annotated[
        str | None, typer.Argument(metavar="RUNBOOK|CHECK|ACTION", help="A runbook, or a check or action.")
    ] = None,
    checks: Annotated[bool, typer.Option("--checks", help="All checks and actions with their parameters.")] = False,
) -> Outcome:
    """Show a runbook as a document to read, or what a check or an action does and takes."""
    from difyops.render import runbook as views
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
    """Check runbooks without running them; names file, line and field. Exit 5 on a problem."""
    from difyops.render import runbook as views
    from difyops.runbook.library import entries, find
    from difyops.runbook.load import lint as look

    if runbooks:
        paths = [find(session.config, name) for name in runbooks]
    else:
        paths = [entry.path for entry in entries(session.config)]
    return views.linted([problem for path in paths for problem in look(path)[1]], len(paths))


@command(noun, "run")
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
    as_: Annotated[
        list[str] | None,
        typer.Option("--as", metavar="FORMAT[=FILE]", help="junit, tap, nagios or prometheus; to stdout or a file."),
    ] = None,
    undo: Annotated[
        str | None, typer.Option("--undo", metavar="RUN", help="Instead: take the actions of that run back.")
    ] = None,
) -> Outcome:
    """Run a runbook. Exit 0 well, 5 a step failed, 8 nobody agreed to an action, 3 something was not measured."""
    if (runbook is None) == (undo is None):
        raise UsageError("Name a runbook, or --undo RUN.", hint="difyops runbook list")
    formats = _formats(as_)
    try:
        return _outcome(_run(session, (runbook, undo), (given, approve), act), formats, dry_run=session.dry_run)
    except DifyopsError as error:
        if ("nagios", None) not in formats:
            raise
        return _unknown(error)


def _run(
    session: Session, what: tuple[str | None, str | None], given: tuple[list[str] | None, list[str] | None], act: bool
) -> RunRecord:
    """Find the runbook, or make the one that undoes a run, and run it."""
    from difyops.runbook.library import find, is_own
    from difyops.runbook.load import load
    from difyops.runbook.undoing import undoing

    runbook, undo = what
    pairs, approve = given
    if undo is not None:
        from difyops.runbook.history import run as past

        chosen, trusted, act = undoing(past(session.ledger, session.config.state, undo)), True, True
    else:
        path = find(session.config, str(runbook))
        chosen, trusted = load(path), is_own(path)
    unknown = sorted(set(approve or ()) - {"all", *(step.id for step in chosen.steps)})
    if unknown:
        raise UsageError(f"--approve {unknown[0]!r}: {chosen.name} has no such step.")
    inputs = _inputs(chosen, pairs)
    deadline, session.deadline = session.deadline, None
    if deadline is not None:
        session.deadline = deadline + _GRACE
    began = datetime.now(UTC)
    try:
        return session.run(_ran(session, chosen, inputs, _consent(session, act, approve), deadline, trusted))
    except Interrupted:
        record = None if session.dry_run else _cut_off(session, chosen.name, began)
        if record is None:
            raise
        return record  # what was done, and how to take it back, is what an interrupted person must see


def _cut_off(session: Session, runbook: str, began: datetime) -> RunRecord | None:
    """Return the record of the run that was interrupted; ``None`` when it had not begun."""
    from difyops.runbook.history import runs
    from difyops.runbook.record import INTERRUPTED

    found = runs(session.ledger, session.config.state, since=began - _A_SECOND, runbook=runbook, limit=5)
    return next((item for item in found if item.state == INTERRUPTED), None)


@command(noun, "report")
def report(
    session: Session,
    run_id: Annotated[
        str, typer.Argument(metavar="RUN", help="A run's id, its beginning, latest, or a runbook.")
    ] = "latest",
    since: Annotated[str | None, typer.Option("--since", metavar="TIME", help="List the runs since then.")] = None,
    write: Annotated[Path | None, typer.Option("--write", metavar="FILE", help="Markdown, into a file.")] = None,
) -> Outcome:
    """Write the incident report of a run, with timeline and the skeleton of the post-mortem (-o markdown)."""
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
    """Write a commented skeleton to start from."""
    from difyops.runbook.skeleton import text_of, write

    base = session.config.project_file.parent if session.config.project_file else Path.cwd()
    target = folder or base / "runbooks"
    if session.dry_run:
        text = text_of(name, target / f"{name}.yaml")
        return Outcome(kind="runbook.new", data={"path": None, "text": text}, raw=text.encode())
    path = write(name, target)
    return Outcome(kind="runbook.new", data={"path": str(path)}, summary=f"wrote {path}", names=[str(path)])


async def _ran(
    session: Session, runbook: Runbook, inputs: dict[str, Any], consent: Consent, deadline: float | None, trusted: bool
) -> RunRecord:
    from difyops.render.progress import progress
    from difyops.runbook.engine import RunOptions
    from difyops.runbook.engine import run as go

    async with contextlib.AsyncExitStack() as stack:
        scene = _scene(session, stack, trusted)
        moved = stack.enter_context(progress(runbook.name, quiet=session.quiet))
        done: list[str] = []

        def watch(step: StepRecord) -> None:
            done.append(step.id)
            if consent.is_asking:  # the question stays on the screen
                return
            moved(len(done), len(runbook.steps), f"{step.title}: {step.result}")

        return await go(runbook, scene, consent, RunOptions(inputs=inputs, deadline=deadline, watch=watch))


def _scene(session: Session, stack: contextlib.AsyncExitStack, trusted: bool) -> Scene:
    import getpass

    from difyops.cli.snapshot import open_store
    from difyops.runbook.scene import Scene

    async def opened() -> Any:
        return await stack.enter_async_context(session.instance())

    return Scene(
        config=session.config,
        context=_context(session),
        open_instance=opened,
        open_store=lambda: open_store(session),
        # A dry run reads what earlier runs left, and makes no ledger where there is none.
        ledger=session.ledger if not session.dry_run or _has_ledger(session) else None,
        actor=getpass.getuser(),
        dry_run=session.dry_run,
        trusts_commands=trusted,
    )


def _has_ledger(session: Session) -> bool:
    return (session.config.state / "ledger.sqlite3").exists()


def _context(session: Session) -> Context | None:
    """Return the context; a runbook that looks at none (disk, tcp, http) runs without one, too."""
    try:
        return session.config.context(session.one_context())
    except ConfigError:
        if session.contexts or session.config.contexts:
            raise
        return None


def _consent(session: Session, act: bool, approve: list[str] | None) -> Consent:
    from difyops.runbook.acting import Consent

    withdrawn = threading.Event()

    def agree(question: str, changes: str) -> None:
        session.confirm(question, changes=changes, withdrawn=withdrawn.is_set)

    def approved(question: str, changes: str) -> None:
        replace(session, yes=False).confirm(question, changes=changes, withdrawn=withdrawn.is_set)

    return Consent(
        act=act or session.dry_run,
        dry_run=session.dry_run,
        approved=frozenset(approve or ()),
        agree=agree,
        approve=approved,
        withdraw=withdrawn.set,
    )


def _inputs(runbook: Runbook, given: list[str] | None) -> dict[str, Any]:
    from difyops.runbook.parameters import Mismatch, from_text

    found: dict[str, Any] = {}
    for pair in given or ():
        name, equals, text = pair.partition("=")
        if not equals:
            raise UsageError(f"--set {pair!r} has no value.", hint="Example: --set app=support-bot")
        kind = runbook.inputs[name].kind if name in runbook.inputs else "text"
        try:
            found[name] = from_text(kind, text)
        except Mismatch as error:
            raise UsageError(f"--set {name}: {error}.") from error
    return found


def _formats(wanted: list[str] | None) -> list[tuple[str, Path | None]]:
    from difyops.runbook.outputs import FORMATS

    found: list[tuple[str, Path | None]] = []
    for item in wanted or ():
        name, _, file = item.partition("=")
        if name not in FORMATS:
            raise UsageError(f"--as {name!r} is not a format.", hint=f"One of: {', '.join(FORMATS)}.")
        found.append((name, Path(file) if file else None))
    if sum(file is None for _, file in found) > 1:
        raise UsageError("Only one --as can go to stdout; give the others a file.")
    return found


def _outcome(record: RunRecord, formats: list[tuple[str, Path | None]], *, dry_run: bool) -> Outcome:
    from difyops import atomic_file
    from difyops.render import runbook as views
    from difyops.runbook.outputs import FORMATS, nagios_code

    raw: bytes | None = None
    error = record.error
    for name, file in formats:
        content = FORMATS[name](record).encode()
        if file is not None:
            if not dry_run:  # what a monitor reads stays the last real run's
                atomic_file.write(file, content)
            continue
        raw = content
        if name == "nagios":
            error = _monitored(record, nagios_code(record))
    return views.ran(record, raw=raw, error=error)


def _unknown(error: DifyopsError) -> Outcome:
    """Say to a monitoring system that nothing was measured: its word for that is unknown, exit 3."""
    from difyops.runbook.outputs import harmless

    error.exit_code = 3
    line = f"DIFYOPS UNKNOWN - {harmless(error.message).replace('|', '/')}\n"
    return Outcome(kind="runbook.run", data=None, error=error, raw=line.encode())


def _monitored(record: RunRecord, code: int) -> DifyopsError | None:
    """Return an error with the exit code that monitoring expects of a plugin: 1 warning, 2 critical, 3 unknown."""
    if code == 0:
        return None
    error = record.error or DifyopsError(f"{record.runbook}: {record.verdict}")
    error.exit_code = code
    return error


def _moment(text: str) -> Any:
    with contextlib.suppress(ValueError):
        found = datetime.fromisoformat(text)
        return found if found.tzinfo else found.replace(tzinfo=UTC)
    return datetime.now(UTC) - timedelta(seconds=seconds(text))
