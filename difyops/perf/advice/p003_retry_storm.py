"""A node is retried so often that retries cost time: find out why it fails, and wait longer between attempts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from difyops.perf.advice import AdviceCase, AdviceFinding
from difyops.statistics import weighted_share

CATEGORY = "reliability"
LEAST = 20
_OFTEN = 0.05


def advise(case: AdviceCase) -> Iterator[AdviceFinding]:
    """Yield each node that is retried in more than one run of twenty, proven."""
    for node, rows in case.rows.items():
        pairs = [
            (one, bar)
            for one, line in zip(case.weights, case.lines, strict=True)
            for bar in line.bars
            if bar.node == node
        ]
        retried = sum(bar.retries > 0 for _, bar in pairs)
        found = weighted_share([(bar.retries > 0, one) for one, bar in pairs])
        if len(pairs) < LEAST or found is None or found[1].low < _OFTEN:
            continue
        share, sure = found
        lost = [sum(bar.retry_seconds for bar in line.bars if bar.node == node) for line in case.lines]
        weight = sum(case.weights)
        mean = sum(one * value for one, value in zip(case.weights, lost, strict=True)) / weight
        kinds = Counter(row.error_kind for read in case.reads for row in read.nodes if row.attempt and row.node == node)
        kind = kinds.most_common(1)[0][0] if kinds else ""
        name = case.title(node)
        yield AdviceFinding(
            id=f"P003:{node}", severity="high" if sure.low > 0.3 else "medium", n=len(pairs),
            gain=case.range_of(lost, "s a run", "without the failed attempts"),
            title=f"{name} is retried in {100 * share:.0f} % of its runs",
            evidence={
                "executions": len(pairs), "retried": retried, "at least (%)": round(100 * sure.low, 1),
                "seconds lost a run": round(mean, 3), "commonest error": kind or "unknown",
                "rows": len(rows),
            },
            steps=(
                f"Look at one such run: difyops perf path RUN (the commonest error is {kind or 'unknown'}).",
                "For rate limits: fewer calls at once, or a longer retry interval.",
                "For an endpoint that is down now and then: an error branch with a fallback instead of more retries.",
            ),
            example="retry: maximum 2, interval 3000 ms; on error: default value",
        )  # fmt: skip
