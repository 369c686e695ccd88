"""A model node is asked the same again and again: an answer kept for a while would save the call."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from difyops.perf.advice import AdviceCase, AdviceFinding
from difyops.perf.facts import NodeFact
from difyops.statistics import wilson

CATEGORY = "cost"
LEAST = 100
_OFTEN = 0.2


def advise(case: AdviceCase) -> Iterator[AdviceFinding]:
    """Yield each model node of which a fifth of the calls or more repeat an input, among those read by chance."""
    chance = [read for read, _ in case.by_chance]
    for node in case.rows:
        calls = [
            row for read in chance for row in read.nodes if row.node == node and not row.attempt and row.prompt_size
        ]
        if len(calls) < LEAST or calls[0].type != "llm":
            continue
        counts = Counter(row.input_hash for row in calls if row.input_hash)
        repeats = sum(count - 1 for count in counts.values())
        sure = wilson(repeats, len(calls))
        if sure is None or sure.low < _OFTEN:
            continue
        again = {row.id for row in calls if counts[row.input_hash] > 1}

        def answered(row: NodeFact, again: frozenset[str] = frozenset(again)) -> float:
            return 0.0 if row.id in again else 1.0

        name = case.title(node)
        yield AdviceFinding(
            id=f"P013:{node}", severity="medium" if sure.low > 0.4 else "low", n=len(calls),
            gain=case.gain(answered, "if a repeated call took no time; the first one of each still does"),
            title=f"{100 * repeats / len(calls):.0f} % of the calls of {name} repeat an input",
            evidence={
                "calls": len(calls), "repeats": repeats, "different inputs": len(counts),
                "at least (%)": round(100 * sure.low, 1),
            },
            steps=(
                "Dify keeps no answers of nodes: keep them where the call comes from, or in a node before this one.",
                "Repeats among sampled runs are fewer than among all runs: the true share is higher.",
            ),
            example="http-request to a small cache -> if-else: found -> answer, else -> model",
        )  # fmt: skip
