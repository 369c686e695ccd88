"""``--as FORMAT[=FILE]``: one option for every command that judges something; to stdout, or into files."""

from __future__ import annotations

import contextlib
import os
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from difyops.errors import DifyopsError, UsageError
from difyops.outcome import Outcome
from difyops.reports import FORMATS, Suite, harmless, nagios_code

Formats = list[tuple[str, Path | None]]
As = Annotated[
    list[str] | None,
    typer.Option("--as", metavar="FORMAT[=FILE]", help=f"{', '.join(FORMATS)}; to stdout or a file (repeatable)."),
]


def formats_of(wanted: list[str] | None) -> Formats:
    """Read ``FORMAT`` and ``FORMAT=FILE``; ``None`` is stdout.

    Raises:
        UsageError: no such format, two for stdout, or a file in a folder that is not there (said before the work).
    """
    found: Formats = []
    for item in wanted or ():
        name, _, file = item.partition("=")
        if name not in FORMATS:
            raise UsageError(f"--as {name!r} is not a format.", hint=f"One of: {', '.join(FORMATS)}.")
        if file and not Path(file).expanduser().parent.is_dir():
            raise UsageError(f"--as {item}: there is no folder {Path(file).parent}.")
        found.append((name, Path(file).expanduser() if file else None))
    if sum(file is None for _, file in found) > 1:
        raise UsageError("Only one --as can go to stdout; give the others a file.")
    return found


def reported(outcome: Outcome, suite: Suite, formats: Formats, *, dry_run: bool = False) -> Outcome:
    """Return the outcome with the report that goes to stdout, and write the files (not in a dry run).

    Raises:
        StoreError: a file cannot be written.
    """
    from difyops import atomic_file

    if not dry_run:
        _summarise(suite)
    raw, error, asked = outcome.raw, outcome.error, outcome.is_asked_for
    for name, file in formats:
        content = FORMATS[name](suite).encode()
        if file is not None:
            if not dry_run:  # what a monitor reads stays the last real run's
                atomic_file.write(file, content)
            continue
        raw, asked = content, True
        if name == "nagios":
            error = _monitored(outcome, suite)
    return replace(outcome, raw=raw, error=error, is_asked_for=asked)


def _summarise(suite: Suite) -> None:
    """Add the suite to the summary of a job of GitHub's, where there is one."""
    place = os.environ.get("GITHUB_STEP_SUMMARY")
    if place:
        with contextlib.suppress(OSError), Path(place).open("a", encoding="utf-8") as file:
            file.write(FORMATS["markdown"](suite) + "\n")


def unknown(error: DifyopsError, formats: Formats, kind: str) -> Outcome:
    """Say to a monitoring system that nothing was measured: its word for that is unknown, exit 3.

    Raises:
        DifyopsError: ``error``, when no monitoring system reads the answer.
    """
    if ("nagios", None) not in formats:
        raise error
    error.exit_code = 3
    line = f"DIFYOPS UNKNOWN - {harmless(error.message).replace('|', '/')}\n"
    return Outcome(kind=kind, data=None, error=error, raw=line.encode(), is_asked_for=True)


def _monitored(outcome: Outcome, suite: Suite) -> DifyopsError | None:
    """Return an error with the exit code that monitoring expects of a plugin: 1 warning, 2 critical, 3 unknown."""
    code = nagios_code(suite)
    if code == 0:
        return None
    error = outcome.error or DifyopsError(f"{suite.name}: {suite.verdict}")
    error.exit_code = code
    return error
