"""The token limit of a model node is far above what it ever answered: lower it, and a runaway answer stays cheap."""

from __future__ import annotations

from collections.abc import Iterator

from difyops.counting import counted
from difyops.perf.advice import AdviceCase, AdviceFinding, Gain

CATEGORY = "cost"
LEAST = 50
_FAR = 4


def advise(case: AdviceCase) -> Iterator[AdviceFinding]:
    """Yield each node whose limit is four times its longest answer or more."""
    for node, shape in case.nodes.items():
        limit = shape.get("max_tokens")
        used = [row.completion_tokens for row in case.rows.get(node, ()) if row.completion_tokens]
        if not limit or len(used) < LEAST or limit < _FAR * max(used):
            continue
        name = case.title(node)
        yield AdviceFinding(
            id=f"P006:{node}", severity="info", n=len(used),
            gain=Gain(low=0.0, high=float(limit - 2 * max(used)), unit="tokens of one runaway answer",
                      basis="the limit as it is against twice the longest answer"),
            title=f"{name} may answer {counted(limit, 'token')} and never used more than {max(used)}",
            evidence={"calls": len(used), "limit": limit, "longest": max(used)},
            steps=(f"Set max_tokens of {name} to about {2 * max(used)}.", "Some providers count the limit against the"
                   " rate limit: a lower one lets more calls through."),
            example=f"max_tokens: {2 * max(used)}",
        )  # fmt: skip
