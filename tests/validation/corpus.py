"""Answers with known truth: values that satisfy a schema, damaged in every way models are known to damage them.

``answers(seed, count)`` is deterministic. Each answer carries the value it was made from and whether that value can
still be known (``gone`` when the damage destroyed a part of it, so that refusing is the right thing to do).
The damages work on text and know nothing about how validation repairs it.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from tests.validation import losses as lost
from tests.validation import slips, wrapping
from tests.validation.truths import MAKERS


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """``truth`` is what the model meant; ``gone`` says that the text no longer tells."""

    kind: str
    text: str
    schema: dict[str, Any]
    truth: Any
    gone: bool = False


Damage = Callable[[random.Random, Any, dict[str, Any]], "tuple[str, bool] | None"]


WHOLE: tuple[Damage, ...] = (wrapping.valid,)
WRAPPED: tuple[Damage, ...] = (
    wrapping.fence, wrapping.unclosed_fence, wrapping.prose, wrapping.prose_with_brackets, wrapping.prose_and_fence,
    wrapping.thinking, wrapping.thinking_without_start, wrapping.bom, wrapping.encoded_twice, wrapping.escaped,
    wrapping.tool_call, wrapping.message, wrapping.other_thinking, wrapping.example_and_answer, wrapping.repeated,
)  # fmt: skip
SLIPS: tuple[Damage, ...] = (
    slips.trailing_comma, slips.python_repr, slips.python_literals, slips.single_quotes,
    slips.single_quotes_with_apostrophes, slips.smart_quotes, slips.backticks, slips.unquoted_keys, slips.comments,
    slips.missing_comma, slips.raw_newlines, slips.unescaped_quotes, slips.unescaped_backslashes,
    slips.escaped_apostrophes, slips.double_comma, slips.wrong_colons, slips.wide_punctuation, slips.odd_spaces,
    slips.extra_closer, slips.missing_last_closer, slips.missing_bracket, slips.wrong_bracket, slips.missing_quote,
    slips.unquoted_words, slips.odd_numbers, slips.joined_texts,
)  # fmt: skip
GONE: tuple[Damage, ...] = (
    lost.cut, lost.cut_in_fence, lost.echo, lost.refusal, lost.nothing, lost.two_answers, lost.corrected_badly,
    lost.cut_in_quotation, lost.repeated_key,
    lost.not_a_number, lost.left_out, lost.value_missing, lost.wrong_type, lost.half_surrogate,
)  # fmt: skip
KINDS = WHOLE + WRAPPED + SLIPS + GONE


def wrapped_slip(rng: random.Random, value: Any, schema: dict[str, Any]) -> tuple[str, bool] | None:
    """Put a damaged text into a fence or between prose."""
    made = rng.choice(SLIPS)(rng, value, schema)
    if made is None:
        return None
    text, gone = made
    wrap = rng.choice(["```json\n{}\n```", "Here it is:\n\n{}\n\nDone.", "{}\n\nLet me know!", "<think>ok</think>\n{}"])
    return wrap.replace("{}", text), gone


def answers(seed: int = 1, count: int = 2_400) -> Iterator[Answer]:
    """Yield ``count`` answers, every kind of damage equally often."""
    rng = random.Random(seed)
    kinds = (*KINDS, wrapped_slip, wrapped_slip, wrapped_slip)
    made = 0
    while made < count:
        damage = kinds[made % len(kinds)]
        schema, maker = rng.choice(MAKERS)
        truth = maker(rng)
        result = damage(rng, truth, schema)
        if result is not None:
            text, gone = result
            yield Answer(kind=damage.__name__, text=text, schema=schema, truth=truth, gone=gone)
            made += 1
