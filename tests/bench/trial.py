"""Trials of a smaller model: how often a loss as large as the margin passes, and how often an equal model does."""

from __future__ import annotations

import random

from difyops.evaluation.trial.verdict import NOT_WORSE, WORSE, TriedModel, find
from difyops.statistics import cases_for_margin
from tests.bench.table import Figure

ROUNDS = 1000
MARGIN, CHANGED, ALPHA = 0.05, 0.1, 0.05


def main() -> list[Figure]:
    """Draw trials of the number of cases that the plan asks for."""
    chance, cases = random.Random(12), cases_for_margin(MARGIN, CHANGED)
    loss = [_verdict(chance, cases, CHANGED / 2 + MARGIN / 2, CHANGED / 2 - MARGIN / 2) for _ in range(ROUNDS)]
    same = [_verdict(chance, cases, CHANGED / 2, CHANGED / 2) for _ in range(ROUNDS)]
    twice = [_verdict(chance, cases, 3 * MARGIN, MARGIN / 2) for _ in range(ROUNDS)]
    note = f"{cases} cases, margin 5 %, a tenth of them changing, {ROUNDS} trials"
    return [
        Figure("trials of a model that loses as much as the margin: called not worse", loss.count(NOT_WORSE) / ROUNDS,
               0.06, note),
        Figure("the same: called worse", loss.count(WORSE) / ROUNDS, 0.06),
        Figure("trials of an equal model: called not worse", same.count(NOT_WORSE) / ROUNDS, 0.75, least=True),
        Figure("trials of a model that loses 12.5 points: called worse", twice.count(WORSE) / ROUNDS, 0.8, least=True),
    ]  # fmt: skip


def _verdict(chance: random.Random, cases: int, broken: float, fixed: float) -> str:
    """Return the verdict of one drawn trial, in which so large shares of the cases break and are fixed."""
    drawn = chance.choices(("broken", "fixed", "same"), weights=(broken, fixed, 1 - broken - fixed), k=cases)
    words = {"broken": ("pass", "fail"), "fixed": ("fail", "pass"), "same": ("pass", "pass")}
    tried = [TriedModel(id=str(place), old=words[kind][0], new=words[kind][1]) for place, kind in enumerate(drawn)]
    return find("all", tried, margin=MARGIN, alpha=ALPHA).verdict
