"""The only home of Rich and tabulate: an ``Outcome`` becomes bytes on stdout and a line on stderr.

stdout is data, stderr is talk. Remote text is data: control characters and markup in it never reach the terminal raw.
"""

from __future__ import annotations

import sys

from difyops.outcome import Outcome
from difyops.render.look import Look
from difyops.render.safe import one_line


def show(outcome: Outcome, look: Look) -> None:
    """Write the outcome: its data to stdout in the format asked for, its talk to stderr."""
    if outcome.raw is not None and look.form in ("table", "plain"):
        sys.stdout.buffer.write(outcome.raw)
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


def _talk(outcome: Outcome, look: Look) -> None:
    error = outcome.error
    enveloped = look.form in ("json", "yaml")
    if not look.quiet and not enveloped:
        for warning in outcome.warnings:
            sys.stderr.write(f"warning: {one_line(warning)}\n")
    if outcome.summary and not look.quiet:
        sys.stderr.write(f"{one_line(outcome.summary)}\n")
    if error is not None and not (enveloped and outcome.data is None):
        sys.stderr.write(f"error: {one_line(error.message)}\n")
        if error.hint:
            sys.stderr.write(f"hint: {one_line(error.hint)}\n")
    sys.stderr.flush()
