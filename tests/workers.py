"""Workers that share one collection: ``--workers auto`` forks the process that has collected the tests.

To import and to collect everything takes as long as hundreds of tests; here it is done once, and what was loaded is
shared. A worker asks for the next tests when it begins its last one. It is given a module's tests, or, the fewer are
left, a part of them, so that all end at about the same time. A worker that dies fails its test, and another goes on.
"""

from __future__ import annotations

import os
import random
import sys
import traceback
import warnings
from collections import deque
from dataclasses import dataclass, field
from itertools import groupby
from multiprocessing.connection import Connection, Pipe, wait
from pathlib import Path
from typing import Any

import pytest

_A_CORE = 6  # the tests take about 300 s of processor time, and wait longer than that
_ROUNDS = 4  # parts that the tests which are left are cut into for each worker
_TOGETHER = ("server", "database_server")  # fixtures of a session that take seconds: their tests go to one worker


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--workers", default="0", help="run the tests in so many processes; auto: six a core")


def wanted(session: pytest.Session) -> int:
    """Return how many workers there are to be; 0 where pytest runs the tests itself."""
    asked = session.config.option.workers
    number = min(_A_CORE * (os.cpu_count() or 1), 16) if asked == "auto" else int(asked)
    return 0 if number < 2 or session.testsfailed or session.config.option.collectonly else number


def pytest_runtestloop(session: pytest.Session) -> bool | None:
    """Stand in for the loop of pytest, where workers are wanted."""
    if not (number := wanted(session)):
        return None
    _Foreman(session, number).run()
    return True


@dataclass(slots=True)
class _Worker:
    """One forked process, as the process that forked it sees it."""

    number: int
    pid: int
    line: Connection
    runs: int | None = None
    todo: deque[int] = field(default_factory=deque)


