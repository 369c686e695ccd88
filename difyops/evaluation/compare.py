"""Two results of the same cases, case by case: what broke, what was fixed, and whether that is more than chance.

Pass and fail are compared by McNemar's exact test, scores by a paired bootstrap, both with whole conversations as the
unit. Where scores are more than pass and fail both tests are made, each at half of ``alpha``, so that together they
cry wolf no more often than ``alpha``. Times are shown, and count only where a limit was given.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from difyops.counting import counted
from difyops.errors import AnswerIsNo, DifyopsError, PartialFailure, UsageError
from difyops.evaluation.checks import NOT_JUDGED, PASS
from difyops.evaluation.result import Bound, CaseRow, Evaluation
from difyops.statistics import (
    Paired,
    Shift,
    cases_for_margin,
    cases_needed,
    margin_limits,
    mcnemar,
    paired_bootstrap,
)

REGRESSION, IMPROVEMENT, NONE_PROVEN = "regression", "improvement", "none proven"
_SMALL = 0.05  # of all cases: the loss that the number of cases is told for when none was seen
_LEAST_CHANGED = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class CompareLimits:
    """``alpha``: how often a regression may be told that is none. ``slower``: by which share of the time before answers
    may take longer; ``None``: times do not count. ``margin``: the share of cases that may be lost; that no more were
    is to be proven then.
    """

    alpha: float = 0.05
    slower: float | None = None
    margin: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseChange:
    """A case that passed before and fails now, or the other way round."""

    id: str
    cluster: str
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """The comparison. ``needed``: cases that the effect seen would want (of a loss of five points where none was seen);
    ``left_out``: cases that are no pair, and why. ``regressions`` names what is proven. ``least``: with a ``margin``,
    the lower limit (one-sided) of the difference in shares that pass.
    """

    before: Bound
    after: Bound
    pairs: int
    clusters: int
    passed_before: int
    passed_after: int
    paired: Paired
    score: Shift | None
    seconds: Shift | None
    seconds_before: float | None
    broken: tuple[CaseChange, ...]
    fixed: tuple[CaseChange, ...]
    left_out: tuple[CaseChange, ...]
    alpha: float
    verdict: str
    regressions: tuple[str, ...]
    needed: int | None
    needed_for: str
    margin: float | None = None
    least: float | None = None
    warnings: tuple[str, ...] = field(default=(), repr=False)

    @property
    def error(self) -> DifyopsError | None:
        """Return the "no" (5) of a proven regression; 3 where fewer than half of the cases could be compared."""
        if self.verdict == REGRESSION:
            return AnswerIsNo(f"A regression is proven: {'; '.join(self.regressions)}.")
        if self.least is not None and self.margin is not None and self.least < -self.margin:
            return PartialFailure(
                f"Not proven: up to {-self.least:.1%} of the cases may be lost, {self.margin:.1%} are allowed."
            )
        if self.pairs < len(self.left_out):
            every = self.pairs + len(self.left_out)
            return PartialFailure(
                f"Only {self.pairs} of {counted(every, 'case')} could be compared; that proves nothing."
            )
        return None


def compare(before: Evaluation, after: Evaluation, limits: CompareLimits | None = None) -> Compared:
    """Compare two results by case id.

    Raises:
        UsageError: no case is in both with a verdict.
    """
    limits = limits or CompareLimits()
    early, late = ({row.id: row for row in result.rows} for result in (before, after))
    pairs, left_out = _pairs(early, late)
    if not pairs:
        raise UsageError(
            "The two results have no case in common that was judged in both.",
            hint=f"left out: {left_out[0].id}: {left_out[0].why}" if left_out else None,
        )
    clusters = [f"c/{row.cluster}" if row.cluster else f"i/{row.id}" for row, _ in pairs]
    paired = mcnemar([one.word == PASS for one, _ in pairs], [two.word == PASS for _, two in pairs], clusters)
    if paired is None:
        raise UsageError("There is nothing to compare.")
    graded = any(row.score not in (None, 0.0, 1.0) for pair in pairs for row in pair)
    alpha = limits.alpha / 2 if graded else limits.alpha
    score = _shift([(one.score, two.score) for one, two in pairs], clusters, 1 - alpha) if graded else None
    seconds = _shift([(one.seconds, two.seconds) for one, two in pairs], clusters, 1 - limits.alpha)
    slow = [one.seconds for one, two in pairs if one.seconds is not None and two.seconds is not None]
    mean = sum(slow) / len(slow) if slow else None
    regressions = _regressions(paired, score, alpha)
    if (
        limits.slower is not None
        and seconds
        and seconds.interval
        and mean
        and seconds.interval.low > limits.slower * mean
    ):
        regressions.append(f"answers take {seconds.mean:.2f} s longer than {mean:.2f} s")
    better = paired.fixed > paired.broken and paired.p <= alpha
    better = better or bool(score and score.interval and score.interval.low > 0)
    needed, what = _needed(paired, limits.alpha)
    least = None
    if limits.margin is not None:
        found = margin_limits(
            [one.word == PASS for one, _ in pairs], [two.word == PASS for _, two in pairs], clusters, alpha=limits.alpha
        )
        least = found.low if found else None
        needed, what = _for_margin(paired, limits.margin, limits.alpha)
    return Compared(
        before=before.bound, after=after.bound, pairs=len(pairs), clusters=len(set(clusters)),
        passed_before=sum(one.word == PASS for one, _ in pairs), passed_after=sum(two.word == PASS for _, two in pairs),
        paired=paired, score=score, seconds=seconds, seconds_before=mean,
        broken=tuple(_change(two) for one, two in pairs if one.word == PASS != two.word),
        fixed=tuple(_change(two, one.why) for one, two in pairs if two.word == PASS != one.word),
        left_out=tuple(left_out), alpha=limits.alpha,
        verdict=REGRESSION if regressions else IMPROVEMENT if better else NONE_PROVEN,
        regressions=tuple(regressions), needed=needed, needed_for=what, margin=limits.margin, least=least,
        warnings=_warnings(before, after, score, len(set(clusters))),
    )  # fmt: skip


def _pairs(
    early: dict[str, CaseRow], late: dict[str, CaseRow]
) -> tuple[list[tuple[CaseRow, CaseRow]], list[CaseChange]]:
    pairs, left_out = [], []
    for name in dict.fromkeys((*early, *late)):
        one, two = early.get(name), late.get(name)
        if one is None or two is None:
            left_out.append(CaseChange(id=name, cluster="", why="it is only in the " + ("second" if two else "first")))
        elif one.hash != two.hash:
            left_out.append(CaseChange(id=name, cluster=two.cluster, why="the case itself was changed"))
        elif NOT_JUDGED in (one.word, two.word):
            which = "before" if one.word == NOT_JUDGED else "now"
            why = one.why if one.word == NOT_JUDGED else two.why
            left_out.append(CaseChange(id=name, cluster=two.cluster, why=f"not judged {which}: {why}"))
        else:
            pairs.append((one, two))
    return pairs, left_out


def _shift(values: list[tuple[float | None, float | None]], clusters: list[str], confidence: float) -> Shift | None:
    both = [
        (late - early, cluster)
        for (early, late), cluster in zip(values, clusters, strict=True)
        if early is not None and late is not None
    ]
    return paired_bootstrap([value for value, _ in both], [cluster for _, cluster in both], confidence=confidence)


def _regressions(paired: Paired, score: Shift | None, alpha: float) -> list[str]:
    found = []
    if paired.broken > paired.fixed and paired.p <= alpha:
        found.append(
            f"{paired.broken} of {counted(paired.n, 'case')} broke and {paired.fixed} were fixed (p {paired.p:.2g})"
        )
    if score is not None and score.interval is not None and score.interval.high < 0:
        found.append(
            f"scores fell by {-score.mean:.3f} [{-score.interval.high:.3f}, {-score.interval.low:.3f}] on average"
        )
    return found


def _needed(paired: Paired, alpha: float) -> tuple[int | None, str]:
    """Return how many independent cases would prove the effect seen in four of five tries, and which effect that is."""
    broken, fixed = paired.broken / paired.n, paired.fixed / paired.n
    if broken != fixed:
        word = "loss" if broken > fixed else "gain"
        return cases_needed(broken, fixed, alpha=alpha), f"a {word} of {abs(broken - fixed) * 100:.1f} points, as seen"
    spread = max(broken, _LEAST_CHANGED / 2)
    lost = spread + _SMALL / 2
    return cases_needed(lost, max(0.0, lost - _SMALL), alpha=alpha), "a loss of 5 points (none was seen)"


def _for_margin(paired: Paired, margin: float, alpha: float) -> tuple[int, str]:
    changed = max(_LEAST_CHANGED, (paired.broken + paired.fixed) / paired.n)
    needed = cases_for_margin(margin, changed, alpha=alpha)
    return needed, f"a loss of at most {margin:.1%}, where {changed:.0%} of the cases change"


def _change(row: CaseRow, why: str | None = None) -> CaseChange:
    return CaseChange(id=row.id, cluster=row.cluster, why=row.why if why is None else why)


def _warnings(before: Evaluation, after: Evaluation, score: Shift | None, clusters: int) -> tuple[str, ...]:
    found = []
    for word, result in (("first", before), ("second", after)):
        if result.moved:
            found.append(f"The {word} result is of two versions: the app was published while it ran.")
        if result.ended != "all":
            found.append(f"The {word} result ended early: {result.ended}.")
    if before.bound.app_id != after.bound.app_id:
        found.append(f"These are two apps: {before.bound.app} and {after.bound.app}.")
    elif before.bound.content == after.bound.content and before.bound.models == after.bound.models:
        found.append("Both are of the same content and models: what differs is chance, or lies outside the app.")
    if score is not None and score.interval is None:
        found.append(
            f"Scores have no interval: {counted(clusters, 'cluster is', 'clusters are')} too few (10 are wanted)."
        )
    return tuple(found)
