"""Running a program that a runbook names: no shell, a small environment, a time limit, its output without secrets."""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from dataclasses import dataclass, field

from difyops.runbook.resources import Resources
from difyops.secret_text import remember, scrub

_PASSED_ON = ("PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR", "USER")
_MOST = 64 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Ran:
    """How a program ended. ``output`` is the end of stdout and stderr together, secrets removed; ``said`` is more,
    as it came: to be searched and never shown.
    """

    code: int
    output: str
    seconds: float
    said: str = field(repr=False)


async def run_program(resources: Resources, argv: list[str], env: list[str], patience: float) -> Ran | str:
    """Run ``argv`` and return how it ended, or a sentence that says why it could not be run to its end."""
    if not argv:
        return "no program is named"
    if not resources.trusts_commands:
        return (
            "the runbook can be written by other users of this machine (chmod go-w) or came with this folder "
            "(difyops trust FILE), so it may not run programs"
        )
    if resources.dry_run:
        return "a dry run runs no programs"
    environment = {name: os.environ[name] for name in (*_PASSED_ON, *env) if name in os.environ}
    for name in env:  # before anything it says is read: it may repeat what it was handed
        if name not in _PASSED_ON and name in environment:
            remember(environment[name])
    began = time.monotonic()
    try:
        process = await asyncio.create_subprocess_exec(
            *argv,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            env=environment,
            start_new_session=True,
        )
    except (OSError, ValueError) as error:
        return f"{argv[0]} cannot be run: {getattr(error, 'strerror', None) or error}"
    try:
        async with asyncio.timeout(patience):
            output = await _tail(process)
            code = await process.wait()
    except TimeoutError:
        return f"{argv[0]} did not end within {patience:g} s and was stopped"
    finally:
        await _stopped(process)
    seconds = round(time.monotonic() - began, 3)
    return Ran(code=code, output=scrub(output)[-2000:].strip(), seconds=seconds, said=output)


async def _tail(process: asyncio.subprocess.Process) -> str:
    kept = b""
    assert process.stdout is not None  # noqa: S101 - it was asked for
    while part := await process.stdout.read(_MOST):
        kept = (kept + part)[-_MOST:]
    return kept.decode("utf-8", "replace")


async def _stopped(process: asyncio.subprocess.Process) -> None:
    """Kill the program and what it started, where they still run: they have a session of their own."""
    if process.returncode is not None:
        return
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, 9)
    await process.wait()
