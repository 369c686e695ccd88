"""A long prompt that begins the same in most calls: a provider's prompt cache charges less for that part."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from decimal import Decimal

from difyops.cost.advice import LEAST, MODEL_TYPES, AdviceNode, AppRecord, CostAdvice, Saving

_LONG = 4000  # characters: about the 1,024 tokens from which providers cache
_BEGINNING = 1024  # characters of which the history keeps a hash
_SAME = 0.8


def advise(record: AppRecord) -> Iterator[CostAdvice]:
    """Yield each model node whose long prompts begin alike; what is shared past 1,024 characters is not recorded."""
    for node in record.nodes.values():
        long = [call for call in node.calls if call.prompt_size >= _LONG and call.prefix and call.prompt]
        if node.type not in MODEL_TYPES or len(long) < LEAST:
            continue
        weights: dict[str, float] = defaultdict(float)
        for call in long:
            weights[call.prefix] += call.weight
        prefix, most = max(weights.items(), key=lambda item: item[1])
        share = most / sum(weights.values())
        if share < _SAME:
            continue
        same = [call for call in long if call.prefix == prefix]
        tokens = sum(call.weight * call.prompt for call in same) / sum(call.weight for call in node.calls)
        size = sum(call.weight * call.prompt_size for call in same) / sum(call.weight for call in same)
        yield CostAdvice(
            rule="stable_prefix", node=node.id, n=len(long), saving=_saving(record, node, tokens, size),
            title=f"{node.title} sends a long prompt that begins the same in {share:.0%} of its long calls",
            evidence={"long calls": len(long), "begin the same": len(same), "characters (mean)": round(size),
                      "tokens in, of a call": round(tokens, 1)},
            steps=(
                "Put what never changes first, and what changes (question, date, user) last.",
                "Switch prompt caching on at the provider, where it asks for it.",
                "Dify reports no cached tokens: look at the provider's invoice before and after.",
            ),
        )  # fmt: skip


def _saving(record: AppRecord, node: AdviceNode, tokens: float, size: float) -> Saving | None:
    """Return the least (the beginning that is known to be shared) and the most (the whole prompt)."""
    if node.rate is None or node.rate.cached is None:
        return None
    less = max(Decimal(0), node.rate.input - node.rate.cached)
    low = tokens * min(1.0, _BEGINNING / size)
    return Saving(
        low=record.per_thousand(node, low, less), high=record.per_thousand(node, tokens, less),
        currency=node.rate.currency, basis="the list's price of cached input, for 1,024 characters up to all",
    )  # fmt: skip
