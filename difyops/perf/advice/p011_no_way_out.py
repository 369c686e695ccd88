"""A node that calls others fails now and then and fails the run with it: retry it, or give it an error branch."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from difyops.perf.advice import AdviceCase, AdviceFinding, Gain
from difyops.statistics import wilson

CATEGORY = "reliability"
LEAST = 50
_CALLS = ("http-request", "llm", "tool", "agent", "knowledge-retrieval", "parameter-extractor", "question-classifier")


def advise(case: AdviceCase) -> Iterator[AdviceFinding]:
    """Yield each such node that failed without retries and without an error branch."""
    ended = [run for run in case.runs if run.status in ("succeeded", "partial-succeeded", "failed")]
    for node, rows in case.rows.items():
        shape = case.nodes.get(node, {})
        if rows[0].type not in _CALLS or shape.get("retries") or shape.get("on_error") or not shape:
            continue
        failed = [row for row in rows if row.status == "failed"]
        if len(ended) < LEAST or not failed:
            continue
        # every failed run was read: the count is the truth, not a sample's
        hits = len({row.run for row in failed})
        sure = wilson(hits, len(ended))
        if sure is None or sure.low < 0.002:
            continue
        kind, _ = Counter(row.error_kind for row in failed).most_common(1)[0]
        name = case.title(node)
        yield AdviceFinding(
            id=f"P011:{node}", severity="high" if sure.low > 0.05 else "medium" if sure.low > 0.01 else "low",
            n=len(ended),
            gain=Gain(low=100 * sure.low, high=100 * sure.high, unit="% of runs that would not fail",
                      basis="its failures as a share of all runs; a retry saves those that pass at the second try"),
            title=f"{name} fails {100 * hits / len(ended):.1f} % of runs and has no way out",
            evidence={"runs": len(ended), "failed there": hits, "commonest error": kind or "unknown"},
            steps=(
                f"Switch on retry in {name} (twice, some seconds apart): for rate limits and endpoints that are away.",
                "Give it an error branch or a default value, so that the run ends with an answer.",
            ),
            example="retry: on, maximum 2, interval 2000 ms; error handling: fail branch",
        )  # fmt: skip
