"""What an evaluation found: one row a case, what it is bound to, and its file.

A row is pass, fail or not judged: a limit, a provider that is down, a case that does not fit the app's form, or a judge
that failed say nothing about the app. Answers are kept with what looks secret in them taken out.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

from difyops import atomic_file
from difyops.counting import counted
from difyops.dsl.secret_places import found_in_text, merged
from difyops.errors import AnswerIsNo, DifyopsError, PartialFailure, UsageError
from difyops.evaluation.checks import FAIL, NOT_JUDGED, PASS
from difyops.secret_text import scrub

FORMAT = "difyops.evaluation/v1"
_LARGEST = 256 * 1024 * 1024
_NAMED = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckedAnswer:
    """What one check found."""

    check: str
    word: str
    why: str = ""
    at: str = ""
    score: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseRow:
    """One case. ``hash`` stands for what was asked and expected; ``score`` is the mean of its checks' scores, ``None``
    when it was not judged. ``why`` is the first thing that is not well. ``tokens`` and ``price`` are the app's own.
    """

    id: str
    hash: str
    word: str
    why: str = ""
    score: float | None = None
    cluster: str = ""
    checks: tuple[CheckedAnswer, ...] = ()
    answer: str = ""
    seconds: float | None = None
    tokens: int | None = None
    price: Decimal | None = None
    currency: str = ""
    run_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bound:
    """What was evaluated. ``content``: hash of the app's live version; ``models`` as provider/model with the version of
    their plugin (blank: not known); ``cases``: hash of the cases.
    """

    context: str
    app_id: str
    app: str
    mode: str
    version: str
    content: str
    models: tuple[str, ...]
    cases: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """One evaluation. ``moved``: the app was published anew while it ran; ``judges``: the tokens that each judging app
    used besides; ``ended``: all, or what ended it early.
    """

    began: str
    seconds: float
    bound: Bound
    rows: tuple[CaseRow, ...]
    moved: bool = False
    judges: Mapping[str, int] = field(default_factory=dict)
    ended: str = "all"
    format: str = FORMAT
    warnings: tuple[str, ...] = field(default=(), repr=False)

    @property
    def counts(self) -> dict[str, int]:
        """Return how many cases ended how."""
        found = Counter(row.word for row in self.rows)
        return {word: found[word] for word in (PASS, FAIL, NOT_JUDGED)}

    @property
    def judge_tokens(self) -> int:
        """Return the tokens that judges used."""
        return sum(self.judges.values())

    @property
    def tokens(self) -> int:
        """Return the tokens that were used, the judges' included."""
        return sum(row.tokens or 0 for row in self.rows) + self.judge_tokens

    @property
    def prices(self) -> dict[str, Decimal]:
        """Return what the app's answers cost, by currency, as far as they say it."""
        sums: dict[str, Decimal] = {}
        for row in self.rows:
            if row.price is not None:
                sums[row.currency] = sums.get(row.currency, Decimal(0)) + row.price
        return sums

    @property
    def error(self) -> DifyopsError | None:
        """Return the "no" (5) for a case that failed, 3 where some could not be judged and none failed."""
        for word, kind in ((FAIL, AnswerIsNo), (NOT_JUDGED, PartialFailure)):
            rows = [row for row in self.rows if row.word == word]
            if rows:
                named = "; ".join(f"{row.id}: {row.why}" for row in rows[:_NAMED])
                more = f" and {len(rows) - _NAMED} more" if len(rows) > _NAMED else ""
                verb = "failed" if word == FAIL else "could not be judged"
                return kind(f"{len(rows)} of {counted(len(self.rows), 'case')} {verb}: {named}{more}.")
        return None

    def as_record(self) -> dict[str, Any]:
        """Return the evaluation as JSON data."""
        record = {**asdict(self), "judge_tokens": self.judge_tokens}
        for row in record["rows"]:
            row["price"] = str(row["price"]) if row["price"] is not None else None
        return record


def without_secrets(text: str) -> str:
    """Return text in which what looks secret is cut."""
    text = scrub(text)
    for start, end in reversed(merged([(item.start, item.end) for item in found_in_text(text)])):
        text = f"{text[:start]}[cut]{text[end:]}"
    return text


def write_result(path: Path, result: Evaluation) -> None:
    """Write a result for its owner.

    Raises:
        StoreError: it cannot be written.
    """
    atomic_file.write(path, encoded(result), mode=atomic_file.PRIVATE)


def encoded(result: Evaluation) -> bytes:
    """Return the bytes of a result's file."""
    text = json.dumps(result.as_record(), ensure_ascii=False, indent=1) + "\n"
    return text.encode("utf-8", "replace")


def read_result(path: Path) -> Evaluation:
    """Read a result's file.

    Raises:
        UsageError: it cannot be read, or is none; names the field.
    """
    try:
        if path.stat().st_size > _LARGEST:
            raise UsageError(f"{path} is larger than {_LARGEST // 1024 // 1024} MB.")
        content = path.read_bytes()
    except OSError as error:
        raise UsageError(
            f"{path} cannot be read: {error.strerror or error}.", hint="difyops eval run APP CASES --to FILE"
        ) from error
    return decode(content, str(path))


def decode(content: bytes, place: str) -> Evaluation:
    """Read the bytes of a result.

    Raises:
        UsageError: they are none; names the field.
    """
    hint = "It is written by: difyops eval run APP CASES --to FILE"
    try:
        body = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{place} is not JSON: {error}.", hint=hint) from error
    if not isinstance(body, dict) or body.get("format") != FORMAT:
        raise UsageError(f"{place} is not the result of an evaluation.", hint=hint)
    try:
        bound = {**body["bound"], "models": tuple(body["bound"]["models"])}
        rows = tuple(_row(row) for row in body["rows"])
        found = Evaluation(**{**_known(Evaluation, body), "bound": Bound(**_known(Bound, bound)), "rows": rows,
                              "warnings": tuple(body.get("warnings") or ())})  # fmt: skip
    except (KeyError, TypeError, ValueError, AttributeError, InvalidOperation) as error:
        raise UsageError(f"{place} is damaged: {error}.", hint=hint) from error
    ids = Counter(row.id for row in found.rows)
    twice = next((name for name, count in ids.items() if count > 1), None)
    if twice is not None:
        raise UsageError(f"{place} is damaged: the case {twice!r} stands in it twice.", hint=hint)
    return found


def _row(row: Mapping[str, Any]) -> CaseRow:
    checks = tuple(CheckedAnswer(**_known(CheckedAnswer, item)) for item in row.get("checks") or ())
    price = Decimal(row["price"]) if row.get("price") is not None else None
    found = CaseRow(**{**_known(CaseRow, row), "checks": checks, "price": price})
    if found.word not in (PASS, FAIL, NOT_JUDGED):
        raise ValueError(f"{found.id}: word {found.word!r}")
    for name in ("score", "seconds"):
        value = getattr(found, name)
        if value is not None and (isinstance(value, bool) or not isinstance(value, int | float)):
            raise ValueError(f"{found.id}: {name} {value!r}")
    return found


def _known(kind: type, body: Mapping[str, Any]) -> dict[str, Any]:
    names = {item.name for item in fields(kind)}
    return {name: value for name, value in body.items() if name in names}
