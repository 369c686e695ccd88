"""Programs that events start: the operator's own command, or a runbook; no shell, a time limit, output without secrets.

A command gets the body on its standard input and a small environment. A runbook is run by a difyops of its own, so that
nothing it does can hold the server up.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from collections.abc import Sequence

from difyops.errors import UsageError
from difyops.secret_text import scrub
from difyops.webhook.filling import filled
from difyops.webhook.inbox import InboxEvent
from difyops.webhook.rules import Destination

_PASSED_ON = ("PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR", "USER")
_MOST = 16 * 1024


async def run(destination: Destination, event: InboxEvent) -> tuple[int | None, str]:
    """Run the program of a destination for an event; return its exit code (``None``: it had to be stopped) and what
    it said last.

    Raises:
        UsageError: it cannot be started, or the event does not have what it needs.
    """
    words, environment = _prepared(destination, event)
    try:
        process = await asyncio.create_subprocess_exec(
            *words,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            env=environment,
            start_new_session=True,
        )
    except (OSError, ValueError) as error:
        raise UsageError(
            f"{words[0]} cannot be run: {getattr(error, 'strerror', None) or 'it has no such name'}."
        ) from error
    try:
        async with asyncio.timeout(destination.timeout):
            output, _ = await process.communicate(event.body)
    except TimeoutError:
        return None, f"it did not end within {destination.timeout:g} s and was stopped"
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, 9)
            await process.wait()
    said = scrub(output[-_MOST:].decode("utf-8", "replace")).strip().splitlines()
    return process.returncode, f"ended with {process.returncode}: {said[-1] if said else 'it said nothing'}"


def _prepared(destination: Destination, event: InboxEvent) -> tuple[Sequence[str], dict[str, str]]:
    own = {"DIFYOPS_EVENT_ID": event.id, "DIFYOPS_EVENT_SOURCE": event.source, "DIFYOPS_EVENT_KIND": event.kind}
    if destination.kind == "command":
        return destination.command, {name: os.environ[name] for name in _PASSED_ON if name in os.environ} | own
    given = [f"--set={name}={value}" for name, value in filled(destination.values, event).items()]
    context = ["--context", destination.context] if destination.context else []
    act = ["--act", "--yes"] if destination.act else []
    words = [sys.executable, "-m", "difyops", "runbook", "run", destination.target, *given, *context, *act, "-q"]
    return words, {**os.environ, **own}