class _Foreman:
    """Hands the tests out, and tells pytest what came of them."""

    def __init__(self, session: pytest.Session, number: int) -> None:
        self.session = session
        self.config = session.config
        self.number = self.started = number
        self.workers: list[_Worker] = []
        self.whole = [[i for i, item in enumerate(session.items) if name in _fixtures(item)] for name in _TOGETHER]
        alone = {index for indexes in self.whole for index in indexes}
        apart = [(index, item) for index, item in enumerate(session.items) if index not in alone]
        modules = groupby(apart, key=lambda each: each[1].nodeid.partition("::")[0])
        self.left = deque(deque(index for index, _ in group) for _, group in modules)
        self.base = Path(session.config._tmp_path_factory.getbasetemp())  # type: ignore[attr-defined]

    def run(self) -> None:
        """Run all tests; stop early when pytest says so."""
        try:
            for number in range(self.number):
                self._start(number)
            while self.workers:
                for line in wait([worker.line for worker in self.workers]):
                    self._hear(next(worker for worker in self.workers if worker.line is line))
        finally:
            for worker in self.workers:
                worker.line.close()
                os.kill(worker.pid, 15)
                os.waitpid(worker.pid, 0)
        if self.session.shouldfail:
            raise self.session.Failed(self.session.shouldfail)
        if self.session.shouldstop:
            raise self.session.Interrupted(self.session.shouldstop)

    def _start(self, number: int) -> None:
        ours, theirs = Pipe()
        sys.stdout.flush()
        sys.stderr.flush()
        pid = os.fork()
        if pid == 0:
            ours.close()
            for other in self.workers:
                other.line.close()
            _be_worker(self.session, theirs, self.base / f"worker{number}")
        theirs.close()
        self.workers.append(_Worker(number, pid, ours))

    def _hear(self, worker: _Worker) -> None:
        try:
            kind, content = worker.line.recv()
        except (EOFError, ConnectionResetError):
            self._bury(worker)
            return
        hook = self.config.hook
        if kind == "more":
            given = self._next()
            worker.todo.extend(given)
            worker.line.send(given)
        elif kind == "begins":
            worker.runs = worker.todo.popleft()
        elif kind == "report":
            hook.pytest_runtest_logreport(report=hook.pytest_report_from_serializable(config=self.config, data=content))
        elif kind == "ended" and worker.runs is not None:
            item = self.session.items[worker.runs]
            hook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
            worker.runs = None
        elif kind == "warning":
            hook.pytest_warning_recorded.call_historic(kwargs=content)
        else:
            raise AssertionError(content)

    def _next(self) -> list[int]:
        """Return the next tests: those of a module that is begun first, and never more than a fair part of the rest."""
        if self.session.shouldfail or self.session.shouldstop:
            return []
        while self.whole:
            if together := self.whole.pop():
                return together
        if not self.left:
            return []
        most = max(1, sum(map(len, self.left)) // (self.number * _ROUNDS))
        module = self.left[0]
        if len(module) > most:
            return [module.popleft() for _ in range(most)]
        return list(self.left.popleft())

    def _bury(self, worker: _Worker) -> None:
        self.workers.remove(worker)
        worker.line.close()
        _, status = os.waitpid(worker.pid, 0)
        if worker.runs is None and status == 0:
            return
        said = f"the worker ended with {os.waitstatus_to_exitcode(status)}"
        if worker.runs is None:
            raise self.session.Failed(said)
        item = self.session.items[worker.runs]
        report = pytest.TestReport(item.nodeid, item.location, {}, "failed", said, "call")
        self.config.hook.pytest_runtest_logreport(report=report)
        if worker.todo:
            self.left.appendleft(worker.todo)
        self.started += 1
        self._start(self.started)


def _fixtures(item: pytest.Item) -> list[str]:
    """Return the fixtures of a test, also those that a parameter names, which are asked for later."""
    given = item.callspec.params.values() if hasattr(item, "callspec") else ()
    return [*getattr(item, "fixturenames", []), *(each for each in given if isinstance(each, str))]


class _Teller:
    """The plugin of a worker that tells the foreman what pytest would print."""

    def __init__(self, config: pytest.Config, line: Connection) -> None:
        self.config = config
        self.line = line

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        told = self.config.hook.pytest_report_to_serializable(config=self.config, report=report)
        self.line.send(("report", told))

    def pytest_warning_recorded(
        self, warning_message: warnings.WarningMessage, when: str, nodeid: str, location: Any
    ) -> None:
        said = warnings.WarningMessage(
            f"{warning_message.category.__name__}: {warning_message.message}",
            UserWarning, warning_message.filename, warning_message.lineno,
        )  # fmt: skip
        kwargs = {"warning_message": said, "when": when, "nodeid": nodeid, "location": location}
        self.line.send(("warning", kwargs))


def _be_worker(session: pytest.Session, line: Connection, folder: Path) -> None:
    """Run the tests that the foreman gives, and end this process."""
    code = 1
    try:
        _settle(session.config, folder)
        session.config.pluginmanager.register(_Teller(session.config, line))
        _work(session, line)
        code = 0
    except (KeyboardInterrupt, EOFError, BrokenPipeError):
        pass  # whoever started us ends
    except BaseException:
        traceback.print_exc(file=sys.__stderr__)
    finally:
        line.close()
        os._exit(code)


def _settle(config: Any, folder: Path) -> None:
    """Take a place of one's own: output, the folder of temporary ones, chance."""
    manager = config.pluginmanager
    manager.get_plugin("terminalreporter")._tw._file = Path(os.devnull).open("w")  # noqa: SIM115 - as long as the process
    capture = manager.get_plugin("capturemanager")
    capture.stop_global_capturing()
    capture.start_global_capturing()
    capture.suspend_global_capture()
    folder.mkdir(mode=0o700)
    config._tmp_path_factory._basetemp = folder
    random.seed()


def _work(session: pytest.Session, line: Connection) -> None:
    todo: deque[int] = deque()

    def ask() -> None:
        line.send(("more", None))
        todo.extend(line.recv())

    ask()
    while todo:
        index = todo.popleft()
        line.send(("begins", None))
        if not todo:
            ask()
        item = session.items[index]
        item.config.hook.pytest_runtest_protocol(item=item, nextitem=session.items[todo[0]] if todo else None)
        line.send(("ended", None))
