"""A long prompt begins the same way every time: a provider's prompt cache makes that part cheaper and faster."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from difyops.perf.advice import AdviceCase, AdviceFinding, Gain

CATEGORY = "cost"
LEAST = 20
_LONG = 4000  # characters: about the 1,024 tokens from which providers cache
_SAME = 0.8


def advise(case: AdviceCase) -> Iterator[AdviceFinding]:
    """Yield each model node with a long prompt of which the beginning stays the same."""
    for node, rows in case.rows.items():
        long = [row for row in rows if row.prompt_size >= _LONG and row.prefix_hash]
        if len(long) < LEAST:
            continue
        _, same = Counter(row.prefix_hash for row in long).most_common(1)[0]
        if same / len(long) < _SAME:
            continue
        asked = [row.prompt_tokens for row in long if row.prompt_tokens]
        name = case.title(node)
        yield AdviceFinding(
            id=f"P005:{node}", severity="medium", n=len(long),
            gain=Gain(low=0.0, high=90.0, unit="% of the price of the prompt",
                      basis="providers charge a tenth to a half for cached tokens; how much is shared past the"
                            " beginning is not kept"),
            title=f"The prompt of {name} is long and begins the same in {100 * same / len(long):.0f} % of calls",
            evidence={
                "calls": len(long), "same beginning": same,
                "prompt tokens (mean)": round(sum(asked) / len(asked), 1) if asked else "unknown",
            },
            steps=(
                "Put what never changes first, and what changes (question, date, user) last.",
                "Choose a model or provider that caches prompts, and switch that on where it asks for it.",
                "Dify reports no cached tokens: check the provider's invoice.",
            ),
            example="system: <rules and documents>; user: {{#sys.query#}}",
        )  # fmt: skip
