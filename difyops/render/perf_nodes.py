"""How nodes look in text: a table with bars, bottlenecks, the waterfall of a run, what a faster node would bring."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

from difyops.counting import counted
from difyops.outcome import Facts, Outcome, Table
from difyops.render.bars import bar, stretch
from difyops.render.perf_figures import known_to, percentile, rate, seconds
from difyops.render.perf_rows import node_row, percentile_columns

if TYPE_CHECKING:
    from difyops.perf.nodes import NodeProfile, Profile
    from difyops.perf.timeline import Timeline
    from difyops.perf.whatif import WhatIf
    from difyops.statistics import Interval


def nodes(result: Profile) -> Outcome:
    """Show all nodes."""
    return Outcome(
        kind="perf.nodes", data=result, blocks=[nodes_table(result.nodes)],
        records=[node_row(node) for node in result.nodes],
        names=[node.node for node in result.nodes],
        summary=f"{counted(len(result.nodes), 'node')}; path and drag from"
        f" {counted(result.lines, 'timeline')}; unattributed"
        f" {100 * result.unattributed_share:.1f} %{_in_percent(result.unattributed_interval)}",
    )  # fmt: skip


def _in_percent(found: Interval | None) -> str:
    return f" [{100 * found.low:.1f}, {100 * found.high:.1f}]" if found else ""


def _retries(node: NodeProfile) -> str | None:
    if not node.retries:
        return None
    between = node.retries_interval
    return f"{node.retries} [{between.low:.0f}, {between.high:.0f}]" if between else str(node.retries)


def nodes_table(found: Sequence[NodeProfile]) -> Table:
    """Return the table of nodes."""
    rows = [
        (
            node.title or node.node, node.type, node.n, percentile(node.at(0.5)) if node.percentiles else None,
            percentile(node.at(0.95)) if node.percentiles else None, rate(node.failures), _retries(node),
            f"{100 * node.path_share:.0f} % {bar(node.path_share, 1.0, width=10)}",
            known_to(node.drag, node.drag_interval),
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
        (node.title or node.node, node.type, f"{known_to(node.drag, node.drag_interval)} {bar(node.drag, largest)}",
         f"{100 * node.path_share:.0f} %", percentile(node.at(0.95)) if node.percentiles else None)
        for node in found
    ]  # fmt: skip
    data = {"app": result.app, "name": result.name, "lines": result.lines, "nodes": found}
    return Outcome(
        kind="perf.bottlenecks", data=data, names=[node.node for node in found],
        records=[node_row(node) for node in found],
        blocks=[Table(columns=("node", "type", "a run would be shorter by", "of the path", "p95"), rows=rows,
                      empty="Nothing stands out, or no node records were read.")],
        summary=f"from {counted(result.lines, 'timeline')}",
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
        f" from {counted(result.runs, 'run')}",
    )  # fmt: skip


def _less(one: float | None, two: float | None) -> str | None:
    return None if not one or two is None else f"{100 * (two / one - 1):+.1f} %"


def _between(found: Interval | None) -> str:
    return "" if found is None else f" ({seconds(found.low)} to {seconds(found.high)} for four runs of five)"
