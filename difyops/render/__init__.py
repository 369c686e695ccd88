"""The only home of Rich: an ``Outcome`` becomes bytes on stdout and a line on stderr.

stdout is data, stderr is talk. Remote text is data: control characters and markup in it never reach the terminal raw.
"""

from __future__ import annotations

import io
import sys

from difyops.counting import counted
from difyops.errors import AnswerIsNo, DifyopsError
from difyops.outcome import Outcome
from difyops.render.look import Look
from difyops.render.safe import one_line
from difyops.setting_problems import MOST_TOLD, Problem

_FOR_PROGRAMS = frozenset({"json", "yaml", "ndjson", "csv"})


def show(outcome: Outcome, look: Look) -> None:
    """Write the outcome: its data to stdout in the format asked for, its talk to stderr."""
    _set_up_streams(look)
    if look.quiet and outcome.error is None and not (look.is_asked_for or outcome.is_asked_for):
        return
    if outcome.raw is not None and look.form in ("table", "plain"):
        sys.stdout.buffer.writelines((outcome.raw,) if isinstance(outcome.raw, bytes) else outcome.raw)
        sys.stdout.buffer.flush()
    else:
        text = _body(outcome, look)
        if text:
            sys.stdout.write(text if text.endswith("\n") else text + "\n")
            sys.stdout.flush()
    _talk(outcome, look)


def _body(outcome: Outcome, look: Look) -> str:
    from difyops.render import machine

    match look.form:
        case "json":
            return machine.as_json(outcome)
        case "yaml":
            return machine.as_yaml(outcome)
        case "ndjson":
            return machine.as_ndjson(outcome)
        case "csv":
            from difyops.render.csv_text import as_csv

            return as_csv(outcome)
        case "name":
            return machine.as_names(outcome)
    if not outcome.blocks:
        return ""
    if look.form == "markdown":
        from difyops.render import plain

        return plain.as_markdown(outcome.blocks)
    if look.form == "plain":
        from difyops.render import plain

        return plain.as_plain(outcome.blocks)
    from difyops.render import terminal

    return terminal.as_terminal(outcome.blocks, look)


def _set_up_streams(look: Look) -> None:
    """Let no character fail on a terminal that cannot show it; what programs read is always UTF-8."""
    for stream, encoding in ((sys.stdout, "utf-8" if look.form in _FOR_PROGRAMS else None), (sys.stderr, None)):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace", encoding=encoding or stream.encoding)


def _talk(outcome: Outcome, look: Look) -> None:
    error = outcome.error
    enveloped = look.form in ("json", "yaml")
    if not look.quiet and not enveloped:
        for warning in outcome.warnings:
            _say(look, "warning", warning)
    if outcome.summary and not look.quiet:
        _say(look, "info", outcome.summary)
    if error is not None and not (enveloped and outcome.data is None):
        said_already = isinstance(error, AnswerIsNo) and outcome.summary is not None and not look.quiet
        *first, last = _messages(error) if look.log_format != "json" else [error.message]
        for message in first:
            _say(look, _word(error), message)
        _say(look, "info" if said_already else _word(error), last, error.hint, hint_only=said_already)
    sys.stderr.flush()


def _messages(error: DifyopsError) -> list[str]:
    """Return what an error says, a line for each thing that is wrong with a file."""
    problems = error.details.get("problems")
    if not isinstance(problems, list) or not all(isinstance(item, dict) and "text" in item for item in problems):
        return [error.message]
    said = [Problem(**item).text_with_place for item in problems[:MOST_TOLD]]
    more = len(problems) - len(said)
    return [*said, f"{counted(more, 'more is', 'more are')} wrong; -o json tells all."] if more else said


def _word(error: DifyopsError) -> str:
    """Return ``no`` for an answer that is no: the tool did its work. Everything else is an error."""
    return "no" if isinstance(error, AnswerIsNo) else "error"


def _say(look: Look, level: str, message: str, hint: str | None = None, *, hint_only: bool = False) -> None:
    """Write one line of talk: as JSON when the log is, else as text."""
    if hint_only and look.log_format != "json":
        message = ""
    if look.log_format == "json":
        from difyops.render.logs import as_json_line

        sys.stderr.write(as_json_line(level, "difyops", message, hint=hint) + "\n")
        return
    if message:
        sys.stderr.write(f"{'' if level == 'info' else level + ': '}{one_line(message)}\n")
    if hint:
        sys.stderr.write(f"hint: {one_line(hint)}\n")
