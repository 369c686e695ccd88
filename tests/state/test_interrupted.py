"""Ctrl-C and a deadline are heard while PostgreSQL is waited for: no event loop runs meanwhile."""

from __future__ import annotations

import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from difyops.cli.session import Session
from difyops.errors import Interrupted, TimedOut
from difyops.ledger import Ledger
from difyops.ledger.server import LedgerServer
from difyops.state_address import StateAddress
from tests.state.conftest import Machine
from tests.state.gate import Gate
from tests.state.test_shared import EVENT

PATIENCE = 3000.0  # of the state: longer than a test may take


def ctrl_c() -> None:
    os.kill(os.getpid(), signal.SIGINT)


@pytest.fixture
def soon() -> Iterator[Callable[[Callable[[], None]], None]]:
    """Do something in half a second, when the state is waited for."""
    timers: list[threading.Timer] = []

    def start(what: Callable[[], None]) -> None:
        timers.append(threading.Timer(0.5, what))
        timers[-1].start()

    yield start
    for timer in timers:
        timer.join()


async def written(ledger: Ledger) -> None:
    ledger.append(EVENT)


def test_a_server_that_is_away_is_not_waited_for_after_ctrl_c(
    machine: Machine, gate: Gate, soon: Callable[[Callable[[], None]], None]
) -> None:
    one = machine("one", patience=PATIENCE, through=gate)
    one.append(EVENT)
    gate.shut()
    soon(ctrl_c)
    with pytest.raises(Interrupted, match=r"Interrupted\..*cannot be reached"):
        Session().run(written(one))
    gate.open()
    assert len(one.events()) == 1
    gate.shut()
    with pytest.raises(TimedOut, match=r"deadline of 0\.3 s"):
        Session(deadline=0.3).run(written(one))
    gate.open()
    Session().run(written(one))
    assert len(one.events()) == 2, "the next run is none that was asked to end"


def test_a_connection_that_stands_still_is_not_waited_for_after_ctrl_c(
    machine: Machine, soon: Callable[[Callable[[], None]], None]
) -> None:
    one = machine("one", patience=PATIENCE)
    one.append(EVENT)
    one._database._connected.connection.patience = PATIENCE  # type: ignore[attr-defined]
    backend = one._database._connected.connection.info.backend_pid  # type: ignore[attr-defined]
    os.kill(backend, signal.SIGSTOP)
    try:
        soon(ctrl_c)
        Session().run(written(one))  # another connection takes it: the line is the last thing that was to be done
    finally:
        os.kill(backend, signal.SIGCONT)
    assert len(one.events()) == 2


def test_of_several_instances_each_hears_of_it_while_nobody_answers(
    tmp_path: Path, soon: Callable[[Callable[[], None]], None]
) -> None:
    pytest.importorskip("psycopg")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"postgresql://tester@127.0.0.1:{silent.getsockname()[1]}/x?connect_timeout={PATIENCE:.0f}"
        ledgers = [Ledger(LedgerServer(StateAddress(url), tmp_path / str(n), patience=PATIENCE)) for n in range(2)]
        sessions = [Session() for _ in ledgers]

        def stop() -> None:
            for session in sessions:
                session.interrupt()

        soon(stop)

        def run(number: int) -> None:
            sessions[number].run(written(ledgers[number]))

        with ThreadPoolExecutor(2) as pool:
            for future in [pool.submit(run, number) for number in range(2)]:
                with pytest.raises(Interrupted, match="did not answer"):
                    future.result()
