"""A smaller model: the plan of ``cost.tier``, its trial, and what it saves in a month of recorded traffic.

The saving is a range: the list's prices of recorded tokens with their interval, once with as many tokens as before and
once with as many as the trial saw the other model use.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from difyops.cost.diff import CostSum
from difyops.cost.money import tidy
from difyops.cost.tier import TierPlan
from difyops.counting import counted
from difyops.errors import DifyopsError, PartialFailure
from difyops.evaluation.cases import Case
from difyops.evaluation.trial.run import Trial
from difyops.evaluation.trial.verdict import TrialFinding, TriedModel
from difyops.statistics import fewest_for_margin, margin_of_cases
from difyops.statistics.distributions import student_value

_PER = 1000
_MONTH = 30
MONTH, THOUSAND = "a month", "1,000 runs"


@dataclass(frozen=True, slots=True, kw_only=True)
class TierSaving:
    """What is saved, below zero where it costs more. ``of``: a month of traffic as recorded, or 1,000 runs where less
    than a day is. ``name``: a class of cases, or all.
    """

    name: str
    currency: str
    low: Decimal
    high: Decimal
    of: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TierTest(TierPlan):
    """The plan, what there is to ask (``cases``; ``price`` and ``tokens``: of asking both sides these, about), and the
    trial once it was made.

    ``ratio``: tokens of the other model to those of the one that is live, as the trial saw them. ``notes``: what is to
    be known of the cases.
    """

    cases: int = 0
    price: Mapping[str, Decimal] = dataclasses.field(default_factory=dict)
    tokens: int | None = None
    trial: Trial | None = None
    savings: tuple[TierSaving, ...] = ()
    ratio: float | None = None
    not_tried: str = ""
    notes: tuple[str, ...] = ()

    @property
    def error(self) -> DifyopsError | None:
        """Return the trial's; 3 where the cases are too few for any result, so that none was asked."""
        if self.not_tried:
            return PartialFailure(f"{self.model}: not enough to say: {self.not_tried}")
        return self.trial.error if self.trial else None


def planned(
    plan: TierPlan, cases: Sequence[Case] = (), *, tokens: float | None = None, notes: Sequence[str] = ()
) -> TierTest:  # fmt: skip
    """Return the plan with what asking these cases costs. ``tokens``: what a recorded run used in the mean."""
    known = {field.name: getattr(plan, field.name) for field in dataclasses.fields(TierPlan)}
    price = {currency: tidy(round(amount / plan.needed * len(cases), 6)) for currency, amount in plan.costs.items()}
    used = round(2 * len(cases) * tokens) if tokens and cases else None
    return TierTest(**known, cases=len(cases), price=price if cases else {}, tokens=used, notes=tuple(notes))


def too_few(test: TierTest) -> str:
    """Say why asking these cases shows nothing, whatever they answer; blank where it may."""
    fewest = fewest_for_margin(test.margin)
    if test.cases >= fewest:
        return ""
    return (
        f"there are {counted(test.cases, 'case')}; {test.margin:.1%} takes {fewest - test.cases} more even if"
        " none changes, about "
        f"{test.needed} in all as a rule (--margin {math.ceil(margin_of_cases(test.cases) * 100)}% could be shown)"
        if test.cases
        else "there is no case"
    )


def tested(test: TierTest, trial: Trial, *, sampled: bool) -> TierTest:
    """Return the plan with its trial and the savings. ``sampled``: the cases are runs as they came, so that the share
    of a class among them is its share of the traffic.
    """
    ratio = _ratio(trial.pairs)
    savings = [_saving("all", item, test, ratio, 1.0) for item in test.saves]
    if sampled:
        shares = _shares(trial)
        savings += [
            _saving(found.name, item, test, ratio, shares[found.name])
            for item in test.saves
            for found in trial.classes
            if shares.get(found.name)
        ]
    middle = ratio[1] if ratio else None
    return dataclasses.replace(test, trial=trial, savings=tuple(savings), ratio=round(middle, 4) if middle else None)


def fits(test: TierTest) -> list[TrialFinding]:
    """Return the classes in which the other model is proven to be no worse."""
    return [item for item in test.trial.classes if item.verdict == "not worse"] if test.trial else []


def _saving(
    name: str, item: CostSum, test: TierTest, ratio: tuple[float, float, float] | None, share: float
) -> TierSaving:  # fmt: skip
    recorded = test.difference
    by_month = recorded.days >= 1
    factor = (recorded.all_runs / recorded.days * _MONTH / _PER if by_month else 1.0) * share
    reach = (item.high - item.low) / 2 if item.low is not None and item.high is not None else Decimal(0)
    differences = [item.before - item.after * Decimal(repr(factor)) for factor in (1.0, *(ratio or ()))]
    return TierSaving(
        name=name, currency=item.currency, low=_scaled(min(differences) - reach, factor),
        high=_scaled(max(differences) + reach, factor), of=MONTH if by_month else THOUSAND,
    )  # fmt: skip


def _scaled(amount: Decimal, factor: float) -> Decimal:
    return tidy(round(amount * Decimal(repr(factor)), 6))


def _shares(trial: Trial) -> dict[str, float]:
    """Return which share of the tokens that the live model used each class took."""
    tokens = _sums(trial.pairs, lambda item: item.kind)
    total = sum(tokens.values())
    return {kind: count / total for kind, count in tokens.items()} if total else {}


def _sums(pairs: Sequence[TriedModel], key: Callable[[TriedModel], str]) -> dict[str, int]:
    found: dict[str, int] = {}
    for item in pairs:
        found[key(item)] = found.get(key(item), 0) + (item.tokens_old or 0)
    return found


def _ratio(pairs: Sequence[TriedModel]) -> tuple[float, float, float] | None:
    """Return the ratio of tokens, new to old, between the limits of its 95 % interval; ``None`` where none is told."""
    both = [(item.tokens_old, item.tokens_new) for item in pairs if item.tokens_old and item.tokens_new]
    if len(both) < 2:
        return None
    total = sum(old for old, _ in both)
    ratio = sum(new for _, new in both) / total
    spread = sum((new - ratio * old) ** 2 for old, new in both) * len(both) / (len(both) - 1)
    reach = student_value(0.95, len(both) - 1) * math.sqrt(spread) / total
    return max(0.0, ratio - reach), ratio, ratio + reach
