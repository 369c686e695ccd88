"""An iteration works on its items one after the other although they are independent: let it work on several at once."""

from __future__ import annotations

from collections.abc import Iterator

from difyops.perf.advice import AdviceCase, AdviceFinding
from difyops.perf.timeline import Timeline

CATEGORY = "parallelization"
LEAST = 20
_AT_ONCE = 10


def advise(case: AdviceCase) -> Iterator[AdviceFinding]:
    """Yield each iteration that is sequential."""
    for node, shape in case.nodes.items():
        if shape.get("type") != "iteration" or shape.get("parallel"):
            continue
        saved = [_saved(line, node) for line in case.lines]
        n = sum(value > 0 for value in saved)
        gain = case.range_of(saved, "s a run", f"its rounds {_AT_ONCE} at a time")
        if n < LEAST or gain is None:
            continue
        name = case.title(node)
        yield AdviceFinding(
            id=f"P002:{node}", severity=case.severity(gain), n=n, gain=gain,
            title=f"{name} could work on its items side by side",
            evidence={"runs with two or more items": n, "average run (s)": round(case.average, 3)},
            steps=(
                f"Make sure that no item of {name} needs the result of another one.",
                f"Switch on parallel mode in {name}; begin with a small number.",
                "Watch the provider's rate limit: difyops perf advise shows retries as P003.",
            ),
            example="parallel mode: on, maximum parallelism: 5, error handling: continue on error",
        )  # fmt: skip


def _saved(line: Timeline, node: str) -> float:
    """Return what the rounds would save if they ran beside each other; the container must be on the critical path."""
    if not any(bar.node == node and bar.critical for bar in line.bars):
        return 0.0
    rounds: dict[int, tuple[float, float]] = {}
    for bar in line.bars:
        if bar.container == node and bar.round is not None:
            low, high = rounds.get(bar.round, (bar.start, bar.end))
            rounds[bar.round] = (min(low, bar.start), max(high, bar.end))
    lengths = [high - low for low, high in rounds.values()]
    if len(lengths) < 2:
        return 0.0
    waves = [lengths[at : at + _AT_ONCE] for at in range(0, len(lengths), _AT_ONCE)]
    return sum(lengths) - sum(max(wave) for wave in waves)
