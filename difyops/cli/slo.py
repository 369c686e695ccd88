"""``difyops slo``: goals and error budgets, from the history only. Parse, call the room, return."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from difyops.cli.door import command, group
from difyops.cli.history import context_name, open_history
from difyops.cli.reporting import As, formats_of, reported, unknown
from difyops.cli.session import Session
from difyops.errors import DifyopsError, UsageError
from difyops.outcome import Outcome

if TYPE_CHECKING:
    from difyops.api.model import App
    from difyops.history.store import History
    from difyops.slo.goals_file import Goal
    from difyops.slo.model import GoalReport

noun = group("Goals and error budgets: what burns, how fast, since when; from the history.")

GoalsFile = Annotated[
    Path | None,
    typer.Option("--goals", metavar="FILE", help="Default: slo.CONTEXT.yaml, else slo.yaml, beside difyops.yaml."),
]
Names = Annotated[list[str] | None, typer.Argument(metavar="[GOAL]...", help="Only these goals.")]
RequireEvents = Annotated[
    bool, typer.Option("--require-events", help="Exit 3 where too few events were kept to judge, instead of 0.")
]


@command(noun, "init")
def init(
    session: Session,
    file: Annotated[Path | None, typer.Argument(metavar="[FILE]", help="Default: slo.yaml.")] = None,
) -> Outcome:
    """Write a file of goals to begin with: what the busiest apps of the history held in the last 28 days.

    Examples:
        difyops slo init
        difyops slo init goals.yaml
    """
    from difyops import atomic_file
    from difyops.clock import SystemClock
    from difyops.render import slo as views
    from difyops.slo.goals_file import FILE
    from difyops.slo.start import starting_file

    target = file or Path(FILE)
    if target.exists():
        raise UsageError(f"{target} is there already; it is left as it is.", hint="Name another file.")
    now = SystemClock().now().timestamp()
    with open_history(session) as history:
        text = starting_file(
            history, context_name(session), file=str(target), since=now - 28 * 86400, until=now
        )  # fmt: skip
    if not session.dry_run:
        atomic_file.write(target, text.encode())
    return views.started(str(target), text, written=not session.dry_run)


@command(noun, "check", fleet=True)
def check(
    session: Session,
    names: Names = None,
    goals: GoalsFile = None,
    require_events: RequireEvents = False,
    formats: As = None,
) -> Outcome:
    """Judge every goal: 0 ok, 5 burning; too few events are 0 with a warning, 3 with --require-events.

    Examples:
        difyops slo check
        difyops slo check --as nagios
    """
    return _judged(session, names, goals, formats, require_events=require_events, judged=True)


@command(noun, "status", fleet=True)
def status(session: Session, names: Names = None, goals: GoalsFile = None, formats: As = None) -> Outcome:
    """Show every goal: good events, budget left, how fast it burns. Exit 0 whatever is found.

    Examples:
        difyops slo status
        difyops slo status --as prometheus=difyops_slo.prom
    """
    return _judged(session, names, goals, formats, require_events=False, judged=False)


@command(noun, "report", fleet=True)
def report(session: Session, names: Names = None, goals: GoalsFile = None) -> Outcome:
    """Show everything: budget by day, each window, each app, whose failures there were, since when, after what.

    Examples:
        difyops slo report
        difyops slo report -o markdown
    """
    from difyops.render import slo as views

    return views.report(look(session, goals, names))


@command(noun, "export")
def export(
    session: Session,
    names: Names = None,
    goals: GoalsFile = None,
    to: Annotated[str, typer.Option("--to", metavar="sloth|prometheus", help="Whose rules.")] = "prometheus",
) -> Outcome:
    """Write the goals as rules for Sloth or Prometheus; they read what ``slo status --as prometheus=FILE`` writes.

    Examples:
        difyops slo export --to sloth > sloth.yaml
        difyops slo export --to prometheus > rules.yaml
    """
    from difyops.render import slo as views
    from difyops.slo import export as rules

    writers = {"sloth": rules.sloth, "prometheus": rules.prometheus}
    if to not in writers:
        raise UsageError(f"--to {to!r} is not known.", hint="One of: sloth, prometheus.")
    chosen = _chosen(_goals(session, goals)[0], names)
    return views.exported(writers[to](context_name(session), chosen), to, [goal.name for goal in chosen])


def look(session: Session, goals: Path | None, names: list[str] | None, *, totals: bool = False) -> GoalReport:
    """Read the goals and judge them; the instance is asked only where a selector names a tag."""
    from difyops.clock import SystemClock
    from difyops.slo.status import StatusRequest
    from difyops.slo.status import report as judge

    found, file = _goals(session, goals)
    chosen = _chosen(found, names)
    with open_history(session) as history:
        asked = StatusRequest(
            context=context_name(session), file=file, goals=chosen, apps=_apps(session, history, chosen),
            now=SystemClock().now(), totals=totals,
        )  # fmt: skip
        return judge(history, asked, session.ledger)


def goals_file(session: Session) -> Path:
    """Return where the file of goals is by default: beside the project file, else here; the context's own first."""
    from difyops.slo.goals_file import FILE

    folder = session.config.project_file.parent if session.config.project_file else Path.cwd()
    own = folder / f"slo.{context_name(session).replace('/', '-')}.yaml"
    return own if own.is_file() else folder / FILE


def _judged(
    session: Session, names: list[str] | None, goals: Path | None, formats: list[str] | None, *,
    require_events: bool, judged: bool,
) -> Outcome:  # fmt: skip
    from difyops.render import slo as views

    wanted = formats_of(formats)
    kind = "slo.check" if judged else "slo.status"
    try:
        found = look(session, goals, names, totals=any(name == "prometheus" for name, _ in wanted))
    except DifyopsError as error:
        return unknown(error, wanted, kind)
    shown = views.status(found, require_events=require_events, kind=kind, judged=judged)
    if not wanted:
        return shown
    suite = views.slo_suite(found, require_events=require_events)
    return reported(shown, suite, wanted, dry_run=session.dry_run)


def _goals(session: Session, named: Path | None) -> tuple[tuple[Goal, ...], str]:
    from difyops.slo.goals_file import read_goals

    path = named or goals_file(session)
    if not path.is_file():
        raise UsageError(f"There is no file of goals {path}.", hint="difyops slo init writes one to begin with.")
    return read_goals(path), str(path)


def _chosen(goals: tuple[Goal, ...], names: list[str] | None) -> tuple[Goal, ...]:
    known = [goal.name for goal in goals]
    for name in names or ():
        if name not in known:
            raise UsageError(f"There is no goal {name!r}.", hint=f"There are: {', '.join(known)}.")
    return tuple(goal for goal in goals if not names or goal.name in names)


def _apps(session: Session, history: History, goals: tuple[Goal, ...]) -> tuple[App, ...]:
    from difyops.slo.status import kept_apps

    kept = kept_apps(history, context_name(session))
    if not any(selector.startswith("tag:") for goal in goals for selector in goal.apps):
        return kept

    async def listed() -> tuple[App, ...]:
        async with session.instance() as instance:
            return tuple([app async for app in instance.console.apps()])

    live = session.run(listed())
    gone = {app.id for app in live}
    return (*live, *(app for app in kept if app.id not in gone))
