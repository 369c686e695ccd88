"""Runs take longer when others go on at the same time: the instance, or the provider, is at its limit."""

from __future__ import annotations

import bisect
from collections.abc import Iterator

from difyops.perf.advice import AdviceCase, AdviceFinding, Gain
from difyops.statistics import mann_whitney

CATEGORY = "scalability"
LEAST = 100


def advise(case: AdviceCase) -> Iterator[AdviceFinding]:
    """Yield one finding when the busiest third takes longer than the quietest, proven and by a tenth or more."""
    timed = [run for run in case.runs if run.elapsed and run.status in ("succeeded", "partial-succeeded")]
    if len(timed) < LEAST:
        return
    ends = sorted(run.started + (run.elapsed or 0.0) for run in timed)
    pairs = []
    for number, run in enumerate(sorted(timed, key=lambda run: run.started)):
        pairs.append((number - bisect.bisect_right(ends, run.started), run.elapsed or 0.0))
    loads = sorted(load for load, _ in pairs)
    low, high = loads[len(loads) // 3], loads[-(len(loads) // 3) - 1]
    if high <= low:
        return  # the load hardly differs: nothing can be told
    quiet = sorted(length for load, length in pairs if load <= low)  # by load alone: among equals none is chosen
    busy = [length for load, length in pairs if load >= high]
    found = mann_whitney(quiet, busy)
    middle = quiet[len(quiet) // 2]
    if found is None or found.interval is None or found.p >= 0.001 or found.interval.low < 0.1 * middle:
        return
    yield AdviceFinding(
        id="P012", severity="high" if found.shift > middle else "medium", n=len(timed),
        gain=Gain(low=found.interval.low, high=found.interval.high, unit="s a run in busy times",
                  basis="busy runs against quiet ones (median of all pairs, 95 %)"),
        title=f"Runs take {found.shift:.3g} s longer when {high} or more go on at once",
        evidence={
            "runs": len(timed), "quiet (runs at once)": low, "busy (runs at once)": high,
            "shift (s)": round(found.shift, 3), "p": found.p,
        },
        steps=(
            "See where: difyops perf nodes APP; if it is unattributed time, workers are missing (P009).",
            "If it is a model node, the provider's rate limit is near: spread the calls, or ask for a higher one.",
            "Set the app's maximum of active requests, so that others keep their share.",
        ),
        example="difyops perf compare APP 2026-11-02T09..2026-11-02T11 2026-11-02T20..2026-11-02T22",
    )  # fmt: skip
