"""``difyops validate``: a value that satisfies the schema, or a clear failure. Parse, call the room, return."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import typer

from difyops.cli.door import command, group
from difyops.cli.session import Session
from difyops.cli.validate_options import (
    AnswerFile,
    AppInputs,
    AppToAsk,
    As,
    Coerce,
    Duplicates,
    Fallback,
    FallbackApp,
    Invented,
    IsResult,
    MaxEdits,
    MinFirstPass,
    Nan,
    Ndjson,
    NoRepair,
    OutputName,
    Pick,
    Query,
    QuestionAs,
    Reask,
    SchemaFile,
    TokenBudget,
)
from difyops.cli.values import inputs_of
from difyops.errors import UsageError
from difyops.outcome import Outcome

if TYPE_CHECKING:
    from difyops.cli.validate_end import ValidateRequest
    from difyops.validation import EnforceOptions, Judged, ReaskOptions, Schema

noun = group("A value that satisfies the schema, or a clear failure; every change is listed.")
_REPORTS = ("junit", "sarif", "nagios")


@command(noun, "validate", fleet=True, needs="app")
def validate(
    session: Session,
    file: AnswerFile = None,
    schema: SchemaFile = None,
    ndjson: Ndjson = False,
    result: IsResult = False,
    field: OutputName = None,
    no_repair: NoRepair = False,
    coerce: Coerce = False,
    max_edits: MaxEdits = None,
    pick: Pick = None,
    invented: Invented = "never",
    duplicates: Duplicates = "refuse",
    nan: Nan = "refuse",
    min_first_pass: MinFirstPass = None,
    as_: As = None,
    app: AppToAsk = None,
    query: Query = "",
    inputs: AppInputs = None,
    question_as: QuestionAs = None,
    reask: Reask = 0,
    token_budget: TokenBudget = None,
    fallback: Fallback = None,
    fallback_app: FallbackApp = None,
) -> Outcome:
    """Judge an answer, a batch or an app's answers by a JSON Schema. Exit 0 valid, 5 not.

    Examples:
        difyops validate answer.txt --schema order.schema.json
        difyops validate --app support-triage --schema order.schema.json --input query=hello --reask 2
    """
    from difyops.cli.validate_end import ValidateRequest

    if schema is None:
        raise UsageError("There is no schema.", hint="Add --schema FILE (JSON Schema as JSON or YAML).")
    if app is None and (reask or fallback or fallback_app or query or inputs or question_as):
        raise UsageError("--query, --input, --reask and fallbacks need an app to ask.", hint="Add --app APP.")
    if fallback is not None and fallback_app:
        raise UsageError("Give --fallback or --fallback-app, not both.")
    choices = {"pick": pick, "invented": invented, "duplicates": duplicates, "nan": nan}
    wanted = ValidateRequest(
        schema=schema_of(schema),
        options=_options(choices, repair=not no_repair, coerce=coerce, max_edits=max_edits),
        formats=_formats(as_),
        name=app or file or "-",
        field=field,
        min_first_pass=_share(min_first_pass),
    )
    if app is None:
        return _batch(session, wanted, file) if ndjson else _single(wanted, file, result=result)
    asking = {"app": app, "query": query, "question_as": question_as, "field": field, "fallback_app": fallback_app}
    return _asked(session, wanted, {**asking, "inputs": inputs_of(inputs)}, _reask(reask, token_budget, fallback))


# -- what is judged -----------------------------------------------------------------------------------------------


def _single(wanted: ValidateRequest, file: str | None, *, result: bool) -> Outcome:
    from difyops.cli.validate_end import told
    from difyops.validation import Judged, enforce
    from difyops.validation.failure import failure
    from difyops.validation.sources import from_document

    most = 4 * wanted.options.max_chars  # bytes; a character of UTF-8 has at most four
    with _opened(file) as stream:
        content = stream.read(most + 1)
    if len(content) > most:
        return told(wanted, Judged(id=wanted.name, line=1, verdict=failure("too_large")))
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError:
        return told(wanted, Judged(id=wanted.name, line=1, verdict=failure("not_text")))
    if result:
        given = from_document(_json(text, wanted.name), field=wanted.field)
        if given.error:
            return told(wanted, Judged(id=given.id, line=1, verdict=failure(given.error)))
        text = given.text
    verdict = enforce(text, wanted.schema, options=wanted.options)
    return told(wanted, Judged(id=wanted.name, line=1, verdict=verdict))


def _batch(session: Session, wanted: ValidateRequest, file: str | None) -> Outcome:
    from difyops.cli.validate_end import BatchRequest, added_up
    from difyops.cli.validate_reports import Reports
    from difyops.render.validation import VerdictLines
    from difyops.validation import BatchTally, judge_all
    from difyops.validation.sources import from_lines, read_lines

    tally, lines = BatchTally(), VerdictLines()
    reports = Reports.of(wanted.formats, wanted.name, wanted.min_first_pass, batch=True)
    streams = session.output in (None, "ndjson") and not reports.takes_stdout
    keeps = not streams and not (reports.takes_stdout and session.output is None)
    kept: list[Judged] = []
    with _opened(file) as stream:
        answers = from_lines(read_lines(stream), field=wanted.field)
        for judged in judge_all(answers, wanted.schema, options=wanted.options, tally=tally):
            reports.add(judged)
            if streams:
                lines.add(judged)
            if keeps:
                kept.append(judged)
    if streams:
        session.output = "table"  # the lines are out; what is left is talk
    return added_up(wanted, BatchRequest(summary=tally.summary(), kept=kept, streamed=streams), reports)


@contextmanager
def _opened(file: str | None) -> Iterator[BinaryIO]:
    if file in (None, "-"):
        if sys.stdin.isatty():
            raise UsageError("There is no answer to judge.", hint="Name a file, or pipe the answer in.")
        yield sys.stdin.buffer
        return
    try:
        with Path(str(file)).open("rb") as stream:
            yield stream
    except BrokenPipeError:
        raise  # of standard output: nobody reads on
    except IsADirectoryError as error:
        raise UsageError(f"{file} is a directory.") from error
    except OSError as error:
        raise UsageError(f"{file} cannot be read: {error.strerror}.") from error


def _asked(session: Session, wanted: ValidateRequest, asked: Mapping[str, Any], reask: ReaskOptions) -> Outcome:
    from difyops.cli.validate_app import Asking, carry_out
    from difyops.cli.validate_end import told
    from difyops.validation import Judged

    asking = Asking(**asked)
    work = carry_out(session, asking, wanted.schema, options=wanted.options, reask=reask)
    done = session.run(work)
    return told(wanted, Judged(id=asking.app, line=1, verdict=done.verdict), done)


# -- what the options say -----------------------------------------------------------------------------------------


def schema_of(path: Path) -> Schema:
    """Return the schema in a file.

    Raises:
        UsageError: it cannot be read. ConfigError: it is no schema.
    """
    from difyops.validation import read_schema

    try:
        schema = read_schema(path.read_bytes(), what=str(path))
    except OSError as error:
        raise UsageError(f"The schema {path} cannot be read: {error.strerror}.") from error
    if schema.unwrapped is not None:
        typer.echo(f"note: {path} wraps a schema; its {schema.unwrapped!r} is used.", err=True)
    return schema


def _formats(wanted: Sequence[str] | None) -> list[tuple[str, Path | None]]:
    found: list[tuple[str, Path | None]] = []
    for item in wanted or ():
        name, _, file = item.partition("=")
        if name not in _REPORTS:
            raise UsageError(f"--as {name!r} is not a format.", hint=f"One of: {', '.join(_REPORTS)}.")
        found.append((name, Path(file) if file else None))
    if sum(file is None for _, file in found) > 1:
        raise UsageError("Only one --as can go to stdout; give the others a file.")
    return found


def _options(choices: Mapping[str, str | None], *, repair: bool, coerce: bool, max_edits: int | None) -> EnforceOptions:
    """Return how answers are mended; ``choices``: the words that were given, by option.

    Raises:
        UsageError: a word is none that the option knows.
    """
    from difyops.validation import EnforceOptions

    return EnforceOptions(
        repair=repair,
        coerce=coerce,
        max_edits=max_edits,
        pick=_one_of("--pick", choices["pick"], "first", "last"),
        invented=_one_of("--invented", choices["invented"], "never", "optional", "always"),
        duplicates=_one_of("--duplicates", choices["duplicates"], "refuse", "first", "last"),
        not_finite=_one_of("--nan", choices["nan"], "refuse", "null"),
    )


def _share(given: float | None) -> float | None:
    """Return the least rate that was asked for.

    Raises:
        UsageError: it is NaN, below which nothing is.
    """
    if given is not None and given != given:
        raise UsageError("--min-first-pass is a share from 0 to 1.")
    return given


def _one_of(option: str, given: str | None, *known: str) -> Any:
    if given is not None and given not in known:
        raise UsageError(f"{option} {given!r} is not one of: {', '.join(known)}.")
    return given


def _reask(attempts: int, token_budget: int | None, fallback: str | None) -> ReaskOptions:
    from difyops.validation import FallbackValue, ReaskOptions

    value = None if fallback is None else FallbackValue(value=_json(fallback, "--fallback"))
    return ReaskOptions(attempts=attempts, token_budget=token_budget, fallback=value)


def _json(given: str, what: str) -> Any:
    """Return the JSON that an option or file gives, inline or as ``@file``."""
    try:
        text = Path(given[1:]).read_text(encoding="utf-8") if given.startswith("@") else given
        return json.loads(text)
    except (OSError, ValueError, RecursionError) as error:
        raise UsageError(f"{what} is not JSON: {error}.") from error
