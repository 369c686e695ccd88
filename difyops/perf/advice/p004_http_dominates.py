"""An HTTP request is most of the critical path: the time is spent elsewhere, so cache it, shorten it, or move it."""

from __future__ import annotations

from collections.abc import Iterator

from difyops.perf.advice import AdviceCase, AdviceFinding
from difyops.perf.facts import NodeFact

CATEGORY = "performance"
LEAST = 20
_MOST = 0.4
_KINDS = ("http-request", "tool")


def advise(case: AdviceCase) -> Iterator[AdviceFinding]:
    """Yield each HTTP or tool node that is more than four tenths of the critical path."""
    for node, rows in case.rows.items():
        if rows[0].type not in _KINDS:
            continue
        shares = [
            (sum(bar.length for bar in line.bars if bar.node == node and bar.critical) / line.total, one)
            for one, line in zip(case.weights, case.lines, strict=True)
            if line.total > 0
        ]
        n = sum(share > 0 for share, _ in shares)
        mean = sum(share * one for share, one in shares) / sum(one for _, one in shares) if shares else 0.0
        if n < LEAST or mean < _MOST:
            continue

        def half(row: NodeFact, node: str = node) -> float:
            return 0.5 if row.node == node else 1.0

        gain = case.gain(half, "if it took half its time")
        name = case.title(node)
        yield AdviceFinding(
            id=f"P004:{node}", severity=case.severity(gain), n=n, gain=gain,
            title=f"{name} is {100 * mean:.0f} % of the time that runs take",
            evidence={"runs": n, "share of the run": round(mean, 3), "average run (s)": round(case.average, 3)},
            steps=(
                f"Measure the endpoint behind {name} by itself.",
                "Ask for less: fields, pages, a smaller time-out with a fallback.",
                "If its answers stay the same for a while, put a cache in front of it.",
                "If nothing needs it early, let it run beside the model node.",
            ),
            example=f"difyops perf whatif APP --node {node} --factor 0.5",
        )  # fmt: skip
