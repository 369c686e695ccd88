"""Figures of validation: how often it is right, against the usual regex recipe and json-repair; how long it takes.

Times are ratios against baselines in the same run. ``BENCH_ANSWERS`` and ``BENCH_FUZZ`` set how much is measured.
"""

from __future__ import annotations

import json
import os
import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any

import json_repair
import jsonschema_rs
from tabulate import tabulate

from difyops.validation import compile_schema, enforce
from tests.bench.table import Figure
from tests.validation.corpus import SLIPS, Answer, answers
from tests.validation.fuzz import texts
from tests.validation.scoring import Way, json_repair_checked, ours, recipe, score

ANSWERS = int(os.environ.get("BENCH_ANSWERS", "5000"))
FUZZED = int(os.environ.get("BENCH_FUZZ", "100000"))
SEED = 2024
WAYS: tuple[tuple[str, Way], ...] = (
    ("difyops", ours),
    ("regex recipe", recipe),
    ("json-repair + schema check", json_repair_checked),
)
OUTCOMES = ("right", "wrong", "refused")


def main() -> list[Figure]:
    """Measure everything and return the figures."""
    corpus = list(answers(SEED, ANSWERS))
    mine = score(corpus, ours)
    note = f"{len(corpus)} answers with known truth"
    return [
        Figure("right", mine.share("right"), 0.95, note, least=True),
        Figure("wrong but valid", mine.share("wrong"), 0.005, note),
        Figure("refused though recoverable", mine.share("refused"), None, note),
        *valid_path(corpus),
        repair_path(corpus),
        Figure("foreign exceptions", float(foreign_exceptions(FUZZED)), 0.0, f"{FUZZED} fuzzed texts"),
    ]


def comparison(corpus: Sequence[Answer]) -> str:
    """Return the table of outcomes, one row for each way of reading."""
    scores = [(name, score(corpus, way)) for name, way in WAYS]
    rows = [(name, *(f"{result.share(outcome):.4f}" for outcome in OUTCOMES)) for name, result in scores]
    head = ("way", "right", "wrong but valid", "refused though recoverable")
    return tabulate(rows, headers=head, tablefmt="github", disable_numparse=True)


def by_kind(corpus: Sequence[Answer]) -> str:
    """Return the share of right answers for each kind of damage, one column for each way."""
    scores = [score(corpus, way) for _, way in WAYS]
    rows = [
        (kind, *(f"{result.kinds[kind]['right'] / result.kinds[kind].total():.2f}" for result in scores))
        for kind in sorted(scores[0].kinds)
    ]
    return tabulate(rows, headers=("damage", *(name for name, _ in WAYS)), tablefmt="github", disable_numparse=True)


def valid_path(corpus: Sequence[Answer]) -> list[Figure]:
    """Compare the time for valid answers with ``json.loads`` and a cached validator, of either library."""
    chosen = [answer for answer in corpus if answer.kind == "valid"]
    judges = [compile_schema(answer.schema) for answer in chosen]
    import jsonschema  # it compiles forty grammars for its formats, which takes seconds

    slow = [jsonschema.validators.validator_for(answer.schema)(answer.schema) for answer in chosen]
    fast = [jsonschema_rs.validator_for(answer.schema) for answer in chosen]
    pairs = list(zip(chosen, judges, slow, fast, strict=True))

    def mine() -> object:
        return [enforce(answer.text, judge) for answer, judge, _, _ in pairs]

    to_slow, spent = _ratio(mine, lambda: [check.is_valid(json.loads(item.text)) for item, _, check, _ in pairs])
    to_fast, _ = _ratio(mine, lambda: [check.is_valid(json.loads(item.text)) for item, _, _, check in pairs])
    each = f"{spent / len(pairs) * 1e6:.1f} us each"
    return [
        Figure("time, valid: of json.loads + cached jsonschema", to_slow, 1.2, each),
        Figure("time, valid: of json.loads + cached jsonschema-rs", to_fast, 1.2, each),
    ]


def repair_path(corpus: Sequence[Answer]) -> Figure:
    """Compare the time for damaged but recoverable answers with json-repair and a cached validator."""
    kinds = {damage.__name__ for damage in SLIPS}
    chosen = [answer for answer in corpus if answer.kind in kinds]
    pairs = [(a.text, compile_schema(a.schema), jsonschema_rs.validator_for(a.schema)) for a in chosen]
    ratio, spent = _ratio(
        lambda: [enforce(text, judge) for text, judge, _ in pairs],
        lambda: [_repaired(text, check) for text, _, check in pairs],
    )
    return Figure("time, repair: of json-repair + check", ratio, 1.0, f"{spent / len(pairs) * 1e6:.0f} us each")


def foreign_exceptions(count: int) -> int:
    """Count the fuzzed texts that end in an exception instead of a verdict."""
    judges: dict[int, Any] = {}
    failed = 0
    for text, schema in texts(SEED, count):
        judge = judges.setdefault(id(schema), compile_schema(schema))
        try:
            enforce(text, judge)
        except Exception:  # whatever it is, it is what is being counted
            failed += 1
    return failed


def _repaired(text: str, check: Any) -> bool:
    try:
        return bool(check.is_valid(json_repair.loads(text)))
    except ValueError:
        return False


def _ratio(mine: Callable[[], object], other: Callable[[], object], runs: int = 7) -> tuple[float, float]:
    """Return the median ratio of processor time over runs side by side, and our seconds."""
    ratios, seconds = [], []
    for _ in range(runs):
        one, two = _seconds(mine), _seconds(other)
        ratios.append(one / two)
        seconds.append(one)
    return statistics.median(ratios), min(seconds)


def _seconds(work: Callable[[], object]) -> float:
    started = time.process_time()
    work()
    return time.process_time() - started


if __name__ == "__main__":
    from tests.bench.table import table

    measured = list(answers(SEED, ANSWERS))
    print(comparison(measured), by_kind(measured), table(main()), sep="\n\n")
