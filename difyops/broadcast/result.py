"""The end of a broadcast: one frozen answer per target, what it cost, and what it means for the exit code."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal

from difyops.broadcast.aggregate import Combined
from difyops.broadcast.answer import ANSWERED, SKIPPED, STATUSES, STOPPED, AgentAnswer, without_answer
from difyops.broadcast.engine import BUDGET, DEADLINE, INTERRUPTED
from difyops.broadcast.plan import BroadcastPlan
from difyops.counting import counted
from difyops.errors import DifyopsError, Interrupted, OutOfBudget, PartialFailure, StoreError, TimedOut

_NAMED = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Broadcast:
    """One question and all answers, in the order of the plan.

    ``ended``: all, or what ended it early (quorum, budget, deadline, interrupted). ``wanted``: so many answers were
    enough. ``earlier`` answers came from a resumed file; ``unsaved`` says why the file does not hold all of them.
    ``seconds`` is wall time of this run, ``judge_tokens`` what the judge cost beside the answers.
    """

    question: str
    user: str
    answers: tuple[AgentAnswer, ...]
    seconds: float
    ended: str = "all"
    wanted: int | None = None
    earlier: int = 0
    unsaved: str | None = None
    combined: Combined | None = None
    judge_tokens: int = 0
    warnings: tuple[str, ...] = field(default=(), repr=False)

    @property
    def counts(self) -> dict[str, int]:
        """Return how many targets ended how; the sum is the number of targets."""
        found = Counter(answer.status for answer in self.answers)
        return {status: found[status] for status in STATUSES}

    @property
    def tokens(self) -> int:
        """Return the tokens that the answers, and the judge, say they cost."""
        return sum(answer.tokens or 0 for answer in self.answers) + self.judge_tokens

    @property
    def prices(self) -> dict[str, Decimal]:
        """Return what was paid, by currency, as far as the answers say it."""
        sums: dict[str, Decimal] = {}
        for answer in self.answers:
            if answer.price is not None:
                currency = answer.currency or ""
                sums[currency] = sums.get(currency, Decimal(0)) + answer.price
        return sums

    @property
    def error(self) -> DifyopsError | None:
        """Return what is wrong with it as a whole, ``None`` when everything asked for came."""
        answered = self.counts[ANSWERED]
        missing = [answer for answer in self.answers if not answer.ok]
        if self.ended == INTERRUPTED:
            return Interrupted(
                f"Interrupted: {answered} of {counted(len(self.answers), 'answer')} are there.", hint=_RESUME
            )
        if self.ended == BUDGET and missing:
            return OutOfBudget(
                f"The token budget is spent: {answered} of {counted(len(self.answers), 'answer')} are there."
            )
        if self.wanted is not None and answered >= self.wanted:
            return self._afterwards()
        if not missing:
            return self._afterwards()
        if answered:
            return PartialFailure(f"{len(missing)} of {len(self.answers)} gave no answer: {_names(missing)}.")
        return _none_answered(missing, self.ended)

    def _afterwards(self) -> DifyopsError | None:
        if self.unsaved is not None:
            return StoreError(f"The answers are there, but the file is not complete: {self.unsaved}")
        if self.combined is None or self.combined.error is None:
            return None
        return PartialFailure(f"The answers are there, but {self.combined.how} failed: {self.combined.error}")


_RESUME = "With --save FILE, run it again with --resume FILE."


def tally(
    plan: BroadcastPlan, answers: Iterable[AgentAnswer], *, earlier: Sequence[AgentAnswer] = ()
) -> tuple[AgentAnswer, ...]:
    """Return one answer per target in the order of the plan; a target that never ended is skipped."""
    found: Mapping[str, AgentAnswer] = {answer.target: answer for answer in (*earlier, *answers)}
    return tuple(found.get(target.id) or without_answer(target, SKIPPED) for target in plan.targets)


def unused_inputs(answers: Sequence[AgentAnswer]) -> tuple[str, ...]:
    """Return warnings about inputs that some or all of the apps asked do not have."""
    asked = sum(1 for answer in answers if answer.attempts) or len(answers)
    unused = Counter(name for answer in answers for name in answer.unused_inputs)
    return tuple(
        f"{count} of {counted(asked, 'app has', 'apps have')} no input {name!r}"
        for name, count in sorted(unused.items())
    )


def _names(missing: Sequence[AgentAnswer]) -> str:
    named = ", ".join(f"{item.app} ({item.error or item.status})" for item in missing[:_NAMED])
    return named + (f" and {len(missing) - _NAMED} more" if len(missing) > _NAMED else "")


def _none_answered(missing: Sequence[AgentAnswer], ended: str) -> DifyopsError:
    """Return the error of a broadcast without any answer; when all failed alike it has their exit code."""
    message = f"None of {counted(len(missing), 'target')} answered: {_names(missing)}."
    if ended == DEADLINE and any(item.status in (STOPPED, SKIPPED) for item in missing):
        return TimedOut(message, hint="Give it a longer --deadline.")
    codes = {item.exit_code for item in missing}
    error = DifyopsError(message, hint=next((item.hint for item in missing if item.hint), None))
    if len(codes) == 1 and codes != {0}:
        error.exit_code = codes.pop()
    return error
