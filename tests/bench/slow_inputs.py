"""A search for texts that take long to read: white space, quotes, brackets, fences, marks of reasoning, odd beginnings.

``BENCH_SLOW`` sets how many texts are tried beside each unit behind each beginning. Processor time, so that a busy
machine does not matter.
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Iterator
from typing import Any

from difyops.validation import compile_schema, enforce
from tests.bench.table import Figure

COUNT = int(os.environ.get("BENCH_SLOW", "300"))
SIZES = ((32_000, 0.2), (1_000_000, 2.0))
UNITS = (
    "\n", " ", "\t", '"', "'", "“", "`", "```", "```json\n", "~~~", "{", "}", "[", "]", ":", ",", "\\", '\\"', "//",
    "/*", "*/", "#", "<think>", "</think>", "<details>", "&quot;", "> ", "<!--", "-->", "a", "1", "null", "(", ")",
    "=>",
    "...", "{}", "[]", '{"a":1}', '"a":', "'a':", '"a",', "data: ", "event: ", "{a}", "[1]", "\ufeff", "\u200b", ",\n",
    "\\n",
    "\\u", "x ", "1,", "True", "`x`", "[/THINK]", "final:", "'a' ", "{1,", '{"a" 1,',
    '{"a": "x"},', '{"a" "b"}', "[[", '{"a":{', '"a":"x" "b":"y",', "“a”: “b”,", "'a': 'b',", "a: b,",
    '"x" + ',
    '"x"\n"y"\n', "1 2 ", "12 000,", "é", '"é', "&#34;", "<think>x</think>", "[THINK]",
    "◁think▷", '```json\n{"a":1}\n```\n',
    '> {"a":1}\n',
    '"""', '""', '"a""b"', "it's ", '5" ', "\\x41", "\\ud83d", "NaN,", "1e999,", ".5,", "0x1F,", "1_000,",
    'Final: {"a":"x"}\n',
    "[1](http://x) ", "{{x}} ", "// x\n", "…", "}{", "][", "},{", "}]", '":', '": "', '", "', "{a:1}", "(1,2),", "=>a,",
    "None ",
    '"a":1;', "：", "，", "｛", "\x00", "\xa0", "\r\n",
)  # fmt: skip
BEGINNINGS = (
    "", '{"a": "x"', "{", "```", "```json\n", "[1, ", '"', '{"a": "', "Sure: ", '{"a": [', "<think>", '{"a": 1}',
    '```json\n{"a": "x"}\n```',
)  # fmt: skip
ENDS = ("", "", '"', "}", "]", "\n```", '"}', 'x"')
SCHEMAS: tuple[dict[str, Any], ...] = (
    {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]},
    {"type": "array"},
    {"anyOf": [
        {"type": "object", "properties": {"a": {"$ref": "#"}}}, {"type": "array", "items": {"$ref": "#"}},
        {"type": "string"},
    ]},
)  # fmt: skip


def main() -> list[Figure]:
    """Return the processor time of the slowest text of each size."""
    judges = [compile_schema(schema) for schema in SCHEMAS]
    figures = []
    for size, limit in SIZES:
        every = 1 if size < 100_000 else 25
        worst, shown, tried = 0.0, "", 0
        for number, (begin, unit, end) in enumerate(_shapes()):
            if number % every:
                continue
            text = begin + unit * ((size - len(begin) - len(end)) // len(unit)) + end
            started = time.thread_time()
            enforce(text, judges[number % 3])
            spent, tried = time.thread_time() - started, tried + 1
            if spent > worst:
                worst, shown = spent, f"{begin!r} {unit!r} {end!r}"
        figures.append(Figure(f"s of the slowest text of {size // 1000} KB", worst, limit, f"of {tried}: {shown}"))
    return figures


def _shapes() -> Iterator[tuple[str, str, str]]:
    for begin in BEGINNINGS:
        yield from ((begin, unit, "") for unit in UNITS)
    rng = random.Random(2026)
    for _ in range(COUNT):
        yield rng.choice(BEGINNINGS), "".join(rng.choices(UNITS, k=rng.randrange(1, 4))), rng.choice(ENDS)
    for _ in range(COUNT // 3):  # mixtures of a few units, without a rhythm
        few = ["".join(rng.choices(UNITS, k=2)) for _ in range(3)]
        yield rng.choice(BEGINNINGS), "".join(rng.choices(few, k=400)), rng.choice(ENDS)
