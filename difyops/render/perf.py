"""How performance looks in text: summary, series, two sides, advice, all of it; every figure with what it stands on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, fields

from difyops.clock import iso
from difyops.counting import counted
from difyops.outcome import Block, Facts, Lines, Outcome, Table
from difyops.perf.advise import Advice, Advised, Dismissal
from difyops.perf.compare import Side, VersionsCompared
from difyops.perf.report import BudgetSection, PerfReport
from difyops.perf.summary import PerfSummary, Period
from difyops.perf.trend import Trend, TrendChange
from difyops.render.bars import sparkline
from difyops.render.perf_figures import money, percentile, rate, seconds, share
from difyops.render.perf_nodes import nodes_table, path
from difyops.render.perf_rows import percentile_columns, period_row


def summary(result: PerfSummary) -> Outcome:
    """Show the summary of an app."""
    return Outcome(
        kind="perf.summary", data=result, blocks=summary_blocks(result), names=[result.name],
        records=[period_row(source, found) for source, found in (
            ("all", result.period), *result.sources.items(), ("the period before", result.before),
        )],
        summary=f"{counted(result.period.runs, 'run')}, {result.read} of them with their nodes",
    )  # fmt: skip


def summary_blocks(result: PerfSummary) -> list[Block]:
    """Return facts, sources and the period before."""
    now = result.period
    facts: list[tuple[str, object]] = [
        ("app", result.name), ("from", iso(now.since)), ("to", iso(now.until)), ("runs", now.runs),
        ("unfinished", result.waiting), ("success", rate(now.success)), ("retried", rate(now.retried)),
        ("shortest", seconds(now.minimum)), ("average", seconds(now.average)), ("longest", seconds(now.maximum)),
        *((f"p{100 * item.share:g}", percentile(item)) for item in now.percentiles),
        ("tokens", now.tokens), ("tokens a run", None if now.tokens_average is None else round(now.tokens_average, 1)),
        ("cost", money(result.cost, result.currency) if result.priced else "unpriced"),
        ("unattributed", share(result.unattributed)), ("repeated inputs", rate(result.repeats)),
    ]  # fmt: skip
    rows = [_period_row(name, found) for name, found in result.sources.items()]
    rows.append(_period_row("the period before", result.before))
    columns = ("runs by source", "runs", "success", "average", "p50", "p95", "tokens")
    return [Facts(pairs=facts), Table(columns=columns, rows=rows)]


def _period_row(name: str, found: Period) -> tuple[object, ...]:
    return (
        name, found.runs, rate(found.success), seconds(found.average), percentile(found.at(0.5)),
        percentile(found.at(0.95)), found.tokens,
    )  # fmt: skip


def trend(result: Trend) -> Outcome:
    """Show the series and what changed."""
    lines: list[tuple[str, str]] = [
        ("", f"p50  {sparkline([item.p50 for item in result.buckets])}"),
        ("", f"p95  {sparkline([item.p95 for item in result.buckets])}"),
        ("", f"runs {sparkline([float(item.n) for item in result.buckets])}"),
    ]
    lines += [("~", change_text(change)) for change in result.changes]
    said = (
        f"{counted(len(result.changes), 'change')} in"
        f" {counted(len(result.buckets), 'stretch', 'stretches')} of {_length(result.seconds)}"
    )
    return Outcome(
        kind="perf.trend", data=result, blocks=[Lines(lines=lines, title=result.name)], summary=said,
        names=[iso(change.at) for change in result.changes],
        records=[{"at": iso(item.at), "n": item.n, "failed": item.failed, "p50": item.p50, "p95": item.p95}
                 for item in result.buckets],
    )  # fmt: skip


def change_text(change: TrendChange) -> str:
    """Return a change as a sentence, with what was done shortly before."""
    one, two, word = change.p95_before, change.p95_after, "p95"
    if one.value is None or two.value is None:
        one, two, word = change.before, change.after, "p50"
    moved = "did not move"
    if one.value and two.value is not None and one.value != two.value:
        ratio = two.value / one.value - 1
        moved = f"{'rose' if ratio > 0 else 'fell'} {abs(100 * ratio):.0f} %"
    text = f"{iso(change.at)}: {word} {moved} ({seconds(one.value)} to {seconds(two.value)};"
    text += f" {change.n_before} and {counted(change.n_after, 'run')})"
    if change.cause is None:
        return text + ", nothing known was done in the day before"
    cause = change.cause
    what = f"the version of {cause.subject}" if cause.what == "version" else f"{cause.what} of {cause.subject}"
    by = f" by {cause.by}" if cause.by else ""
    return f"{text}, {_length(max(0.0, cause.seconds))} after {what}{by}"


def _length(value: float) -> str:
    for size, word in ((86400, "days"), (3600, "hours"), (60, "minutes")):
        if value >= size:
            number = value / size
            return f"{number:.3g} {word if number != 1 else word[:-1]}"
    return f"{value:.0f} seconds"


def compared(result: VersionsCompared) -> Outcome:
    """Show two sides and the verdict."""
    blocks: list[Block] = [
        Table(columns=("side", "runs", "p50", "p95", "p99", "failed"), rows=[_side(result.first), _side(result.second)])
    ]
    if result.times is not None:
        bounds = result.times.interval
        shown = f"{result.times.shift:+.4g} s" + (f" [{bounds.low:+.4g}, {bounds.high:+.4g}]" if bounds else "")
        blocks.append(
            Facts(pairs=[
                ("shift (median of all pairs)", shown), ("p (Mann-Whitney)", f"{result.times.p:.3g}"),
                ("Cliff's delta", round(result.times.delta, 3)),
            ])
        )  # fmt: skip
    if result.nodes:
        rows = [
            (item.node, item.comparison.n_first, item.comparison.n_second, f"{item.comparison.shift:+.4g} s",
             f"{item.comparison.p:.3g}")
            for item in result.nodes[:10]
        ]  # fmt: skip
        blocks.append(Table(columns=("node", "n", "n after", "shift", "p"), rows=rows))
    more = "; fails more often" if result.failing else ""
    return Outcome(
        kind="perf.compare", data=result, blocks=blocks, names=[result.verdict], error=result.error,
        records=[{"side": side.label, "n": side.n, **percentile_columns(side.percentiles), "failed": side.failures.hits,
                  "verdict": result.verdict} for side in (result.first, result.second)],
        summary=f"{result.second.label} against {result.first.label}: {result.verdict}{more}",
    )  # fmt: skip


def _side(side: Side) -> tuple[object, ...]:
    return (side.label, side.n, *(percentile(item) for item in side.percentiles), rate(side.failures))


def advised(result: Advised) -> Outcome:
    """Show advice, gravest first."""
    rows = [
        (item.severity, item.id, item.category, item.title, item.n, gain(item).removeprefix("; gain: ") or None)
        for item in result.advice
    ]
    lines: list[tuple[str, str]] = []
    for item in result.advice:
        lines.append(("!", f"{item.id} {item.title}: {evidence(item)}"))
        lines += [("", f"   {number}. {step}") for number, step in enumerate(item.steps, 1)]
        lines.append(("", f"   example: {item.example}"))
    blocks: list[Block] = [
        Table(columns=("severity", "id", "category", "what", "n", "gain"), rows=rows, empty="No advice.")
    ]
    if lines:
        blocks.append(Lines(lines=lines))
    short = f"; {counted(len(result.not_enough), 'rule needs', 'rules need')} more runs" if result.not_enough else ""
    return Outcome(
        kind="perf.advise", data=result, blocks=blocks, names=[item.id for item in result.advice],
        records=[asdict(item) for item in result.advice],
        summary=f"{counted(len(result.advice), 'piece')} of advice, {len(result.dismissed)} dismissed, from"
        f" {counted(result.runs, 'run')},"
        f" {result.read} with nodes{short}",
    )  # fmt: skip


def evidence(item: Advice) -> str:
    """Return the numbers behind a piece of advice."""
    return ", ".join(f"{name} {value:.4g}" if isinstance(value, float) else f"{name} {value}"
                     for name, value in item.evidence.items())  # fmt: skip


def gain(item: Advice) -> str:
    """Return what it would bring, as a range."""
    found = item.gain
    if found is None:
        return ""
    return f"; gain: {found.low:.3g} to {found.high:.3g} {found.unit} ({found.basis})"


def dismissed(finding: str, result: Dismissal) -> Outcome:
    """Show a dismissal."""
    pairs: list[tuple[str, object]] = [("id", finding), ("reason", result.reason), ("until", iso(result.until))]
    return Outcome(
        kind="perf.dismiss", data={"id": finding, "reason": result.reason, "until": result.until, "at": result.at},
        blocks=[Facts(pairs=pairs)], names=[finding], summary=f"dismissed {finding} until {iso(result.until)}",
    )  # fmt: skip


def budgets_table(found: Sequence[BudgetSection]) -> Table:
    """Return the error budgets over time."""
    rows = [
        (
            item.goal, item.verdict, f"{item.percent:g} % over {item.days} d",
            None if item.left is None else f"{100 * item.left:.1f} %",
            sparkline([max(0.0, left) for _, left in item.series]) if item.series else None,
        )
        for item in found
    ]  # fmt: skip
    return Table(columns=("error budget", "state", "target", "left", "by day"), rows=rows)


def report(result: PerfReport, cost: object = None, cost_blocks: Sequence[Block] = ()) -> Outcome:
    """Show everything, one block after the other; ``cost`` is another room's result, with how it looks."""
    blocks: list[Block] = [
        *summary_blocks(result.summary), *trend(result.trend).blocks, nodes_table(result.profile.nodes),
    ]  # fmt: skip
    if result.budgets:
        blocks.append(budgets_table(result.budgets))
    if result.example is not None:
        blocks += path(result.summary.name, result.example).blocks
    blocks += [*cost_blocks, *advised(result.advised).blocks]
    parts = {field.name: getattr(result, field.name) for field in fields(result)}
    return Outcome(
        kind="perf.report", data={**parts, "cost": cost}, blocks=blocks, names=[result.summary.name],
        summary=f"{counted(result.summary.period.runs, 'run')}, {counted(len(result.advised.advice), 'piece')}"
        " of advice",
    )  # fmt: skip
