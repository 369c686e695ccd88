"""How performance looks in text: tables with bars, a waterfall, sparklines; every figure with what it stands on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, fields

from difyops.clock import iso
from difyops.outcome import Block, Facts, Lines, Outcome, Table
from difyops.perf.advise import Advice, Advised, Dismissal
from difyops.perf.compare import Side, VersionsCompared
from difyops.perf.nodes import NodeProfile, Profile
from difyops.perf.report import BudgetSection, PerfReport
from difyops.perf.summary import PerfSummary, Period, SuccessRate
from difyops.perf.timeline import Timeline
from difyops.perf.trend import Trend, TrendChange
from difyops.perf.whatif import WhatIf
from difyops.render.bars import bar, sparkline, stretch
from difyops.render.perf_rows import node_row, percentile_columns, period_row
from difyops.statistics import Estimate, Interval, Quantile


def seconds(value: float | None) -> str | None:
    """Return a duration for people."""
    if value is None:
        return None
    if value >= 100:
        return f"{value:.0f} s"
    return f"{value:.2f} s" if value >= 1 else f"{value * 1000:.3g} ms"


def percentile(found: Quantile) -> str | None:
    """Return a percentile with its interval, where it has one."""
    if found.value is None:
        return None
    if found.interval is None:
        return seconds(found.value)
    return f"{seconds(found.value)} [{seconds(found.interval.low)}, {seconds(found.interval.high)}]"


def rate(found: SuccessRate) -> str | None:
    """Return a share with its interval."""
    if found.share is None:
        return None
    text = f"{100 * found.share:.1f} %"
    if found.interval is not None:
        text += f" [{100 * found.interval.low:.1f}, {100 * found.interval.high:.1f}]"
    return f"{text} of {found.n}"


def summary(result: PerfSummary) -> Outcome:
    """Show the summary of an app."""
    return Outcome(
        kind="perf.summary", data=result, blocks=summary_blocks(result), names=[result.name],
        records=[period_row(source, found) for source, found in (
            ("all", result.period), *result.sources.items(), ("the period before", result.before),
        )],
        summary=f"{result.period.runs} runs, {result.read} of them with their nodes",
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


def money(found: Estimate | None, currency: str) -> str | None:
    """Return an amount with its interval; an estimate says so."""
    if found is None:
        return None
    text = f"{found.total:.6g} {currency}"
    if found.exact or found.interval is None:
        return text + ("" if found.exact else f" (from {found.n} runs, no interval)")
    return f"about {text} [{found.interval.low:.6g}, {found.interval.high:.6g}] from {found.n} runs"


def share(found: Quantile) -> str | None:
    """Return a median share."""
    if found.value is None:
        return None
    text = f"{100 * found.value:.1f} % of a run"
    if found.interval is not None:
        text += f" [{100 * found.interval.low:.1f}, {100 * found.interval.high:.1f}]"
    return text


def nodes(result: Profile) -> Outcome:
    """Show all nodes."""
    return Outcome(
        kind="perf.nodes", data=result, blocks=[nodes_table(result.nodes)],
        records=[node_row(node) for node in result.nodes],
        names=[node.node for node in result.nodes],
        summary=f"{len(result.nodes)} nodes; path and drag from {result.lines} timelines; unattributed"
        f" {100 * result.unattributed_share:.1f} %",
    )  # fmt: skip


def nodes_table(found: Sequence[NodeProfile]) -> Table:
    """Return the table of nodes."""
    rows = [
        (
            node.title or node.node, node.type, node.n, percentile(node.at(0.5)) if node.percentiles else None,
            percentile(node.at(0.95)) if node.percentiles else None, rate(node.failures), node.retries or None,
            f"{100 * node.path_share:.0f} % {bar(node.path_share, 1.0, width=10)}", seconds(node.drag),
            None if node.tail is None else f"{node.tail:.1f}x", f"{round(100 * node.variance_share)} %",
        )
        for node in found
    ]  # fmt: skip
    columns = (
        "node", "type", "n", "p50", "p95", "failed", "retries", "critical path", "drag", "p99/p50", "of the spread",
    )  # fmt: skip
    return Table(columns=columns, rows=rows, empty="No node records were read: difyops history sync.")


def bottlenecks(result: Profile, found: Sequence[NodeProfile]) -> Outcome:
    """Show what would bring most."""
    largest = max((node.drag for node in found), default=0.0)
    rows = [
        (node.title or node.node, node.type, f"{seconds(node.drag)} {bar(node.drag, largest)}",
         f"{100 * node.path_share:.0f} %", percentile(node.at(0.95)) if node.percentiles else None)
        for node in found
    ]  # fmt: skip
    data = {"app": result.app, "name": result.name, "lines": result.lines, "nodes": found}
    return Outcome(
        kind="perf.bottlenecks", data=data, names=[node.node for node in found],
        records=[node_row(node) for node in found],
        blocks=[Table(columns=("node", "type", "a run would be shorter by", "of the path", "p95"), rows=rows,
                      empty="Nothing stands out, or no node records were read.")],
        summary=f"from {result.lines} timelines",
    )  # fmt: skip


def path(name: str, result: Timeline) -> Outcome:
    """Show one run as a waterfall."""
    facts: list[tuple[str, object]] = [
        ("app", name), ("run", result.run), ("version", result.version), ("took", seconds(result.total)),
        ("paused", seconds(result.paused) if result.paused else None), ("unattributed", seconds(result.unattributed)),
        ("graph", "known" if result.known else "not known: starts are guesses from the order"),
    ]  # fmt: skip
    return Outcome(
        kind="perf.path", data=result, blocks=[Facts(pairs=facts), waterfall(result)],
        names=[item.node for item in result.path], records=[asdict(item) for item in result.bars],
        summary="critical path: " + " > ".join(item.title or item.node for item in result.path),
    )  # fmt: skip


def waterfall(result: Timeline) -> Table:
    """Return the bars of a run; the critical ones are solid."""
    rows = [
        (
            ("  " if item.container else "") + (item.title or item.node), item.status, seconds(item.start),
            seconds(item.length), stretch(item.start, item.end, result.total, mark="█" if item.critical else "░"),
            "yes" if item.critical else None, seconds(item.drag) if item.critical else None, item.retries or None,
        )
        for item in sorted(result.bars, key=lambda item: (item.start, item.end))
    ]  # fmt: skip
    columns = ("node", "status", "begins", "takes", "when", "critical", "drag", "retries")
    return Table(columns=columns, rows=rows, empty="No node ran.")


def whatif(result: WhatIf) -> Outcome:
    """Show what a change would bring."""
    rows = [
        (f"p{100 * one.share:g}", percentile(one), percentile(two), _less(one.value, two.value))
        for one, two in zip(result.now, result.then, strict=True)
    ]
    return Outcome(
        kind="perf.whatif", data=result, names=[result.node],
        records=[{"at": at, "node": result.node, "factor": factor, "runs": result.runs, **percentile_columns(shares)}
                 for at, factor, shares in (("now", 1.0, result.now), ("then", result.factor, result.then))],
        blocks=[Table(columns=("runs", "now", f"{result.node} at {result.factor:g}", "change"), rows=rows)],
        summary=f"a run would be {seconds(result.saved) or '0 s'} shorter on average{_between(result.gain)};"
        f" from {result.runs} runs",
    )  # fmt: skip


def _less(one: float | None, two: float | None) -> str | None:
    return None if not one or two is None else f"{100 * (two / one - 1):+.1f} %"


def _between(found: Interval | None) -> str:
    return "" if found is None else f" ({seconds(found.low)} to {seconds(found.high)} for four runs of five)"


def trend(result: Trend) -> Outcome:
    """Show the series and what changed."""
    lines: list[tuple[str, str]] = [
        ("", f"p50  {sparkline([item.p50 for item in result.buckets])}"),
        ("", f"p95  {sparkline([item.p95 for item in result.buckets])}"),
        ("", f"runs {sparkline([float(item.n) for item in result.buckets])}"),
    ]
    lines += [("~", change_text(change)) for change in result.changes]
    said = f"{len(result.changes)} changes in {len(result.buckets)} stretches of {_length(result.seconds)}"
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
    text += f" {change.n_before} and {change.n_after} runs)"
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
    short = f"; {len(result.not_enough)} rules need more runs" if result.not_enough else ""
    return Outcome(
        kind="perf.advise", data=result, blocks=blocks, names=[item.id for item in result.advice],
        records=[asdict(item) for item in result.advice],
        summary=f"{len(result.advice)} pieces of advice, {len(result.dismissed)} dismissed, from {result.runs} runs,"
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
        summary=f"{result.summary.period.runs} runs, {len(result.advised.advice)} pieces of advice",
    )  # fmt: skip
