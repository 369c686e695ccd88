"""Starting Python as a process of its own, the way ``subprocess`` does, without paying for its imports each time.

``Process`` and ``run`` stand for ``subprocess.Popen`` and ``subprocess.run`` where the words begin with the
interpreter. The process is forked from one that has imported difyops (``tests/forks.py``): its streams, signals, exit
code, folder and environment are those of any other. Not so its imports, and what ``ps`` says it was called with: a test
of these starts a real one. So does, by itself, a process whose environment differs in what Python takes from it (the
locale, ``PYTHON...``).
"""

from __future__ import annotations

import contextlib
import inspect
import os
import pickle
import select
import socket
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

from tests.forks import NUMBER, Request

ROOT = Path(__file__).parents[1]
_FIELDS = tuple(inspect.signature(subprocess.Popen._execute_child).parameters)[1:]  # type: ignore[attr-defined]
_OURS = frozenset({"PYTHON_KEYRING_BACKEND", "PYTHONDONTWRITEBYTECODE"})
_AT_FIRST = dict(os.environ)
_lock = threading.Lock()
_parent: tuple[socket.socket, subprocess.Popen[bytes]] | None = None


class Process(subprocess.Popen[Any]):
    """A started process; the arguments are those of ``subprocess.Popen``."""

    _told = -1

    def _execute_child(self, *given: Any) -> None:
        asked = dict(zip(_FIELDS, given, strict=True))
        environment = {os.fspath(name): os.fspath(value) for name, value in dict(asked["env"] or os.environ).items()}
        first, *words = map(os.fspath, asked["args"])
        special = asked["preexec_fn"] is not None or asked["pass_fds"] or not asked["close_fds"]
        if first != sys.executable or special or _for_python(environment) != _for_python(_AT_FIRST):
            super()._execute_child(*given)  # type: ignore[misc]
            return
        request = Request(
            words=tuple(words),
            environment=environment,
            folder=str(Path(asked["cwd"] or ".").absolute()),
            own_session=asked["start_new_session"],
        )
        pipes = [asked[name] for name in ("p2cread", "p2cwrite", "c2pread", "c2pwrite", "errread", "errwrite")]
        streams = [number if file < 0 else file for number, file in enumerate((pipes[0], pipes[3], pipes[5]))]
        self._told = _start(request, streams)
        self._close_pipe_fds(*pipes)  # type: ignore[attr-defined]
        self.pid = self._number()
        self._child_created = True

    def _number(self) -> int:
        found: int = NUMBER.unpack(os.read(self._told, NUMBER.size))[0]
        return found

    def _try_wait(self, wait_flags: int) -> tuple[int, int]:
        if self._told < 0:
            return super()._try_wait(wait_flags)  # type: ignore[misc, no-any-return]
        if wait_flags & os.WNOHANG and not select.select([self._told], [], [], 0)[0]:
            return 0, 0
        ended = self._number()
        os.close(self._told)
        return self.pid, ended

    def _internal_poll(self, *given: Any, **more: Any) -> int | None:
        if self._told < 0:
            return super()._internal_poll(*given, **more)  # type: ignore[misc, no-any-return]
        if self.returncode is None:
            with self._waitpid_lock:  # type: ignore[attr-defined]
                found, ended = self._try_wait(os.WNOHANG)
                if found:
                    self._handle_exitstatus(ended)  # type: ignore[attr-defined]
        return self.returncode


def run(
    words: list[str], *, input: Any = None, capture_output: bool = False, timeout: float = 60, check: bool = False,
    **more: Any,
) -> subprocess.CompletedProcess[Any]:  # fmt: skip
    """Run to the end; the arguments are those of ``subprocess.run``."""
    if capture_output:
        more |= {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    if input is not None:
        more["stdin"] = subprocess.PIPE
    with Process(words, **more) as process:
        try:
            out, errors = process.communicate(input, timeout)
        except BaseException:
            process.kill()
            raise
    done = subprocess.CompletedProcess(words, process.returncode, out, errors)
    if check:
        done.check_returncode()
    return done


def _for_python(environment: dict[str, str]) -> dict[str, str]:
    """Return what the interpreter itself reads."""
    names = ("PYTHON", "LC_", "LANG")
    return {name: value for name, value in environment.items() if name.startswith(names) and name not in _OURS}


def begin() -> None:
    """Start the parent of all; what is forked from this process from now on shares it."""
    global _parent
    with _lock:
        if _parent is not None:
            return
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            words = [sys.executable, "-m", "tests.forks", str(theirs.fileno())]
            _parent = (
                ours,
                subprocess.Popen(words, cwd=ROOT, env=_AT_FIRST, pass_fds=[theirs.fileno()], start_new_session=True),
            )


def _start(request: Request, streams: list[int]) -> int:
    """Have a process forked; return the end of a pipe that says its id, then how it ended."""
    begin()
    assert _parent is not None
    heard, told = os.pipe()
    with _lock:
        socket.send_fds(_parent[0], [pickle.dumps(request)], [*streams, told])
    os.close(told)
    return heard


def end() -> None:
    """End the parent of all, once nothing is to be started any more."""
    global _parent
    if _parent is not None:
        with contextlib.suppress(OSError):
            _parent[0].close()
        _parent[1].wait()
        _parent = None
