"""The slowest runs are slow because of one model provider: have a fallback ready, or move the node elsewhere."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from difyops.perf.advice import AdviceCase, AdviceFinding
from difyops.perf.facts import NodeFact

CATEGORY = "reliability"
LEAST = 60
_MOST = 0.7


def advise(case: AdviceCase) -> Iterator[AdviceFinding]:
    """Yield the provider to which most of the extra time of the slowest twentieth goes."""
    lines = [line for _, line in case.by_chance]
    if len(lines) < LEAST:
        return
    provider_of = {row.id: row.provider for read in case.reads for row in read.nodes if row.provider}
    ordered = sorted(lines, key=lambda line: line.total)
    slow, usual = ordered[int(0.95 * len(ordered)) :], ordered[: int(0.5 * len(ordered))]
    extra = sum(line.total for line in slow) / len(slow) - sum(line.total for line in usual) / len(usual)
    spent: dict[str, list[float]] = defaultdict(lambda: [0.0, 0.0])
    for place, group in enumerate((usual, slow)):
        for line in group:
            for bar in line.bars:
                if bar.critical and bar.id in provider_of:
                    spent[provider_of[bar.id]][place] += bar.length / len(group)
    for provider, (before, after) in spent.items():
        part = (after - before) / extra if extra > 0 else 0.0
        if part < _MOST:
            continue

        def usual_speed(row: NodeFact, provider: str = provider, rate: float = before / after) -> float:
            return rate if row.provider == provider else 1.0

        yield AdviceFinding(
            id=f"P008:{provider}", severity="medium" if part > 0.85 else "low", n=len(lines),
            gain=case.gain(usual_speed, "if it were never slower than usual; most of it in the slowest runs"),
            title=f"{100 * part:.0f} % of what makes slow runs slow is {provider}",
            evidence={
                "runs": len(lines), "slow runs": len(slow), "usual (s)": round(before, 3),
                "in slow runs (s)": round(after, 3), "share of the tail": round(part, 3),
            },
            steps=(
                "Look at the provider's status page for those hours: difyops perf trend APP.",
                "Add a second credential or a fallback model, and a time-out in the node.",
                "difyops runbook run provider-outage walks through a switch with a way back.",
            ),
            example="difyops perf trend APP --since 7d",
        )  # fmt: skip
