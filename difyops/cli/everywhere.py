"""One command on several instances: once per context, side by side, each with a session of its own.

``-c`` several times, or ``-c all``; ``--shard I/N`` takes a part of the contexts. Each run is the command as it is for
one context, in a thread with its own event loop, so what bounds calls to an instance holds for each by itself; the
threads are spread over several processes (``apart``). One that fails does not stop the others. ``render.fleet`` joins
the results.
"""

from __future__ import annotations

import contextvars
import hashlib
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from difyops.cli.apart import apart, processes_for
from difyops.cli.question import one_question_at_a_time
from difyops.cli.session import Session
from difyops.config import Config
from difyops.errors import ConfigError, DifyopsError, Interrupted, TimedOut, UsageError
from difyops.outcome import Outcome
from difyops.render.fleet import Part, joined
from difyops.render.logs import at_context

ALL = "all"
_MOST_AT_ONCE = 20
_LOOK_UP = 0.1
Work = Callable[[Session], Outcome]


def everywhere(session: Session, shard: str | None, work: Work, *, tells: bool = False) -> Outcome:
    """Carry ``work`` out on every context that is meant, and join what they bring.

    ``tells``: it says itself how each context went, also of one that is written wrongly.

    Raises:
        UsageError: the contexts or the shard make no sense. ConfigError: no such context, or a name that two share.
    """
    part = shard_of(shard) if shard is not None else None
    session.is_lenient = True
    names = contexts_of(session.config, session.contexts)
    if part is not None:
        names = share(names, *part)
    parts = _carried_out(session, names, work, tells=tells)
    return joined(parts, shard=shard, states=not tells)


def contexts_of(config: Config, wanted: Sequence[str]) -> list[str]:
    """Return the names that ``-c`` means, in their order; ``all`` is every context, by name.

    Raises:
        UsageError: none is named, or one twice. ConfigError: one that is not there, or a name that two files give to
            different instances: which of them is meant nobody can say.
    """
    known = sorted({*config.contexts, *config.broken})
    if ALL in wanted and len(set(wanted)) > 1:
        raise UsageError("-c all means every context; it goes with no other -c.")
    names = known if ALL in wanted else list(wanted)
    if not names:
        raise UsageError("Which contexts?", hint="-c NAME several times, or -c all.")
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None and ALL not in wanted:
        raise UsageError(f"-c {twice} was given twice.")
    unknown = [name for name in names if name not in known]
    if unknown:
        raise ConfigError(
            f"There is no context {unknown[0]!r} (known: {', '.join(known) or 'none'}).", hint="difyops context list"
        )
    shared = next((name for name in names if name in config.shared), None)
    if shared is not None:
        first, second = config.shared[shared]
        raise ConfigError(
            f"Two contexts are called {shared!r}: {first} and {second}; which one is meant cannot be told.",
            hint=f"Give one of them another name in its file, or: difyops context remove {shared}",
        )
    return names


def shard_of(text: str) -> tuple[int, int]:
    """Read ``I/N``: the I-th of N parts, counted from 0 as Kubernetes counts the pods of an Indexed Job.

    Raises:
        UsageError: it is no such pair.
    """
    first, slash, second = text.partition("/")
    if slash and first.isascii() and first.isdigit() and second.isascii() and second.isdigit():
        index, count = int(first[:9]), int(second[:9])
        if 0 <= index < count:
            return index, count
    raise UsageError(f"--shard {text!r} is no part I/N.", hint="0/4, 1/4, 2/4 and 3/4 are four parts of the whole.")


def share(names: Sequence[str], index: int, count: int) -> list[str]:
    """Return one of ``count`` parts of the contexts: dealt out in the order of their hashes, so parts are equally big.

    The parts of one list are disjoint and their union is the whole; machines with the same list agree on them.
    """
    dealt = sorted(set(names), key=lambda name: (hashlib.sha256(name.encode()).digest(), name))
    return sorted(dealt[index::count])


def _carried_out(session: Session, names: Sequence[str], work: Work, *, tells: bool) -> list[Part]:
    began = time.monotonic()
    refused = {name: _refused(session, name) for name in names}
    allowed = [name for name, why in refused.items() if why is None or (tells and isinstance(why, ConfigError))]

    def run(share: Sequence[str]) -> list[Part]:
        return _side_by_side(session, share, work, began=began, several=len(names) > 1)

    if len(allowed) > 1 and threading.current_thread() is threading.main_thread():
        count = processes_for(len(allowed))
        one_question_at_a_time()
        parts = apart([allowed[place::count] for place in range(count)], run)
    else:
        parts = run(allowed)
    found = {part.context: part for part in parts}
    return [found.get(name) or Part(context=name, error=refused[name]) for name in names]


def _side_by_side(session: Session, names: Sequence[str], work: Work, *, began: float, several: bool) -> list[Part]:
    """Carry ``work`` out on the contexts of one process, each in a thread."""
    stopped, parent = threading.Event(), os.getppid()
    sessions = {name: _one(session, name) for name in names}

    def run(name: str) -> Outcome:
        at_context.set(name if several else None)
        one = sessions[name]
        if stopped.is_set():
            raise Interrupted("Interrupted before it began.")
        if session.deadline is not None:
            one.deadline, one.deadline_said = session.deadline - (time.monotonic() - began), session.deadline
            if one.deadline <= 0:
                raise TimedOut(f"The deadline of {session.deadline:g} s passed before it began.")
        try:
            return work(one)
        finally:
            one.let_go()

    def stop() -> None:
        stopped.set()
        for one in sessions.values():
            one.interrupt()

    with ThreadPoolExecutor(max_workers=max(1, min(len(names), _MOST_AT_ONCE)), thread_name_prefix="context") as pool:
        futures = {name: pool.submit(contextvars.copy_context().run, run, name) for name in names}
        with _signals(stop):
            while wait(futures.values(), timeout=_LOOK_UP).not_done:
                if os.getppid() != parent and not stopped.is_set():
                    stop()  # whom it was for is gone
    return [_part(name, future) for name, future in futures.items()]


def _one(session: Session, name: str) -> Session:
    """Return a session for one context: the same options and configuration, connections and ledger of its own."""
    return replace(session, contexts=(name,), _ledger=None)


def _refused(session: Session, name: str) -> DifyopsError | None:
    """Return why a context cannot be used; questions about a found file are asked here, one by one."""
    try:
        session.config.context(name).require_trust()
    except DifyopsError as error:
        return error
    return None


def _part(name: str, future: Future[Outcome]) -> Part:
    try:
        outcome = future.result()
    except DifyopsError as failure:
        return Part(context=name, error=failure)
    except Exception as bug:  # of one context: the others have their results
        from difyops.cli.root import fault_of_ours

        return Part(context=name, error=fault_of_ours(bug))
    return Part(context=name, outcome=outcome, error=outcome.error)


@contextmanager
def _signals(stop: Callable[[], None]) -> Iterator[None]:
    """Let Ctrl-C and SIGTERM cancel every run; only the main thread is told of signals."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def told(_number: int, _frame: Any) -> None:
        stop()

    heard = [number for number in (signal.SIGINT, signal.SIGTERM) if signal.getsignal(number) != signal.SIG_IGN]
    before = {number: signal.signal(number, told) for number in heard}
    signal.pthread_sigmask(signal.SIG_UNBLOCK, heard)  # a process that was just made begins without them
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
