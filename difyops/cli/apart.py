"""Several processes for several contexts: one interpreter runs one thread at a time, whatever the machine has.

Each process is a copy of this one (a fork, made before any thread or loop), works on a share of the contexts, and hands
its results back through a pipe, made of plain texts and numbers that are safe to show. Secrets stay where they are.
Ctrl-C goes to the first process alone, which passes it on; who finds himself without it stops by himself.
"""

from __future__ import annotations

import dis
import gc
import importlib
import os
import pickle
import select
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from types import CodeType
from typing import Any

from difyops.errors import DifyopsError
from difyops.outcome import Block, Facts, Lines, Outcome, Table
from difyops.render.fleet import Part
from difyops.render.machine import plain
from difyops.render.safe import one_line, text

_LOOK_UP = 0.1
_SIGNALS = (signal.SIGINT, signal.SIGTERM)
Run = Callable[[Sequence[str]], list[Part]]


def processes_for(contexts: int) -> int:
    """Return how many processes work on so many contexts: one for each processor. Its threads wait side by side."""
    return min(contexts, os.cpu_count() or 1)


def load_what_runs(function: Callable[..., Any]) -> None:
    """Import what the command, and its module, import when they run: once, instead of in every process."""
    module = sys.modules[function.__module__]
    codes = [item.__code__ for item in (function, *vars(module).values()) if hasattr(item, "__code__")]
    for name in dict.fromkeys(name for code in codes for name in _imported(code)):
        with suppress(ImportError, DifyopsError):  # an extra that is not there: whoever needs it says so
            importlib.import_module(name)


def _imported(code: CodeType) -> Iterator[str]:
    for step in dis.get_instructions(code):
        if step.opname == "IMPORT_NAME" and str(step.argval).startswith("difyops."):
            yield str(step.argval)
    for item in code.co_consts:
        if isinstance(item, CodeType):
            yield from _imported(item)


def apart(shares: Sequence[Sequence[str]], run: Run) -> list[Part]:
    """Run each share in a process of its own; return the parts of all. A process that dies is an error of its part."""
    signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)  # none is missed between the fork and the handler
    try:
        children = [_Child(share, run) for share in shares]
        with passed_on([child.pid for child in children]):
            return [part for child in _read(children) for part in child.parts()]
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)


class _Child:
    """One process: its number, its share, and what it wrote so far."""

    def __init__(self, share: Sequence[str], run: Run) -> None:
        self.share = share
        self.written = bytearray()
        self.end, sending = os.pipe()
        sys.stdout.flush()
        sys.stderr.flush()
        gc.freeze()  # a collection would touch, and so copy, the memory that all processes share
        self.pid = os.fork()
        if self.pid == 0:
            os.close(self.end)
            _work(share, run, sending)
        os.close(sending)

    def parts(self) -> list[Part]:
        """Return what came of its share."""
        _, status = os.waitpid(self.pid, 0)
        if self.written:
            found: list[Part] = pickle.loads(self.written)  # noqa: S301 - written by a copy of ourselves
            return found
        code = os.waitstatus_to_exitcode(status)
        how = f"by signal {-code}" if code < 0 else f"with {code}"
        return [
            Part(context=name, error=DifyopsError(f"Its process ended {how} and said nothing.")) for name in self.share
        ]


def _work(share: Sequence[str], run: Run, sending: int) -> None:
    """Do a share and leave this process: what comes after the fork in the program belongs to the first one."""
    code = 1
    try:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        written = pickle.dumps([portable(part) for part in run(share)])
        with os.fdopen(sending, "wb") as pipe:
            pipe.write(written)
        code = 0
    finally:
        with suppress(OSError, ValueError):
            sys.stderr.flush()
        os._exit(code)


def _read(children: Sequence[_Child]) -> Sequence[_Child]:
    """Read until every process has closed its end."""
    by_end = {child.end: child for child in children}
    eyes = select.poll()
    for end in by_end:
        eyes.register(end, select.POLLIN)
    while by_end:
        for end, _ in eyes.poll(int(_LOOK_UP * 1000)):
            piece = os.read(end, 1 << 20)
            by_end[end].written += piece
            if not piece:
                eyes.unregister(end)
                os.close(end)
                del by_end[end]
    return children


@contextmanager
def passed_on(pids: Sequence[int]) -> Iterator[None]:
    """Pass Ctrl-C and SIGTERM on to the processes while the block runs."""

    def told(_number: int, _frame: Any) -> None:
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)

    before = {number: signal.signal(number, told) for number in _SIGNALS}
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def portable(part: Part) -> Part:
    """Return a part made of plain texts and numbers, safe to show, without any secret."""
    outcome = part.outcome
    if outcome is not None:
        raw = outcome.raw
        outcome = Outcome(
            kind=outcome.kind,
            data=plain(outcome.data),
            blocks=[_plain_block(block) for block in outcome.blocks],
            summary=None if outcome.summary is None else one_line(outcome.summary),
            warnings=[one_line(item) for item in outcome.warnings],
            names=None if outcome.names is None else [one_line(item) for item in outcome.names],
            records=None if outcome.records is None else plain(list(outcome.records)),
            error=_plain_error(outcome.error),
            raw=raw if raw is None or isinstance(raw, bytes) else b"".join(raw),
            is_asked_for=outcome.is_asked_for,
        )
    return Part(context=part.context, outcome=outcome, error=_plain_error(part.error))


def _plain_error(error: DifyopsError | None) -> DifyopsError | None:
    if error is None:
        return None
    told = DifyopsError(
        one_line(error.message),
        hint=None if error.hint is None else one_line(error.hint),
        retryable=error.retryable,
        details=plain(error.details),
    )
    told.code, told.exit_code = error.code, error.exit_code
    return told


def _plain_block(block: Block) -> Block:
    title = None if block.title is None else one_line(block.title)
    match block:
        case Table():
            rows = [[_plain_cell(value) for value in row] for row in block.rows]
            return replace(block, columns=list(block.columns), rows=rows, title=title)
        case Facts():
            return Facts(pairs=[(one_line(label), _plain_cell(value)) for label, value in block.pairs], title=title)
        case Lines():
            return Lines(lines=[(mark, text(line)) for mark, line in block.lines], title=title)


def _plain_cell(value: object) -> object:
    return value if value is None or isinstance(value, (bool, int, float)) or value == "" else one_line(value)
