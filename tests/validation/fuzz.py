"""Hostile and random texts: for everything in here the room must answer with a verdict, never with an exception."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

from tests.validation.corpus import KINDS
from tests.validation.truths import MAKERS

_BITS = (
    "{", "}", "[", "]", ":", ",", '"', "'", "“", "”", "`", "```", "```json\n", "~~~", "\\", "\\u", "\\ud800", "\\x4",
    "//", "/*", "*/", "#", "<!--", "<think>", "</think>", "null", "true", "None", "NaN", "-", "+", "0", "007", "1e999",
    "1,000", ".5", "...", "…", "\n", "\t", "\x00", "\ufeff", "\u200b", "\ud800", "\U0001f389", "a", "id", '"id"',
    '"title":', "(", ")", "=>", "=", "：", "，", "&quot;", '{"', '"}', '":', '","', "{{", "}}", "> ", '{"arguments":',
    "$ref", "\x85", "٣",
)  # fmt: skip
DEEP = (
    "[" * 100_000, "{" * 100_000, '{"a":' * 100_000, "[" * 100_000 + "]" * 100_000, '"' * 100_000, "\\" * 100_000,
    '{"' * 50_000, '["' * 50_000, "{'a':'" + "'" * 50_000, "/*" * 50_000, "<think>" * 20_000, "{" + "," * 100_000,
    '{"a"' + ":" * 100_000, '{"a":' + "1" * 100_000, "{{" * 50_000, "&quot;{" * 20_000, '{\\"a\\":' * 20_000,
    "text { and } [see] " * 10_000, '{"id":1,} ' * 5_000, '{"arguments":' * 190 + "1" + "}" * 190,
    "```" + "\n" * 100_000, "```json" + " " * 100_000 + "x",
    '"a":' * 50_000, "> {" * 30_000, "{" + "1," * 50_000, '{"a": "x"} ' * 5_000, '{"a":"x"' + ",\n" * 50_000 + '"',
    '{"a": "x", "b": [' + "/*1." * 8_000, '{"a": "' + '\\"' * 16_000 + "]", '{"b": [' + '\\"{}{' * 8_000,
    "[" + "(" * 50_000, '{"a": ' + "b " * 50_000, "{'a': '" + "\\'" * 50_000, "\ufeff" * 50_000,
    "{“a”: “" + "”" * 50_000,
    '{"a": "' + '", ' * 30_000, '{"a": "x" ' + "// y\n" * 30_000, "{a b c: 1, " * 20_000, "[[1], " * 20_000,
    '[[[' + "}[" * 15_000 + 'x"', '{"a": ' + '"a":1;{"a" "b"}][' * 1_000, "```" + "{a}" * 10_000,
    "[[[" + "}{.5," * 4_000,
    '"' + 'None # x\n{"a": "x", "b": ["y", "z"}, ...é<think>x</think>' * 300, '{"a": "x' + '" + "y' * 20_000,
)  # fmt: skip


def texts(seed: int, count: int) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield ``count`` texts, each with a schema: random pieces, and damaged answers damaged again."""
    rng = random.Random(seed)
    for number in range(count):
        schema, maker = rng.choice(MAKERS)
        if number % 2:
            yield "".join(rng.choices(_BITS, k=rng.randrange(1, 30))), schema
            continue
        made = rng.choice(KINDS)(rng, maker(rng), schema)
        text = made[0] if made is not None else '{"a": 1}'
        for _ in range(rng.randrange(1, 5)):
            location = rng.randrange(len(text) + 1)
            text = text[:location] + rng.choice(_BITS) + text[location + rng.randrange(3) :]
        yield text, schema
