"""A node has two speeds (a cache, a cold start, two kinds of input): find out which, and serve the fast one."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from difyops.perf.advice import AdviceCase, AdviceFinding
from difyops.perf.facts import NodeFact

CATEGORY = "performance"
LEAST = 60
_APART = 3.0  # distance of the two middles in standard deviations (Ashman's D above 2 is a clear split)
_SMALLEST = 0.1


def advise(case: AdviceCase) -> Iterator[AdviceFinding]:
    """Yield each node whose times fall into two groups."""
    chance = {read.run.id for read, _ in case.by_chance}
    for node, rows in case.rows.items():
        fit = (row for row in rows if row.elapsed > 0.05 and row.status == "succeeded" and row.run in chance)
        times = sorted(row.elapsed for row in fit)
        found = _split(times)
        if found is None:
            continue
        cut, fast, slow, part, apart = found

        def as_fast(row: NodeFact, node: str = node, cut: float = cut, fast: float = fast) -> float:
            return fast / row.elapsed if row.node == node and row.elapsed > cut else 1.0

        gain = case.gain(as_fast, "if the slow calls were as fast as the others")
        name = case.title(node)
        yield AdviceFinding(
            id=f"P007:{node}", severity=case.severity(gain), n=len(times), gain=gain,
            title=f"{name} has two speeds: {fast:.3g} s and {slow:.3g} s",
            evidence={
                "calls": len(times), "fast (s)": round(fast, 3), "slow (s)": round(slow, 3),
                "slow share": round(part, 3), "distance (sd)": round(apart, 2),
            },
            steps=(
                f"Compare a fast run with a slow one: difyops perf path RUN, for runs above {cut:.3g} s in {name}.",
                "If the first call after a pause is slow, keep the endpoint warm.",
                "If one kind of input is slow, give it a branch of its own with a smaller model.",
            ),
            example=f"difyops perf nodes APP --since 1d  # p50 against p95 of {node}",
        )  # fmt: skip


def _split(times: Sequence[float]) -> tuple[float, float, float, float, float] | None:
    """Return (cut, fast, slow, share of slow, distance) of the best split of the logarithms, if they are two groups."""
    n = len(times)
    if n < LEAST:
        return None
    logs = [math.log(value) for value in times]
    total, squares, left, left_squares = math.fsum(logs), math.fsum(x * x for x in logs), 0.0, 0.0
    best, place = math.inf, 0
    for number in range(1, n):
        left += logs[number - 1]
        left_squares += logs[number - 1] ** 2
        if not _SMALLEST <= number / n <= 1 - _SMALLEST:
            continue
        inside = (left_squares - left**2 / number) + (squares - left_squares - (total - left) ** 2 / (n - number))
        if inside < best:
            best, place = inside, number
    if not place:
        return None
    fast, slow = math.fsum(logs[:place]) / place, math.fsum(logs[place:]) / (n - place)
    spread = math.sqrt(max(best, 1e-12) / n)
    apart = (slow - fast) / spread
    # halves of one bell are 2.7 of their own deviations apart: a gap between the groups is asked for as well
    gap = (logs[place] - logs[place - 1]) / spread
    if apart < _APART or gap < 0.5:
        return None
    return times[place - 1], math.exp(fast), math.exp(slow), (n - place) / n, apart
