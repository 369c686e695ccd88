"""Writing a run down while it runs: events ``runbook.run`` (subject: the runbook) and ``runbook.step`` (the run).

Steps are written in groups a moment after they end, off the event loop, so that evidence does not slow the checks; an
action is written before it is carried out and right after. A lock file tells a run that is going on from a dead one.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from difyops import atomic_file
from difyops.clock import iso
from difyops.errors import StoreError
from difyops.ledger import Event, Ledger
from difyops.runbook.record import RunRecord, StepRecord, step_data

RUN = "runbook.run"
STEP = "runbook.step"
ACTING = "runbook.acting"
_A_MOMENT = 0.05


def new_id(now: datetime) -> str:
    """Return an id that sorts by time: ``20261120-060314-a1b2c3``."""
    return f"{now.strftime('%Y%m%d-%H%M%S')}-{secrets.token_hex(3)}"


def run_lock(state: Path, run_id: str) -> Path:
    """Return the file that a run holds locked while it is alive."""
    return state / "runbooks" / f"run-{run_id}.lock"


@contextlib.contextmanager
def alive(ledger: Ledger, state: Path, run_id: str) -> Iterator[None]:
    """Show for the length of the block that this run is going on; the mark goes with the process."""
    path = run_lock(state, run_id)
    with ledger.lock(path, holding=f"run {run_id}"):
        try:
            yield
        finally:
            path.unlink(missing_ok=True)


@contextlib.contextmanager
def alone(ledger: Ledger | None, state: Path, runbook: str, context: str) -> Iterator[None]:
    """Keep a second run of the same runbook with actions out, here and wherever the ledger is shared.

    Raises:
        LockHeld: one is going on.
    """
    lock = ledger.lock if ledger is not None else atomic_file.lock
    with lock(state / "runbooks" / f"acting-{context}-{runbook}.lock", holding=f"runbook {runbook}"):
        yield


@dataclass(slots=True, kw_only=True)
class Recorder:
    """Writes one run. Without a ledger (dry run) it writes nothing.

    That a run began, and that an action begins, must be on disk, or neither does. What comes later must not take a
    verdict away that was found: a disk that fills up meanwhile is a sentence in ``problems``.
    """

    ledger: Ledger | None
    context: str
    problems: list[str] = field(default_factory=list)
    _waiting: list[Event] = field(default_factory=list)
    _flusher: asyncio.Task[None] | None = None

    def started(self, run: RunRecord) -> None:
        """Write that the run began; on disk when this returns."""
        self._now(RUN, run.runbook, run.started_at, _head(run) | {"phase": "started"})

    def acting(self, run_id: str, step: str, when: datetime, data: dict[str, object]) -> None:
        """Write what an action is about to do, with its undo, before it does it."""
        self._flush()
        self._now(ACTING, run_id, when, {"step": step, **data})

    def step(self, run_id: str, step: StepRecord, when: datetime, *, now: bool = False) -> None:
        """Write how a step went: at once, or with the next group."""
        if self.ledger is None:
            return
        self._waiting.append(Event(kind=STEP, subject=run_id, when=when, context=self.context, data=step_data(step)))
        if now:
            self._flush()
        elif self._flusher is None or self._flusher.done():
            self._flusher = asyncio.create_task(self._soon())

    def ended(self, run: RunRecord) -> None:
        """Write the end of the run and everything that waits."""
        self._flush()
        body = _head(run) | {
            "phase": "ended",
            "state": run.state,
            "seconds": round(run.seconds, 3),
            "verdict": run.verdict,
            "results": {step.id: step.result for step in run.steps},
            "warnings": list(run.warnings),
        }
        with self._forgiving():
            self._now(RUN, run.runbook, run.ended_at or run.started_at, body)

    async def close(self) -> None:
        """Wait for the last group."""
        if self._flusher is not None:
            self._flusher.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._flusher
        self._flush()

    async def _soon(self) -> None:
        while self._waiting:
            await asyncio.sleep(_A_MOMENT)
            group, self._waiting = self._waiting, []
            if self.ledger is not None and group:
                await self._written(self.ledger, group)

    async def _written(self, ledger: Ledger, group: list[Event]) -> None:
        """Write a group in a thread; once begun it is written, also when the run is cut off meanwhile."""
        writing = asyncio.ensure_future(asyncio.to_thread(ledger.append_all, group))
        with self._forgiving():
            try:
                await asyncio.shield(writing)
            except asyncio.CancelledError:
                await writing
                raise

    def _flush(self) -> None:
        group, self._waiting = self._waiting, []
        if self.ledger is not None and group:
            with self._forgiving():
                self.ledger.append_all(group)

    @contextlib.contextmanager
    def _forgiving(self) -> Iterator[None]:
        try:
            yield
        except StoreError as error:
            self.problems.append(f"The evidence is not complete: {error.message}")

    def _now(self, kind: str, subject: str, when: datetime, data: dict[str, object]) -> None:
        if self.ledger is not None:
            self.ledger.append(Event(kind=kind, subject=subject, when=when, context=self.context, data=data))


def _head(run: RunRecord) -> dict[str, object]:
    return {
        "run": run.id,
        "title": run.title,
        "digest": run.digest,
        "actor": run.actor,
        "pid": os.getpid(),
        "started_at": iso(run.started_at),
        "acting": run.acting,
        "inputs": dict(run.inputs),
        "about": dict(run.about),
    }
