"""A node never ran: it cannot be reached, or its branch is never taken. Remove it, or find what should lead there."""

from __future__ import annotations

from collections.abc import Iterator

from difyops.perf.advice import AdviceCase, AdviceFinding
from difyops.statistics import clopper_pearson

CATEGORY = "best practices"
LEAST = 100
_STARTS = ("start", "trigger-webhook", "trigger-schedule", "trigger-plugin")
_SILENT = ("iteration-start", "loop-start", "loop-end", "note", "")


def advise(case: AdviceCase) -> Iterator[AdviceFinding]:
    """Yield each node that no run executed: at once when nothing leads to it, else after a hundred runs."""
    edges = (case.shape or {}).get("edges", ())
    version = max((read.run.version for read in case.reads), default="")
    reads = [read for read in case.reads if read.run.version == version]
    seen = {row.node for read in reads for row in read.nodes}
    reached = {node for node, shape in case.nodes.items() if shape.get("type") in (*_STARTS, *_SILENT)}
    while more := {target for source, target, _ in edges if source in reached} - reached:
        reached |= more
    for node, shape in case.nodes.items():
        if node in seen or shape.get("type") in (*_STARTS, *_SILENT):
            continue
        cut_off = node not in reached
        if not cut_off and len(reads) < LEAST:
            continue
        at_most = clopper_pearson(0, max(1, len(reads)))
        name = case.title(node)
        yield AdviceFinding(
            id=f"P010:{node}", severity="low" if cut_off else "info", n=len(reads), gain=None,
            title=f"{name} {'cannot be reached' if cut_off else 'was never executed'}",
            evidence={
                "runs": len(reads), "executions": 0,
                "at most (% of runs)": round(100 * at_most.high, 2) if at_most else 100.0,
            },
            steps=(
                f"Open the workflow and follow the edges to {name}.",
                "If the branch is for rare cases, test it once by hand; else remove it.",
            ),
            example="a condition that can never hold: {{#start.mode#}} is 'never'",
        )  # fmt: skip
