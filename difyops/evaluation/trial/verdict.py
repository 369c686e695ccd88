"""Not worse, worse, or not enough: the pairs of a class against a margin that was said before. Pure.

not worse   even the lower limit of the difference loses fewer cases than the margin allows
worse       even the upper limit loses more
not enough  neither is proven; or too many pairs could not be judged; or the version that is live passes so few cases
            that passing says nothing
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from difyops.counting import counted
from difyops.evaluation.checks import NOT_JUDGED, PASS
from difyops.statistics import cases_for_margin, fewest_for_margin, margin_limits

NOT_WORSE, WORSE, NOT_ENOUGH = "not worse", "worse", "not enough"
MOST_LEFT_OUT = 0.1  # of the cases: more may hide what is worse
LEAST_PASSING = 0.5  # of the judged ones, of the version that is live
_LEAST_CHANGED = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class TriedModel:
    """One case asked of both. ``old`` and ``new``: pass, fail, not judged; ``why``: what is not well with the new one,
    or why it was not judged.
    """

    id: str
    old: str
    new: str
    why: str = ""
    kind: str = ""
    cluster: str = ""
    tokens_old: int | None = None
    tokens_new: int | None = None

    @property
    def counts(self) -> bool:
        """Say whether both sides were judged."""
        return NOT_JUDGED not in (self.old, self.new)


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialFinding:
    """What a class of cases shows. ``least`` and ``most``: limits of the difference in shares that pass, new less old,
    each one-sided at ``alpha``. ``more``: cases that are missing, ``None`` where no number tells.
    """

    name: str
    cases: int
    judged: int
    passed_before: int
    passed_after: int
    broken: int
    fixed: int
    least: float | None
    most: float | None
    alpha: float
    verdict: str
    text: str
    more: int | None = None


def find(name: str, tried: Sequence[TriedModel], *, margin: float, alpha: float) -> TrialFinding:
    """Judge one class, or all cases."""
    pairs = [item for item in tried if item.counts]
    before, after = [item.old == PASS for item in pairs], [item.new == PASS for item in pairs]
    broken = sum(old and not new for old, new in zip(before, after, strict=True))
    fixed = sum(new and not old for old, new in zip(before, after, strict=True))
    clusters = [f"c/{item.cluster}" if item.cluster else f"i/{item.id}" for item in pairs]
    limits = margin_limits(before, after, clusters, alpha=alpha)
    least, most = (limits.low, limits.high) if limits else (None, None)
    verdict, text = NOT_ENOUGH, "no case could be judged"
    more: int | None = fewest_for_margin(margin, alpha=alpha)
    if least is not None and most is not None:
        verdict = NOT_WORSE if least > -margin else WORSE if most < -margin else NOT_ENOUGH
        text, more = _said(verdict, least, most, margin), 0
        if verdict == NOT_ENOUGH:
            more = _more(len(pairs), broken, fixed, margin, alpha)
    if objection := _objection(tried, pairs, before):
        verdict, text, more = NOT_ENOUGH, objection, None
    return TrialFinding(
        name=name, cases=len(tried), judged=len(pairs), passed_before=sum(before), passed_after=sum(after),
        broken=broken, fixed=fixed, least=least, most=most, alpha=alpha, verdict=verdict, text=text,
        more=more if verdict == NOT_ENOUGH else None,
    )  # fmt: skip


def _said(verdict: str, least: float, most: float, margin: float) -> str:
    allowed = f"{margin:.1%} are allowed"
    if verdict == WORSE:
        return f"at least {-most:.1%} of the cases are lost, {allowed}"
    return f"up to {max(0.0, -least):.1%} of the cases may be lost, {allowed}"


def _objection(tried: Sequence[TriedModel], pairs: Sequence[TriedModel], before: Sequence[bool]) -> str:
    """Say why nothing can be concluded, whatever the limits are; blank where it can."""
    left_out = len(tried) - len(pairs)
    if pairs and left_out > MOST_LEFT_OUT * len(tried):
        why = next((item.why for item in tried if not item.counts and item.why), "")
        return f"{left_out} of {counted(len(tried), 'case')} could not be judged" + (f" ({why})" if why else "")
    if before and sum(before) < LEAST_PASSING * len(before):
        return (
            f"what is live passes only {sum(before)} of {counted(len(before), 'case')} itself: that tells"
            " nothing of the other"
        )
    return ""


def _more(n: int, broken: int, fixed: int, margin: float, alpha: float) -> int | None:
    """Return how many more cases would tell in four of five tries, if the rest is like these."""
    difference = (fixed - broken) / n
    if abs(difference + margin) < 1e-9:
        return None
    changed = max(_LEAST_CHANGED, (broken + fixed) / n)
    needed = cases_for_margin(margin, changed, difference=difference, alpha=alpha)
    return max(1, max(needed, fewest_for_margin(margin, alpha=alpha)) - n)
