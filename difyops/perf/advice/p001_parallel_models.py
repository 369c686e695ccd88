"""Two model nodes follow each other and the second does not read what the first says: let them run side by side."""

from __future__ import annotations

from collections.abc import Iterator

from difyops.perf.advice import AdviceCase, AdviceFinding
from difyops.perf.timeline import Timeline

CATEGORY = "parallelization"
LEAST = 20
_MODELS = ("llm", "agent", "parameter-extractor", "question-classifier")


def advise(case: AdviceCase) -> Iterator[AdviceFinding]:
    """Yield each such pair."""
    edges = (case.shape or {}).get("edges", ())
    for source, target, _ in edges:
        one, two = case.nodes.get(source, {}), case.nodes.get(target, {})
        if one.get("type") not in _MODELS or two.get("type") not in _MODELS or source in two.get("reads", ()):
            continue
        if one.get("type") == "question-classifier" or sum(edge[1] == target for edge in edges) > 1:
            continue  # its answer decides whether the second runs at all; or others lead there too
        saved = [_shorter(line, source, target) for line in case.lines]
        n = sum(value > 0 for value in saved)
        gain = case.range_of(saved, "s a run", "the shorter of the two runs beside the longer")
        if n < LEAST or gain is None:
            continue
        first, second = case.title(source), case.title(target)
        yield AdviceFinding(
            id=f"P001:{source}:{target}", severity=case.severity(gain), n=n, gain=gain,
            title=f"{first} and {second} could run side by side",
            evidence={"runs with both": n, "average run (s)": round(case.average, 3)},
            steps=(
                f"Connect what leads to {first} to {second} as well.", f"Remove the edge from {first} to {second}.",
                "Join both in the node that needs them.",
            ),
            example=f"start -> {first} -> join; start -> {second} -> join",
        )  # fmt: skip


def _shorter(line: Timeline, source: str, target: str) -> float:
    lengths = {bar.node: bar.length for bar in line.bars if bar.critical}
    return min(lengths[source], lengths[target]) if source in lengths and target in lengths else 0.0
