"""The server in the background: started, told to read its rules anew, stopped; found by the note it leaves."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from difyops import atomic_file
from difyops.errors import AnswerIsNo, DifyopsError, UsageError
from difyops.webhook.serve import RUNNING_FILE, Running, running_in

LOG_FILE = "webhook.log"
_START = 60.0
_STOP = 120.0
_RELOAD = 20.0


class NotStarted(DifyopsError):
    """The server in the background ended at once; its log says why."""

    code = "not_started"


def start(state: Path, words: Sequence[str]) -> Running:
    """Start a server in the background and wait until it listens.

    Raises:
        UsageError: one runs already. NotStarted: it ended; names the log.
    """
    if (running := running_in(state)) is not None:
        raise UsageError(f"A webhook server runs already (pid {running.pid}).", hint="difyops webhook stop")
    atomic_file.make_private_folder(state)
    (state / RUNNING_FILE).unlink(missing_ok=True)  # of one that was killed
    log = state / LOG_FILE
    log.touch(mode=0o600)
    with log.open("ab") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "difyops", "webhook", "serve", *words],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    end = time.monotonic() + _START
    while time.monotonic() < end:
        if (found := running_in(state)) is not None and found.pid == process.pid:
            return found
        if process.poll() is not None:
            last = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()[-2:]
            raise NotStarted(f"The server did not start: {' '.join(last)}", hint=f"tail {log}")
        time.sleep(0.05)
    raise NotStarted(f"The server did not listen within {_START:.0f} s.", hint=f"tail {log}")


def stop(state: Path) -> bool:
    """Stop the server and wait until it has drained; return whether there was one.

    Raises:
        NotStarted: it does not end.
    """
    running = running_in(state)
    if running is None:
        return False
    os.kill(running.pid, signal.SIGTERM)
    end = time.monotonic() + _STOP
    while running_in(state) is not None:
        if time.monotonic() > end:
            raise NotStarted(f"The server (pid {running.pid}) did not end within {_STOP:.0f} s.")
        time.sleep(0.05)
    return True


def reload(state: Path, digest: str) -> Running:
    """Let the server read its rules anew, and wait until it has them.

    Raises:
        AnswerIsNo: none runs, or it could not use them.
    """
    before = running_in(state)
    if before is None:
        raise AnswerIsNo("No webhook server runs.", hint="difyops webhook serve --detach")
    os.kill(before.pid, signal.SIGHUP)
    end = time.monotonic() + _RELOAD
    while time.monotonic() < end:
        found = running_in(state)
        if found is None:
            raise AnswerIsNo("The webhook server ended.", hint="difyops webhook serve --detach")
        if found.since != before.since:
            if found.problem:
                raise AnswerIsNo(f"The server left its rules as they were: {found.problem}")
            if found.rules != digest:
                raise AnswerIsNo(
                    "The server read other rules than these.", hint="Was it started with another --config?"
                )
            return found
        time.sleep(0.05)
    raise AnswerIsNo(f"The server did not answer within {_RELOAD:.0f} s.", hint="difyops webhook status")
