"""One line from the person at the terminal: no signal is lost while it waits, and two questions never stand at once."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

from difyops.errors import Interrupted
from difyops.render.safe import one_line

_LOOK_UP = 0.1
_one_question = threading.Lock()  # threads ask one after the other
_one_process: list[Any] = []  # and so do processes: a file that one of them locks
_ENDING = frozenset((signal.SIGINT, signal.SIGTERM))


def may_be_asked() -> bool:
    """Tell whether somebody is there who sees a question and can answer it."""
    return all(stream is not None and stream.isatty() for stream in (sys.stdin, sys.stderr))


def yes_or_no(question: str, withdrawn: Callable[[], bool] | None = None) -> bool:
    """Ask, and return whether the person agreed; no answer, and a question that was ``withdrawn``, is no.

    Raises:
        Interrupted: Ctrl-C or SIGTERM.
    """
    shown = f"\r\x1b[K{one_line(question)} [y/N] "  # the line may hold a progress view
    return _asked(shown, withdrawn).strip().lower() in ("y", "yes")


def line_typed(question: str) -> str:
    """Ask, and return the line that the person typed, without the blanks around it.

    Raises:
        Interrupted: Ctrl-C or SIGTERM.
    """
    return _asked(f"{question} ", None).strip()


def one_question_at_a_time() -> None:
    """Let the processes that are about to be made ask one after the other."""
    import tempfile

    _one_process[:] = [tempfile.TemporaryFile()]  # noqa: SIM115 - open as long as there are processes


def _asked(shown: str, withdrawn: Callable[[], bool] | None) -> str:
    if threading.current_thread() is not threading.main_thread():
        return _asked_in_a_thread(shown, withdrawn)
    try:
        with _woken_by_signals() as signals:
            _show(shown)
            while True:
                ready, _, _ = select.select([sys.stdin, signals], [], [])
                if signals in ready and _ENDING & frozenset(os.read(signals, 64)):
                    raise KeyboardInterrupt
                if sys.stdin in ready:
                    return sys.stdin.readline()
    except KeyboardInterrupt:
        _show("\n")
        raise Interrupted("Interrupted; nothing was changed.") from None


def _asked_in_a_thread(shown: str, withdrawn: Callable[[], bool] | None) -> str:
    with _one_question, _alone(withdrawn) as may_ask:
        if not may_ask:
            return ""
        _show(shown)
        while withdrawn is not None and not select.select([sys.stdin], [], [], _LOOK_UP)[0]:
            if withdrawn():
                _show("\n")
                return ""
        return sys.stdin.readline()


@contextlib.contextmanager
def _woken_by_signals() -> Iterator[int]:
    """Hand out a descriptor that can be read as soon as a signal has arrived.

    A plain read would miss the signal that arrives just before it, and wait for the next Enter. The event loop, where
    there is one, stands still meanwhile, and with it its own way to hear of signals.
    """
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    handler = signal.signal(signal.SIGINT, signal.default_int_handler)
    descriptor = signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    try:
        yield reading
    finally:
        signal.set_wakeup_fd(descriptor)
        signal.signal(signal.SIGINT, handler)
        os.close(reading)
        os.close(writing)


@contextlib.contextmanager
def _alone(withdrawn: Callable[[], bool] | None) -> Iterator[bool]:
    """Wait until no other process asks; hand out whether the question still stands then."""
    import fcntl

    if not _one_process:
        yield True
        return
    while True:
        try:
            fcntl.lockf(_one_process[0], fcntl.LOCK_EX | fcntl.LOCK_NB)
            break
        except OSError:
            if withdrawn is not None and withdrawn():
                yield False
                return
            time.sleep(_LOOK_UP)
    try:
        yield True
    finally:
        fcntl.lockf(_one_process[0], fcntl.LOCK_UN)


def _show(text: str) -> None:
    sys.stderr.write(text)
    sys.stderr.flush()
