"""The parent of the processes that tests start: it has imported difyops once, and forks itself for each of them.

``tests/processes.py`` starts it and sends the requests. A fork is a process like any other, with streams, environment,
folder and session of its own; only what Python and the imports cost is paid once. It ends when its socket is closed.
"""

from __future__ import annotations

import atexit
import gc
import importlib
import io
import os
import pickle
import pkgutil
import runpy
import select
import signal
import socket
import struct
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import difyops

NUMBER = struct.Struct("=q")
LARGEST = 1 << 20
_LATE = (
    "anyio._backends._asyncio", "certifi", "encodings.idna", "encodings.utf_8_sig", "httpcore", "importlib.readers",
    "keyring", "keyring.backends.fail", "rich.markdown", "rich.progress", "rich.table", "sqlite3", "tabulate",
)  # fmt: skip
"""What commands import when they need it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A process to start: the words after the interpreter, and what ``subprocess.Popen`` was told."""

    words: tuple[str, ...]
    environment: dict[str, str]
    folder: str
    own_session: bool


def serve(control: socket.socket) -> Request:
    """Fork for every request; say through the pipe that came with it how the process ended.

    Returns in the forked processes only.
    """
    watched = select.poll()
    watched.register(control, select.POLLIN)
    running: dict[int, tuple[int, int]] = {}
    while True:
        for number, _ in watched.poll():
            if number == control.fileno():
                content, files, _, _ = socket.recv_fds(control, LARGEST, 4)
                if not content:
                    os._exit(0)
                *streams, told = files
                child = os.fork()
                if child == 0:
                    return _become(pickle.loads(content), streams, told)
                for each in streams:
                    os.close(each)
                watch = os.pidfd_open(child)
                watched.register(watch, select.POLLIN)
                running[watch] = (child, told)
            else:
                child, told = running.pop(number)
                watched.unregister(number)
                os.close(number)
                os.write(told, NUMBER.pack(os.waitpid(child, 0)[1]))
                os.close(told)


def _become(request: Request, streams: list[int], told: int) -> Request:
    """Take over what makes a process one of its own, and tell its id: from now on signals reach it."""
    if request.own_session:
        os.setsid()
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.write(told, NUMBER.pack(os.getpid()))
    os.closerange(3, LARGEST)
    os.environ.clear()
    os.environ.update(request.environment)
    time.tzset()
    os.chdir(request.folder)
    plain = bool(os.environ.get("PYTHONUNBUFFERED"))
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        former = getattr(sys, f"__{name}__")
        file = io.FileIO(number, "w" if number else "r", closefd=False)
        raw = io.BufferedReader(file) if number == 0 else file if plain else io.BufferedWriter(file)
        text = io.TextIOWrapper(
            raw, former.encoding, former.errors, newline="\n" if number else None,
            line_buffering=number == 2 or (number == 1 and raw.isatty()), write_through=plain and number > 0,
        )  # fmt: skip
        setattr(sys, name, text)
        setattr(sys, f"__{name}__", text)
    return request


def run(words: tuple[str, ...]) -> None:
    """Do what the interpreter does with these words."""
    match words:
        case ("-m", name, *rest):
            sys.argv = [name, *rest]
            sys.path.insert(0, str(Path.cwd()))
            runpy.run_module(name, run_name="__main__", alter_sys=True)
        case ("-c", code, *rest):
            sys.argv = ["-c", *rest]
            sys.path.insert(0, "")
            own = ModuleType("__main__")
            sys.modules["__main__"] = own
            exec(compile(code, "<string>", "exec"), own.__dict__)
        case (path, *rest):
            sys.argv = [path, *rest]
            sys.path.insert(0, str(Path(path).parent))
            runpy.run_path(path, run_name="__main__")


def finish(words: tuple[str, ...]) -> None:
    """Run, and end without taking everything that is loaded apart, which takes longer than most commands."""
    code: object = 0
    try:
        run(words)
    except SystemExit as ended:
        code = ended.code
    if code is not None and not isinstance(code, int):
        sys.exit(str(code))
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit((code or 0) & 0xFF)


def import_all() -> None:
    """Import difyops whole, and what it imports late; make the parsers of all its commands."""
    for module in pkgutil.walk_packages(difyops.__path__, "difyops."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    for name in _LATE:
        importlib.import_module(name)
    from difyops.cli import root

    for noun in root.GROUPS:
        root.command_of(noun)


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    import_all()
    importlib.import_module("tests.unflushed").install()
    sys.path.pop(0)
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)
    finish(serve(socket.socket(fileno=int(sys.argv[1]))).words)
