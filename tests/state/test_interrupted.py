"""Ctrl-C and a deadline are heard while PostgreSQL is waited for: no event loop runs meanwhile."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import threading
from collections.abc import Callable
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


async def written(ledger: Ledger, then: Callable[[], None] | None = None) -> None:
    """Write a line; half a second after that was begun, ``then``."""
    if then is not None:
        threading.Timer(0.5, then).start()  # not before: the run hears of signals from here on
    ledger.append(EVENT)


def test_a_server_that_is_away_is_not_waited_for_after_ctrl_c(machine: Machine, gate: Gate) -> None:
    one = machine("one", patience=PATIENCE, through=gate)
    one.append(EVENT)
    gate.shut()
    with pytest.raises(Interrupted, match=r"Interrupted\..*cannot be reached"):
        Session().run(written(one, ctrl_c))
    gate.open()
    assert len(one.events()) == 1
    gate.shut()
    with pytest.raises(TimedOut, match=r"deadline of 0\.3 s"):
        Session(deadline=0.3).run(written(one))
    gate.open()
    Session().run(written(one))
    assert len(one.events()) == 2, "the next run is none that was asked to end"


def test_a_connection_that_stands_still_is_not_waited_for_after_ctrl_c(machine: Machine) -> None:
    one = machine("one", patience=PATIENCE)
    one.append(EVENT)
    one._database._connected.connection.patience = PATIENCE  # type: ignore[attr-defined]
    backend = one._database._connected.connection.info.backend_pid  # type: ignore[attr-defined]
    os.kill(backend, signal.SIGSTOP)
    try:
        with contextlib.suppress(Interrupted):  # or another connection takes the line at once
            Session().run(written(one, ctrl_c))
    finally:
        os.kill(backend, signal.SIGCONT)


def test_of_several_instances_each_hears_of_it_while_nobody_answers(tmp_path: Path) -> None:
    pytest.importorskip("psycopg")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"postgresql://tester@127.0.0.1:{silent.getsockname()[1]}/x?connect_timeout={PATIENCE:.0f}"
        ledgers = [Ledger(LedgerServer(StateAddress(url), tmp_path / str(n), patience=PATIENCE)) for n in range(2)]
        sessions, begun = [Session() for _ in ledgers], threading.Semaphore(0)

        async def waiting(ledger: Ledger) -> None:
            begun.release()
            await written(ledger)

        with ThreadPoolExecutor(2) as pool:
            runs = [
                pool.submit(session.run, waiting(ledger)) for session, ledger in zip(sessions, ledgers, strict=True)
            ]
            for _ in runs:
                begun.acquire()
            for session in sessions:
                session.interrupt()
            for run in runs:
                with pytest.raises(Interrupted, match="did not answer"):
                    run.result()
