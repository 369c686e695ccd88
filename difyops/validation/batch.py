"""Many answers: each judged as it comes, counted, and forgotten. Constant memory, input order."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from difyops.counting import counted
from difyops.errors import AnswerIsNo
from difyops.validation.failure import failure
from difyops.validation.judge import Schema
from difyops.validation.ladder import enforce
from difyops.validation.sources import Given
from difyops.validation.verdict import DEFAULTS, STRICT, EnforceOptions, Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """The verdict on one answer of a batch. ``line`` is where it stands in the input, from 1."""

    id: object
    line: int
    verdict: Verdict

    def as_dict(self) -> dict[str, object]:
        """Return ``{"id", "ok", "rung", "value", "edits", "violations", "error", "message"}``."""
        return {"id": self.id, **self.verdict.as_dict(), "message": self.verdict.message}


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchSummary:
    """What a batch came to.

    ``first_pass``: answers that were valid exactly as the model wrote them (rung ``strict``). ``repairs``: how many
    answers each kind of edit was needed in. ``errors``: how many answers failed in each way. Rates are shares from 0 to
    1, ``None`` when nothing was judged.
    """

    total: int
    valid: int
    first_pass: int
    rungs: dict[str, int]
    repairs: dict[str, int]
    errors: dict[str, int]

    @property
    def first_pass_rate(self) -> float | None:
        """Return the share of answers that were valid as written."""
        return self.first_pass / self.total if self.total else None

    @property
    def valid_rate(self) -> float | None:
        """Return the share of answers that gave a value."""
        return self.valid / self.total if self.total else None

    def as_dict(self) -> dict[str, object]:
        """Return the summary as JSON data, with the rate of each kind of repair."""
        return {
            "total": self.total,
            "valid": self.valid,
            "first_pass": self.first_pass,
            "first_pass_rate": self.first_pass_rate,
            "valid_rate": self.valid_rate,
            "rungs": self.rungs,
            "repairs": {reason: {"answers": n, "rate": n / self.total} for reason, n in self.repairs.items()},
            "errors": self.errors,
        }

    def gate(self, min_first_pass: float) -> AnswerIsNo | None:
        """Return why the batch does not pass a gate on its first-pass rate, ``None`` when it does.

        A batch without answers does not pass: nothing was shown.
        """
        if self.first_pass_rate is None:
            return AnswerIsNo("No answer was judged: a first-pass rate cannot be shown.")
        if self.first_pass_rate < min_first_pass:
            return AnswerIsNo(
                f"{self.first_pass} of {counted(self.total, 'answer was', 'answers were')} valid as written: "
                f"a first-pass rate of {self.first_pass_rate:.4f}, below {min_first_pass:g}."
            )
        return None


@dataclass(slots=True)
class BatchTally:
    """Counts verdicts as they come."""

    total: int = 0
    rungs: Counter[str] = field(default_factory=Counter)
    repairs: Counter[str] = field(default_factory=Counter)
    errors: Counter[str] = field(default_factory=Counter)
    valid: int = 0

    def add(self, verdict: Verdict) -> None:
        """Count one verdict."""
        self.total += 1
        self.rungs[verdict.rung] += 1
        if verdict.ok:
            self.valid += 1
            self.repairs.update({edit.reason for edit in verdict.edits})
        elif verdict.error:
            self.errors[verdict.error] += 1

    def summary(self) -> BatchSummary:
        """Return what was counted so far, the most frequent first."""
        return BatchSummary(
            total=self.total,
            valid=self.valid,
            first_pass=self.rungs[STRICT],
            rungs=dict(self.rungs.most_common()),
            repairs=dict(self.repairs.most_common()),
            errors=dict(self.errors.most_common()),
        )


def judge_all(
    answers: Iterable[Given], schema: Schema, *, options: EnforceOptions = DEFAULTS, tally: BatchTally | None = None
) -> Iterator[Judged]:
    """Yield the verdict on each answer as soon as it is read; ``tally`` counts along."""
    for given in answers:
        verdict = failure(given.error) if given.error else enforce(given.text, schema, options=options)
        if tally is not None:
            tally.add(verdict)
        yield Judged(id=given.id, line=given.line, verdict=verdict)
