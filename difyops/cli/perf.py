"""``difyops perf``: what is slow, what changed, what it would bring. Reads the history only; parse, call, return."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from difyops.cli.door import command, group, seconds
from difyops.cli.history import context_name, open_history
from difyops.cli.session import Session
from difyops.counting import counted
from difyops.errors import AnswerIsNo, UsageError
from difyops.outcome import Outcome

if TYPE_CHECKING:
    from difyops.history.store import History
    from difyops.perf.facts import Scope
    from difyops.perf.report import BudgetSection

noun = group("What is slow, what changed, what it would bring: from the history, with n and intervals.")

AppName = Annotated[str, typer.Argument(metavar="APP", help="App id or exact name, as in history status.")]
Since = Annotated[str, typer.Option("--since", metavar="TIME", help="How far back.")]
Version = Annotated[str | None, typer.Option("--version", help="Only runs of this version (its beginning is enough).")]


@command(noun, "summary", formats=("csv",))
def summary(session: Session, app: AppName, since: Since = "7d", version: Version = None) -> Outcome:
    """Runs, success, percentiles, tokens, cost, time that no node accounts for; against the period before.

    Examples:
        difyops perf summary support-triage
        difyops perf summary support-triage --since 30d -o json
    """
    from difyops.perf.summary import summarise
    from difyops.render import perf as views

    with open_history(session) as history:
        return views.summary(summarise(history, scope_of(session, history, app, since, version)))


@command(noun, "nodes", formats=("csv",))
def nodes(session: Session, app: AppName, since: Since = "7d", version: Version = None) -> Outcome:
    """Every node: percentiles, failures, share of the critical path, drag, tail, part of the spread.

    Examples:
        difyops perf nodes support-triage
        difyops perf nodes support-triage --since 30d -o markdown
    """
    from difyops.perf.nodes import profile
    from difyops.render import perf_nodes as views

    with open_history(session) as history:
        return views.nodes(profile(history, scope_of(session, history, app, since, version)))


@command(noun, "bottlenecks", formats=("csv",))
def bottlenecks(
    session: Session,
    app: AppName,
    since: Since = "7d",
    version: Version = None,
    most: Annotated[int, typer.Option("--limit", "-n", min=1, help="How many.")] = 3,
) -> Outcome:
    """The nodes without which a run would be shortest.

    Examples:
        difyops perf bottlenecks support-triage
        difyops perf bottlenecks support-triage --limit 3
    """
    from difyops.perf.nodes import bottlenecks as find
    from difyops.perf.nodes import profile
    from difyops.render import perf_nodes as views

    with open_history(session) as history:
        found = profile(history, scope_of(session, history, app, since, version))
        return views.bottlenecks(found, find(found, most=most))


@command(noun, "path", formats=("csv",))
def path(
    session: Session, run: Annotated[str, typer.Argument(metavar="RUN", help="Id of a run, or its beginning.")]
) -> Outcome:
    """The waterfall of one run, its critical path and what nobody accounts for.

    Examples:
        difyops perf path 0b9f6f1c
        difyops perf path 0b9f6f1c -o json
    """
    from difyops.perf.path import path_of
    from difyops.render import perf_nodes as views

    with open_history(session) as history:
        return views.path(*path_of(history, context_name(session), run))


@command(noun, "whatif", formats=("csv",))
def whatif(
    session: Session,
    app: AppName,
    node: Annotated[str, typer.Option("--node", help="Id or title of the node.")],
    factor: Annotated[float, typer.Option("--factor", min=0, help="Its time times this; 0.5 is twice as fast.")] = 0.5,
    since: Since = "7d",
    version: Version = None,
) -> Outcome:
    """What runs would take if one node were faster, or slower.

    Examples:
        difyops perf whatif support-triage --node draft --factor 0.5
        difyops perf whatif support-triage --node draft --factor 2 --since 30d
    """
    from difyops.perf.whatif import whatif as compute
    from difyops.render import perf_nodes as views

    with open_history(session) as history:
        scope = scope_of(session, history, app, since, version)
        return views.whatif(compute(history, scope, node=node, factor=factor))


@command(noun, "trend", formats=("csv",))
def trend(session: Session, app: AppName, since: Since = "14d") -> Outcome:
    """Run times over time, where they changed, and what was published, switched or rotated shortly before.

    Examples:
        difyops perf trend support-triage
        difyops perf trend support-triage --since 30d -o json
    """
    from difyops.perf.trend import trend as look
    from difyops.render import perf as views

    with open_history(session) as history:
        return views.trend(look(history, scope_of(session, history, app, since), session.ledger))


@command(noun, "compare", formats=("csv",))
def compare(
    session: Session,
    app: AppName,
    first: Annotated[
        str | None, typer.Argument(metavar="[FIRST]", help="A version, or a period FROM..TO (ISO dates).")
    ] = None,
    second: Annotated[str | None, typer.Argument(metavar="[SECOND]", help="The same; default: the newest two.")] = None,
    since: Since = "30d",
    alpha: Annotated[float, typer.Option("--alpha", min=1e-9, max=0.5, help="How sure: p must be below.")] = 0.01,
) -> Outcome:
    """Two versions or periods: slower, faster, or no evidence. Exit 5 for a proven regression.

    Examples:
        difyops perf compare support-triage
        difyops perf compare support-triage --since 30d -o json
    """
    from difyops.perf.compare import compare as judge
    from difyops.render import perf as views

    if (first is None) != (second is None):
        raise UsageError("compare takes two versions or periods, or none for the newest two versions.")
    with open_history(session) as history:
        scope = scope_of(session, history, app, since)
        sides = [_side(history, scope, text) for text in (first, second) if text] or _newest_two(history, scope)
        (one, label), (two, other) = sides
        return views.compared(judge(history, one, two, (label, other), alpha=alpha))


@command(noun, "report", formats=("html",))
def report(
    session: Session,
    app: AppName,
    since: Since = "7d",
) -> Outcome:
    """Everything about an app; -o html is one self-contained page: difyops perf report APP -o html > page.html.

    Examples:
        difyops perf report support-triage
        difyops perf report support-triage -o html > page.html
    """
    from difyops.cli.cost_asked import spending
    from difyops.clock import SystemClock
    from difyops.perf.report import report as make
    from difyops.render import perf as views
    from difyops.render.cost import summary_blocks

    with open_history(session) as history:
        scope = scope_of(session, history, app, since)
        found = make(history, scope, session.ledger, now=SystemClock().now())
        cost = spending(session, history, [scope.app], since=since, by="model")
    found = replace(found, budgets=_budgets(session, scope.app))
    shown = views.report(found, cost, summary_blocks(cost, title="What it cost"))
    if session.output != "html":
        return shown
    from difyops.render.perf_html import page

    session.output = "table"  # the page takes the place of the blocks
    return replace(shown, raw=page(found, summary_blocks(cost)).encode("utf-8", errors="backslashreplace"))


@command(noun, "advise", formats=("csv",))
def advise(
    session: Session,
    app: AppName,
    since: Since = "7d",
    fail_on: Annotated[
        str | None, typer.Option("--fail-on", metavar="SEVERITY", help="Exit 5 from this severity on: for CI.")
    ] = None,
) -> Outcome:
    """What to change, why, and what it brings: with numbers, ranges, steps and an example.

    Examples:
        difyops perf advise support-triage
        difyops perf advise support-triage --since 30d -o json
    """
    from difyops.clock import SystemClock
    from difyops.perf.advice import SEVERITIES
    from difyops.perf.advise import advise as ask
    from difyops.render import perf as views

    if fail_on is not None and fail_on not in SEVERITIES:
        raise UsageError(f"{fail_on!r} is not a severity.", hint=f"One of: {', '.join(SEVERITIES)}.")
    with open_history(session) as history:
        scope = scope_of(session, history, app, since)
        found = ask(history, scope, session.ledger, now=SystemClock().now())
    grave = SEVERITIES[: SEVERITIES.index(fail_on) + 1] if fail_on else ()
    worst = [item for item in found.advice if item.severity in grave]
    error = (
        AnswerIsNo(f"{counted(len(worst), 'piece')} of advice, {fail_on} or graver: {worst[0].id}.") if worst else None
    )
    return replace(views.advised(found), error=error)


@command(noun, "dismiss")
def dismiss(
    session: Session,
    app: AppName,
    advice: Annotated[str, typer.Argument(metavar="ID", help="As perf advise shows it, such as P004:search.")],
    reason: Annotated[str, typer.Option("--reason", help="Why it does not apply.")],
    expires: Annotated[str, typer.Option("--for", metavar="TIME", help="It comes back after this.")] = "90d",
) -> Outcome:
    """Do not show a piece of advice for a while; the reason is kept in the ledger.

    Examples:
        difyops perf dismiss support-triage model.slower --reason "wanted" --dry-run
        difyops perf dismiss support-triage model.slower --reason "wanted" --for 90d
    """
    from datetime import timedelta

    from difyops.clock import SystemClock
    from difyops.perf.advise import Dismissal
    from difyops.perf.advise import dismiss as write_down
    from difyops.render import perf as views

    now = SystemClock().now()
    until = now + timedelta(seconds=seconds(expires))
    with open_history(session) as history:
        scope = scope_of(session, history, app, "1d")
    if session.dry_run:
        return views.dismissed(advice, Dismissal(reason=reason, until=until, at=now))
    return views.dismissed(advice, write_down(session.ledger, scope, advice, reason=reason, now=now, until=until))


def _budgets(session: Session, app: str) -> tuple[BudgetSection, ...]:
    """Return the budgets of the goals that the app is part of; none where there is no file of goals."""
    from difyops.cli.slo import goals_file, look
    from difyops.perf.report import BudgetSection

    if not goals_file(session).is_file():
        return ()
    return tuple(
        BudgetSection(
            goal=goal.goal, verdict=goal.verdict, percent=goal.percent, days=goal.days, left=goal.left,
            series=tuple((day.at, day.left) for day in goal.series),
        )
        for goal in look(session, None, None).goals
        if any(part.app == app for part in goal.apps)
    )  # fmt: skip


def scope_of(session: Session, history: History, app: str, since: str, version: str | None = None) -> Scope:
    """Return the runs that the options mean, up to now."""
    from difyops.clock import SystemClock
    from difyops.history.apps import find_app
    from difyops.perf.facts import Scope

    context = context_name(session)
    app_id, name = find_app(history, context, app)
    now = SystemClock().now().timestamp()
    scope = Scope(context=context, app=app_id, name=name, since=now - seconds(since), until=now)
    return scope if version is None else _side(history, scope, version)[0]


def _side(history: History, scope: Scope, text: str) -> tuple[Scope, str]:
    if ".." in text:
        start, _, end = text.partition("..")
        return replace(scope, since=_moment(start), until=_moment(end) if end else scope.until), text
    found = [version for version in _versions(history, scope) if version.startswith(text)]
    if len(found) != 1:
        listed = ", ".join(_versions(history, scope)[-8:]) or "none"
        many = "several versions" if found else "no version"
        raise UsageError(f"{text!r} means {many} of {scope.name} in this time.", hint=f"There are: {listed}.")
    return replace(scope, version=found[0]), found[0]


def _newest_two(history: History, scope: Scope) -> list[tuple[Scope, str]]:
    found = _versions(history, scope)
    if len(found) < 2:
        raise UsageError(
            f"{scope.name} ran {counted(len(found), 'version')} in this time; two are wanted.",
            hint="Name periods: FROM..TO FROM..TO",
        )
    return [(replace(scope, version=version), version) for version in found[-2:]]


def _versions(history: History, scope: Scope) -> list[str]:
    from difyops.perf.facts import runs
    from difyops.perf.trend import publications

    return [item.version for item in publications(runs(history, scope))]


def _moment(text: str) -> float:
    try:
        found = datetime.fromisoformat(text)
    except ValueError as error:
        raise UsageError(f"{text!r} is not a time.", hint="Example: 2026-11-01..2026-11-08T12:00Z") from error
    return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()
