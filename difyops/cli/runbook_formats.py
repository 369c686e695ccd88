"""What ``runbook run`` hands back: the table, or another program's words (``--as``), to stdout or into files."""

from __future__ import annotations

from pathlib import Path

from difyops import atomic_file
from difyops.errors import DifyopsError, UsageError
from difyops.outcome import Outcome
from difyops.render import runbook as views
from difyops.runbook.outputs import FORMATS, harmless, nagios_code
from difyops.runbook.record import RunRecord

Formats = list[tuple[str, Path | None]]


def formats_of(wanted: list[str] | None) -> Formats:
    """Read ``FORMAT`` and ``FORMAT=FILE``; ``None`` is stdout.

    Raises:
        UsageError: no such format, two for stdout, or a file in a folder that is not there (said before the run).
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


def outcome(record: RunRecord, formats: Formats, *, dry_run: bool) -> Outcome:
    """Return the result of a run, and write the files that were asked for (not in a dry run).

    Raises:
        StoreError: a file cannot be written.
    """
    raw: bytes | None = None
    error = record.error
    for name, file in formats:
        content = FORMATS[name](record).encode()
        if file is not None:
            if not dry_run:  # what a monitor reads stays the last real run's
                atomic_file.write(file, content)
            continue
        raw = content
        if name == "nagios":
            error = _monitored(record, nagios_code(record))
    return views.ran(record, raw=raw, error=error)


def unknown(error: DifyopsError) -> Outcome:
    """Say to a monitoring system that nothing was measured: its word for that is unknown, exit 3."""
    error.exit_code = 3
    line = f"DIFYOPS UNKNOWN - {harmless(error.message).replace('|', '/')}\n"
    return Outcome(kind="runbook.run", data=None, error=error, raw=line.encode())


def _monitored(record: RunRecord, code: int) -> DifyopsError | None:
    """Return an error with the exit code that monitoring expects of a plugin: 1 warning, 2 critical, 3 unknown."""
    if code == 0:
        return None
    error = record.error or DifyopsError(f"{record.runbook}: {record.verdict}")
    error.exit_code = code
    return error
