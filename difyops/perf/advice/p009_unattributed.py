"""More than a fifth of the time belongs to no node: runs wait for a worker, or for variables to be stored."""

from __future__ import annotations

from collections.abc import Iterator

from difyops.perf.advice import AdviceCase, AdviceFinding
from difyops.statistics import weighted_quantile

CATEGORY = "scalability"
LEAST = 20
_MUCH = 0.2


def advise(case: AdviceCase) -> Iterator[AdviceFinding]:
    """Yield one finding when the median share is above a fifth, with its whole interval."""
    pairs = [
        (line.unattributed / line.total, one)
        for line, one in zip(case.lines, case.weights, strict=True)
        if line.total > 0
    ]
    if len(pairs) < LEAST:
        return
    found = weighted_quantile(pairs, 0.5)
    if found.value is None or found.interval is None or found.interval.low < _MUCH:
        return
    gain = case.range_of([line.unattributed for line in case.lines], "s a run", "if nothing waited at all: the most")
    yield AdviceFinding(
        id="P009", severity="high" if found.value > 0.5 else "medium", n=len(pairs), gain=gain,
        title=f"{100 * found.value:.0f} % of the time of a run belongs to no node",
        evidence={
            "runs": len(pairs), "median share": round(found.value, 3), "at least": round(found.interval.low, 3),
            "average run (s)": round(case.average, 3),
        },
        steps=(
            "Compare with the load: does it grow when many runs go on at once (P012)?",
            "Count workers and their concurrency: difyops runbook run queue-backlog.",
            "Large variables are stored between nodes: pass on less, and keep files out of them.",
        ),
        example="CELERY_WORKER_AMOUNT=8, SERVER_WORKER_AMOUNT=2",
    )  # fmt: skip
