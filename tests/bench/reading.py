"""Figures of reading, on documents and schemas that others wrote: one slip, beginnings, wrappings, time.

What a text with one slip can mean is found by an exhaustive checker that knows nothing of difyops. ``BENCH_SLIPS`` and
``BENCH_PREFIXES`` set how much is measured; times are ratios against baselines in the same run.
"""

from __future__ import annotations

import json
import os
import random
import statistics
import time
from collections import Counter
from collections.abc import Callable
from functools import cache
from typing import Any

import jsonschema_rs

from difyops.validation import Schema, compile_schema, enforce
from tests.bench.table import Figure
from tests.validation import wrapping
from tests.validation.scoring import is_same
from tests.validation.wild import Document, cheapest, documents, slips

SLIPS = int(os.environ.get("BENCH_SLIPS", "6000"))
PREFIXES = int(os.environ.get("BENCH_PREFIXES", "20000"))
WRAPPED = int(os.environ.get("BENCH_WRAPPED", "6000"))
SEED = 2026
SMALL = 1_000
WRAPPINGS = (
    wrapping.fence, wrapping.unclosed_fence, wrapping.prose, wrapping.prose_with_brackets, wrapping.prose_and_fence,
    wrapping.bom, wrapping.encoded_twice, wrapping.escaped, wrapping.tool_call, wrapping.message, wrapping.repeated,
)  # fmt: skip


def main() -> list[Figure]:
    """Measure everything and return the figures."""
    return [*one_slip(), beginnings(), refused_valid(), *wrappings(), *valid_path()]


def one_slip() -> list[Figure]:
    """Sort texts with one slip by what an exhaustive checker reads in them, and count how each sort ends."""
    counts: Counter[tuple[str, str]] = Counter()
    for item, text in slips(SEED, SLIPS):
        judge = _judge(item.name)
        found = len(cheapest(text, judge.accepts))
        kind = ("none", "unique")[found] if found < 2 else "ambiguous"
        counts[kind, _outcome(text, judge, item.value)] += 1
    unique = sum(count for (kind, _), count in counts.items() if kind == "unique")
    ambiguous = sum(count for (kind, _), count in counts.items() if kind == "ambiguous")
    wrong = sum(count for (_, outcome), count in counts.items() if outcome == "wrong")
    note = f"{counts.total()} slips in public documents, {unique} with one reading"
    return [
        Figure("one slip, one reading: right", counts["unique", "right"] / unique, 0.97, note, least=True),
        Figure(
            "one slip, several readings: refused", counts["ambiguous", "refused"] / ambiguous, 0.99, note, least=True
        ),
        Figure("one slip: wrong but valid", wrong / counts.total(), 0.001, note),
    ]


def beginnings() -> Figure:
    """Count the beginnings of documents that are read as another document."""
    rng = random.Random(SEED)
    wrong = 0
    for _ in range(PREFIXES):
        item = rng.choice(documents())
        text = json.dumps(item.value, ensure_ascii=False, indent=rng.choice([None, None, 2]))[:20_000]
        wrong += _outcome(text[: rng.randrange(1, len(text))], _judge(item.name), item.value) == "wrong"
    return Figure("beginnings of documents read as another", float(wrong), 0.0, f"{PREFIXES} beginnings")


def refused_valid() -> Figure:
    """Count the valid documents that are not taken as they are."""
    taken = [enforce(json.dumps(item.value), _judge(item.name)).rung == "strict" for item in documents()]
    return Figure("valid documents refused", float(taken.count(False)), 0.0, f"{len(taken)} public documents")


def wrappings() -> list[Figure]:
    """Wrap documents as answers are wrapped, and count what is read."""
    rng = random.Random(SEED)
    counts: Counter[str] = Counter()
    known = [item for item in documents() if isinstance(item.value, dict | list)]
    for number in range(WRAPPED):
        item = rng.choice(known)
        made = WRAPPINGS[number % len(WRAPPINGS)](rng, item.value, item.schema)
        if made is not None:
            counts[_outcome(made[0], _judge(item.name), item.value)] += 1
    note = f"{counts.total()} wrapped public documents"
    return [
        Figure("wrapped: right", counts["right"] / counts.total(), 0.97, note, least=True),
        Figure("wrapped: wrong but valid", counts["wrong"] / counts.total(), 0.001, note),
    ]


def valid_path() -> list[Figure]:
    """Compare the time for valid documents, each with its own schema, with ``json.loads`` and jsonschema-rs."""
    large, small = [], []
    for item in documents():
        text = json.dumps(item.value)
        mine, other = _times(text, _judge(item.name), jsonschema_rs.validator_for(item.schema))
        if len(text) >= SMALL:
            large.append(mine / other)
        else:
            small.append((mine - other) * 1e6)
    awkward = [
        mine / other
        for mine, other in (
            _times(json.dumps(value), compile_schema(True), jsonschema_rs.validator_for(True))
            for value in ({"id": 2**70, "b": ["x"] * 40}, [{"id": 2**65 + n} for n in range(40)], {"q": 'a "b" ' * 200})
        )
    ]
    rest = f"of {len(large)} documents of 1 KB and more"
    return [
        Figure("time, valid: of json.loads + cached jsonschema-rs, median", statistics.median(large), 1.15, rest),
        Figure("us more below 1 KB, median", statistics.median(small), 1.0, f"of {len(small)} documents"),
        Figure("time, valid: integers beyond 64 bit, escapes", max(awkward), 1.5, "the worst of three texts"),
    ]


def _times(text: str, judge: Schema, validator: Any) -> tuple[float, float]:
    """Return the seconds that a text takes each way: the best of runs side by side."""
    rounds = max(1, 3_000 // len(text))
    mine = other = 1.0
    for _ in range(9):
        mine = min(mine, _seconds(lambda: enforce(text, judge), rounds))
        other = min(other, _seconds(lambda: validator.is_valid(json.loads(text)), rounds))
    return mine, other


def _seconds(work: Callable[[], object], rounds: int) -> float:
    started = time.perf_counter()
    for _ in range(rounds):
        work()
    return (time.perf_counter() - started) / rounds


def _outcome(text: str, judge: Schema, truth: object) -> str:
    verdict = enforce(text, judge)
    return "refused" if not verdict.ok else "right" if is_same(verdict.value, truth) else "wrong"


@cache
def _judges() -> dict[str, Schema]:
    first: dict[str, Document] = {}
    for item in documents():
        first.setdefault(item.name, item)
    return {name: compile_schema(item.schema) for name, item in first.items()}


def _judge(name: str) -> Schema:
    return _judges()[name]
