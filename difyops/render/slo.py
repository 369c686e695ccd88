"""How goals look in text, and as cases for CI and monitoring."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from difyops.clock import iso
from difyops.counting import counted
from difyops.errors import AnswerIsNo, DifyopsError, PartialFailure
from difyops.outcome import Block, Facts, Lines, Outcome, Table
from difyops.perf.trend import Cause
from difyops.render.bars import sparkline
from difyops.render.cases import suite_of
from difyops.reports import Measure, ReportCase, Suite, Word
from difyops.slo.model import BURNING, NOT_ENOUGH, OK, GoalReport, GoalStatus
from difyops.slo.windows import span
from difyops.statistics import Interval

_WORDS: dict[str, Word] = {OK: "pass", BURNING: "fail", NOT_ENOUGH: "warn"}


def status(
    found: GoalReport, *, require_events: bool = False, kind: str = "slo.status", judged: bool = False
) -> Outcome:
    """Show the state of goals; ``judged``: with the exit code of a check."""
    shown = replace(found, goals=tuple(replace(goal, series=()) for goal in found.goals))
    few = [goal.goal for goal in found.goals if goal.verdict == NOT_ENOUGH]
    warnings = [f"{goal.goal}: {text}" for goal in found.goals for text in goal.warnings]
    if few and not require_events:
        warnings.insert(0, f"not enough events to judge: {', '.join(few)}")
    blocks: list[Block] = [_table(found.goals)]
    blocks += [_burning(goal) for goal in found.goals if goal.verdict == BURNING]
    counts = {word: sum(goal.verdict == word for goal in found.goals) for word in (OK, BURNING, NOT_ENOUGH)}
    return Outcome(
        kind=kind, data=shown, blocks=blocks, warnings=warnings, names=[goal.goal for goal in found.goals],
        records=[_row(goal) for goal in shown.goals],
        summary=", ".join(f"{count} {word}" for word, count in counts.items() if count),
        error=error_of(found, require_events=require_events) if judged else None,
    )  # fmt: skip


def report(found: GoalReport) -> Outcome:
    """Show everything about goals: budget over time, windows, apps, whose failures there were."""
    blocks: list[Block] = [_table(found.goals)]
    for goal in found.goals:
        blocks += [*budget_blocks(goal), _pairs(goal), _apps(goal), _classes(goal)]
        if goal.verdict == BURNING:
            blocks.append(_burning(goal))
    warnings = [f"{goal.goal}: {text}" for goal in found.goals for text in goal.warnings]
    return Outcome(
        kind="slo.report", data=found, blocks=blocks, warnings=warnings, names=[goal.goal for goal in found.goals]
    )


def budget_blocks(goal: GoalStatus) -> list[Block]:
    """Return the budget of a goal over time."""
    days = goal.series
    if not days:
        return [Facts(pairs=[("budget", "no events in the period")], title=goal.goal)]
    line = sparkline([max(0.0, day.left) for day in days])
    facts: list[tuple[str, object]] = [
        ("from", iso(goal.since)), ("to", iso(goal.until)), ("budget left, by day", line),
        ("left now", _percent(goal.left)),
    ]  # fmt: skip
    worst = sorted(days, key=lambda day: -day.bad)[:5]
    rows = [(iso(day.at)[:10], day.events, day.bad, _percent(day.left)) for day in worst if day.bad]
    table = Table(columns=("worst days", "events", "bad", "left after"), rows=rows, empty="No bad event.")
    return [Facts(pairs=facts, title=goal.goal), table]


def exported(text: str, form: str, goals: Sequence[str]) -> Outcome:
    """Hand out rules as they are."""
    data = {"format": form, "goals": list(goals), "text": text}
    return Outcome(
        kind="slo.export", data=data, raw=text.encode(), is_asked_for=True, names=list(goals), records=[data],
        blocks=[Lines(lines=[("", line) for line in text.splitlines()])],
        summary=f"{counted(len(goals), 'goal')} as {form} rules",
    )  # fmt: skip


def started(file: str, text: str, *, written: bool) -> Outcome:
    """Show a file of goals to begin with."""
    said = f"{file} was written; look at it, then: difyops slo check --goals {file}" if written else f"{file} would be:"
    lines = [("", line) for line in text.splitlines()]
    return Outcome(
        kind="slo.init", data={"file": file, "text": text, "written": written}, summary=said, names=[file],
        blocks=[] if written else [Lines(lines=lines)],
    )  # fmt: skip


def error_of(found: GoalReport, *, require_events: bool) -> DifyopsError | None:
    """Return the "no" (5) for goals that burn, 3 where events are required and missing."""
    burning = [goal for goal in found.goals if goal.verdict == BURNING]
    if burning:
        more = f" (and {len(burning) - 1} more)" if len(burning) > 1 else ""
        return AnswerIsNo(f"{burning[0].goal} burns its budget{more}. {burning[0].said}.", hint="difyops slo report")
    few = [goal for goal in found.goals if goal.verdict == NOT_ENOUGH]
    if few and require_events:
        return PartialFailure(f"{few[0].goal} cannot be judged: {few[0].said}.", hint="difyops history sync")
    return None


def slo_suite(found: GoalReport, *, require_events: bool) -> Suite:
    """Return goals as cases. Too few events are a warning, and unknown where they are required."""
    cases = [_case(goal, require_events=require_events) for goal in found.goals]
    burning = sum(goal.verdict == BURNING for goal in found.goals)
    values = (Measure(name="burning", value=burning, unit="goals", fail=0),)
    return suite_of("slo", found.context, f"{burning} of {counted(len(found.goals), 'goal')} burn", cases, values)


def _case(goal: GoalStatus, *, require_events: bool) -> ReportCase:
    word = _WORDS[goal.verdict]
    if goal.verdict == NOT_ENOUGH and require_events:
        word = "inconclusive"
    measures = [
        Measure(name="budget_left", value=None if goal.left is None else round(100 * goal.left, 3), unit="%"),
        Measure(name="good", value=None if goal.share is None else round(100 * goal.share, 5), unit="%"),
        Measure(name="events", value=goal.events, unit="events"),
        Measure(name="bad", value=goal.bad, unit="events"),
    ]
    for pair in goal.pairs:
        name = f"burn_{span(pair.long.hours)}"
        measures.append(Measure(name=name, value=None if pair.long.rate is None else round(pair.long.rate, 4)))
    if goal.totals is not None:
        measures.append(Measure(name="events_total", value=goal.totals[0], unit="events"))
        measures.append(Measure(name="bad_total", value=goal.totals[1], unit="events"))
    body = "; ".join(f"{part.name}: {part.bad} of {part.events} bad" for part in goal.apps[:10] if part.bad)
    return ReportCase(
        id=goal.goal, title=goal.goal, group=f"slo.{goal.kind}", word=word, text=f"{goal.verdict}: {goal.said}",
        body=body, measures=tuple(measures),
    )  # fmt: skip


def _table(goals: Sequence[GoalStatus]) -> Table:
    rows = [
        (
            goal.goal, goal.kind, goal.verdict, f"{goal.percent:g} % over {goal.days} d", _rate(goal), goal.events,
            goal.bad, _percent(goal.left), _fastest(goal),
        )
        for goal in goals
    ]  # fmt: skip
    columns = ("goal", "kind", "state", "target", "good", "events", "bad", "budget left", "burns")
    return Table(columns=columns, rows=rows, empty="There is no goal.")


def _row(goal: GoalStatus) -> dict[str, object]:
    return {
        "goal": goal.goal, "kind": goal.kind, "verdict": goal.verdict, "target": goal.percent, "days": goal.days,
        "good": goal.share, "events": goal.events, "bad": goal.bad, "left": goal.left, "classes": goal.classes,
    }  # fmt: skip


def _burning(goal: GoalStatus) -> Facts:
    pairs: list[tuple[str, object]] = [("why", goal.said)]
    if goal.burning_since is not None:
        pairs.append(("since", iso(goal.burning_since)))
    pairs.append(("after", _told(goal.cause)))
    for part in goal.apps[:5]:
        if part.bad:
            causes = ", ".join(f"{count}x {name}" for name, count in part.causes.items())
            pairs.append((part.name, f"{part.bad} of {part.events} bad ({causes})"))
    if goal.owner:
        pairs.append(("owner", goal.owner))
    return Facts(pairs=pairs, title=f"{goal.goal} burns")


def _told(cause: Cause | None) -> str:
    if cause is None:
        return "nothing that is known here was changed in the day before"
    by = f" by {cause.by}" if cause.by else ""
    return f"{cause.what} {cause.subject}{by} at {iso(cause.at)}, {max(0.0, cause.seconds) / 60:.0f} min before"


def _pairs(goal: GoalStatus) -> Table:
    rows = [
        (
            f"{pair.severity} {pair.speed}", span(pair.long.hours), span(pair.short.hours), round(pair.factor, 3),
            _burn(pair.long.rate, pair.long.interval), _burn(pair.short.rate, None), pair.long.n, pair.long.bad,
            pair.state,
        )
        for pair in goal.pairs
    ]  # fmt: skip
    columns = ("windows", "long", "short", "limit", "burn, long", "burn, short", "events", "bad", "state")
    return Table(columns=columns, rows=rows)


def _apps(goal: GoalStatus) -> Table:
    rows = [
        (part.name, part.events, part.bad, ", ".join(f"{n}x {name}" for name, n in part.causes.items()) or None)
        for part in goal.apps
    ]
    return Table(columns=("app", "events", "bad", "causes"), rows=rows)


def _classes(goal: GoalStatus) -> Table:
    return Table(columns=("whose", "runs"), rows=list(goal.classes.items()), empty="No run.")


def _burn(rate: float | None, interval: Interval | None) -> str | None:
    if rate is None:
        return None
    return f"{rate:.3g}" + (f" [{interval.low:.3g}, {interval.high:.3g}]" if interval else "")


def _fastest(goal: GoalStatus) -> str | None:
    known = [pair for pair in goal.pairs if pair.long.rate is not None and pair.state != NOT_ENOUGH]
    if not known:
        return None
    fastest = max(known, key=lambda pair: (pair.long.rate or 0.0) / pair.factor)
    return f"{fastest.long.rate or 0:.3g}x over {span(fastest.long.hours)}"


def _rate(goal: GoalStatus) -> str | None:
    if goal.share is None:
        return None
    text = f"{100 * goal.share:.2f} %"
    if goal.interval is not None:
        text += f" [{100 * goal.interval.low:.2f}, {100 * goal.interval.high:.2f}]"
    return text


def _percent(share: float | None) -> str | None:
    return None if share is None else f"{100 * share:.1f} %"
