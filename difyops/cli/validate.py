"""``difyops validate``: a value that satisfies the schema, or a clear failure. Parse, call the room, return."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, BinaryIO

import typer

from difyops.cli.door import command, group
from difyops.cli.session import Session
from difyops.cli.values import inputs_of
from difyops.errors import UsageError
from difyops.outcome import Outcome

if TYPE_CHECKING:
    from difyops.cli.validate_app import Asking
    from difyops.cli.validate_end import ValidateRequest
    from difyops.validation import Judged, ReaskOptions, Schema

noun = group("A value that satisfies the schema, or a clear failure; every change is listed.")
_REPORTS = ("junit", "sarif", "nagios")


@command(noun, "validate", fleet=True, needs="app")
def validate(
    session: Session,
    file: Annotated[
        str | None, typer.Argument(metavar="[FILE|-]", help="The answer; - or nothing reads stdin.")
    ] = None,
    schema: Annotated[Path | None, typer.Option("--schema", metavar="FILE", help="JSON Schema, JSON or YAML.")] = None,
    ndjson: Annotated[bool, typer.Option("--ndjson", help="A batch: one answer a line, one verdict a line.")] = False,
    result: Annotated[bool, typer.Option("--result", help="FILE is the JSON of a run: answer or outputs.")] = False,
    field: Annotated[str | None, typer.Option("--field", metavar="NAME", help="The workflow output to judge.")] = None,
    no_repair: Annotated[bool, typer.Option("--no-repair", help="Find the JSON, but do not mend it.")] = False,
    coerce: Annotated[bool, typer.Option("--coerce", help='Let "7" be 7, "yes" true, where the schema says.')] = False,
    max_edits: Annotated[int | None, typer.Option("--max-edits", min=0, help="More changes are refused.")] = None,
    pick: Annotated[str | None, typer.Option("--pick", metavar="first|last", help="When several values fit.")] = None,
    invented: Annotated[
        str, typer.Option("--invented", metavar="never|optional|always", help="May cut-off values stand?")
    ] = "never",
    duplicates: Annotated[
        str, typer.Option("--duplicates", metavar="refuse|first|last", help="A key that an object names twice.")
    ] = "refuse",
    nan: Annotated[str, typer.Option("--nan", metavar="refuse|null", help="NaN and Infinity.")] = "refuse",
    min_first_pass: Annotated[
        float | None, typer.Option("--min-first-pass", min=0.0, max=1.0, help="With --ndjson: the least rate, else 5.")
    ] = None,
    as_: Annotated[
        list[str] | None, typer.Option("--as", metavar="FORMAT[=FILE]", help="junit, sarif or nagios.")
    ] = None,
    app: Annotated[str | None, typer.Option("--app", metavar="APP", help="Ask this app instead of reading.")] = None,
    query: Annotated[str, typer.Option("--query", metavar="TEXT", help="What to ask it.")] = "",
    inputs: Annotated[list[str] | None, typer.Option("--input", metavar="K=V|@FILE", help="Inputs of the app.")] = None,
    question_as: Annotated[
        str | None, typer.Option("--question-as", metavar="NAME", help="The input that takes the question.")
    ] = None,
    reask: Annotated[int, typer.Option("--reask", min=0, max=20, help="Ask again so often, with what was wrong.")] = 0,
    token_budget: Annotated[int | None, typer.Option("--token-budget", min=1, help="For all calls together.")] = None,
    fallback: Annotated[
        str | None, typer.Option("--fallback", metavar="JSON|@FILE", help="The value when nothing stands.")
    ] = None,
    fallback_app: Annotated[
        str | None, typer.Option("--fallback-app", metavar="APP", help="Whom to ask when nothing stands.")
    ] = None,
) -> Outcome:
    """Judge an answer, a batch or an app's answers by a JSON Schema. Exit 0 valid, 5 not.

    Examples:
        difyops validate answer.txt --schema order.schema.json
        difyops validate --app support-triage --schema order.schema.json --input query=hello --reask 2
    """
    from difyops.cli.validate_end import ValidateRequest
    from difyops.validation import EnforceOptions

    if schema is None:
        raise UsageError("There is no schema.", hint="Add --schema FILE (JSON Schema as JSON or YAML).")
    if app is None and (reask or fallback or fallback_app or query or inputs or question_as):
        raise UsageError("--query, --input, --reask and fallbacks need an app to ask.", hint="Add --app APP.")
    if min_first_pass is not None and min_first_pass != min_first_pass:  # NaN, below which nothing is
        raise UsageError("--min-first-pass is a share from 0 to 1.")
    if fallback is not None and fallback_app:
        raise UsageError("Give --fallback or --fallback-app, not both.")
    wanted = ValidateRequest(
        schema=schema_of(schema),
        options=EnforceOptions(
            repair=not no_repair,
            coerce=coerce,
            max_edits=max_edits,
            pick=_one_of("--pick", pick, "first", "last"),
            invented=_one_of("--invented", invented, "never", "optional", "always"),
            duplicates=_one_of("--duplicates", duplicates, "refuse", "first", "last"),
            not_finite=_one_of("--nan", nan, "refuse", "null"),
        ),
        formats=_formats(as_),
        name=app or file or "-",
        field=field,
        min_first_pass=min_first_pass,
    )
    if app is not None:
        from difyops.cli.validate_app import Asking

        asking = Asking(
            app=app,
            query=query,
            inputs=inputs_of(inputs),
            question_as=question_as,
            field=field,
            fallback_app=fallback_app,
        )
        return _asked(session, wanted, asking, _reask(reask, token_budget, fallback))
    return _batch(session, wanted, file) if ndjson else _single(wanted, file, result=result)


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


def _asked(session: Session, wanted: ValidateRequest, asking: Asking, reask: ReaskOptions) -> Outcome:
    from difyops.cli.validate_app import carry_out
    from difyops.cli.validate_end import told
    from difyops.validation import Judged

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
