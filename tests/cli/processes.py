"""Running difyops as a process of its own: through pipes, on a terminal of a given width, with a given environment."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from tests.processes import Process, run

WORDS = (sys.executable, "-m", "difyops")


@dataclass(frozen=True)
class Shown:
    """What a terminal got, and the exit code."""

    code: int
    text: str


def piped(
    *words: str, environment: Mapping[str, str] | None = None, text: str | None = None
) -> subprocess.CompletedProcess[str]:
    """Run with both outputs as pipes and no terminal."""
    return run(
        [*WORDS, *words],
        env={**os.environ, **(environment or {})},
        input=text,
        capture_output=True,
        encoding="utf-8",
        errors="surrogateescape",
        timeout=60,
        check=False,
    )


def on_terminal(
    words: Sequence[str],
    *,
    columns: int = 80,
    environment: Mapping[str, str] | None = None,
    typed: str = "",
    sent: signal.Signals | None = None,
    question: bytes = b"[y/N]",
    talk: Sequence[tuple[bytes, Callable[[str], str]]] = (),
) -> Shown:
    """Run on a pseudo terminal of this width and return everything it showed; the first ``question`` is answered with
    what is ``typed``, or with a signal that is ``sent``, as a terminal sends SIGINT for Ctrl-C. ``talk``: questions in
    their order, each with what is typed then; it is given all that was shown.
    """
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    child = Process(
        [*WORDS, *words],
        stdin=slave,
        stdout=slave,
        stderr=slave,
        env={**os.environ, "TERM": "xterm-256color", **(environment or {})},
    )
    os.close(slave)
    shown, heard = b"", 0
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        ready, _, _ = select.select([master], [], [], 0.1)
        try:
            piece = os.read(master, 65536) if ready else None
        except OSError:  # the last holder of the other end is gone
            break
        if piece == b"":
            break
        shown += piece or b""
        if (typed or sent) and question in shown:
            if sent:
                child.send_signal(sent)
            os.write(master, typed.encode())
            typed, sent = "", None
        if talk and talk[0][0] in shown[heard:]:
            heard = len(shown)
            os.write(master, talk[0][1](shown.decode("utf-8", "replace")).encode())
            talk = talk[1:]
    code = child.wait(60)
    os.close(master)
    return Shown(code, shown.decode("utf-8", "replace"))
