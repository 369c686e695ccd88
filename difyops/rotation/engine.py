"""Driving rotations: begin, drive, turn back. One step at a time, each in the journal before it is done.

A rotation's lock is held while something is done and given back while it waits, so that another terminal can look, go
back or finish what is due; whoever acts reads the journal anew first. Nobody acts without the lock.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field, replace

from difyops.changes.journal import NOTE
from difyops.errors import (
    AccountLocked,
    Conflict,
    DifyopsError,
    LockHeld,
    NotAuthenticated,
    RateLimited,
    Refused,
    ServerFault,
    StalePlan,
    StoreError,
    Unreachable,
)
from difyops.rotation import journal as journals
from difyops.rotation.facts import gather
from difyops.rotation.job import NewValueRefused, RotationJob, Workbench
from difyops.rotation.journal import lock_path
from difyops.rotation.kinds import SecretKind, kind_named
from difyops.rotation.machine import ENDED, RotationAction, RotationStep, State, Used, may_turn_back, next_step
from difyops.rotation.planning import check_not_open
from difyops.rotation.record import PlannedRotation, Rotation
from difyops.rotation.steps import perform
from difyops.rotation.vault import NEW, Vault, check_can_hold, installation
from difyops.secret_text import SecretText, scrub

_PASSES = (Unreachable, RateLimited, ServerFault, Conflict)
_SHORT = 5.0  # seconds that a detached run waits; longer waits are left to the next one
_TICK = 1.0
_TURN_WAIT = 120.0
RETIRES = frozenset({"delete old key", "delete old credential", "delete old secret", "forget old value"})
"""The effects by which the kinds end the old secret."""


Moved = Callable[[Rotation, RotationStep], None]


def nobody(rotation: Rotation, step: RotationStep) -> None:
    """Tell nobody."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Driven:
    """Where a run left a rotation, and what it would do next."""

    rotation: Rotation
    step: RotationStep


@dataclass(slots=True)
class Driver:
    """Drives one rotation. ``wait``: stay until it ends; else leave when there is nothing to do but wait."""

    bench: Workbench
    wait: bool = True
    moved: Moved = nobody
    _grace_seen: dict[str, float] = field(default_factory=dict)

    async def drive(self, rotation: Rotation) -> Driven:
        """Go on until the end, a wait, or a person is needed.

        Raises:
            LockHeld: another process acts on the same thing. NotAuthenticated, AccountLocked, StoreError: this run
            cannot go on; the journal knows where it was.
        """
        patience = 0.0
        while True:
            async with turn(self.bench, rotation, wait=patience):
                driven = await self._burst(self.bench.journal.read(rotation.id, rotation.subject))
            rotation, patience = driven.rotation, _TURN_WAIT
            if driven.step.action is not RotationAction.WAIT or not self._stays(driven):
                return driven
            self.moved(rotation, driven.step)
            await self.bench.clock.sleep(min(driven.step.wait, _TICK))

    def _stays(self, driven: Driven) -> bool:
        """Say whether to wait: detached, only shortly, and in the grace period only when a check just failed."""
        if self.wait:
            return True
        is_quiet = driven.rotation.state is State.GRACE and not driven.rotation.memo.get("sick_rounds")
        return driven.step.wait <= _SHORT and not is_quiet

    async def _burst(self, rotation: Rotation) -> Driven:
        """Do what can be done now."""
        kind = kind_named(rotation.kind)
        while True:
            step = next_step(
                rotation.state, gather(rotation, self.bench.clock.now(), grace_floor=self._floor(rotation))
            )
            if step.action in (RotationAction.WAIT, RotationAction.HOLD, RotationAction.REST):
                return Driven(rotation=rotation, step=step)
            job = RotationJob.of(self.bench, rotation)
            if step.action is RotationAction.TURN_BACK and await _is_retired_already(job):
                rotation = self.bench.journal.read(rotation.id, rotation.subject)
                continue
            self.moved(rotation, step)
            rotation = await self._one(job, kind, step)
            if step.action is RotationAction.CONFIRM and not rotation.memo.get("refused") and not self.wait:
                return Driven(rotation=rotation, step=replace(step, action=RotationAction.WAIT, wait=_SHORT * 2))

    async def _one(self, job: RotationJob, kind: SecretKind, step: RotationStep) -> Rotation:
        journal, rotation = self.bench.journal, job.rotation
        try:
            if step.action not in (RotationAction.TURN_BACK, RotationAction.PARK):
                await perform(job, kind, step.action)
        except (AccountLocked, NotAuthenticated, StoreError):
            raise
        except DifyopsError as error:
            verdict = {
                "hopeless": not (error.retryable or isinstance(error, _PASSES)),
                "away": not job.at_effect and _is_away(error),
            }
            why = scrub(error.message)
            journal.write(rotation, journals.FAILED, str(step.action), why=why, code=error.code, **verdict)
            return journal.read(rotation.id, rotation.subject)
        if step.leads_to in ENDED:
            job.change.close("done" if step.leads_to is State.DONE else "undone", label=rotation.label)
        else:
            word = str(step.leads_to)
            journal.write(rotation, journals.STATE, str(step.action), state=word, why=step.why, memo={"phase": word})
        after = journal.read(rotation.id, rotation.subject)
        if step.action is RotationAction.BEGIN_GRACE:
            self._grace_seen[rotation.id] = self.bench.clock.monotonic()
        return after

    def _floor(self, rotation: Rotation) -> float:
        """Return what is left of the grace period by this process's own clock, when it saw it begin."""
        began = self._grace_seen.get(rotation.id)
        return 0.0 if began is None else began + rotation.settings.grace - self.bench.clock.monotonic()


def _is_away(error: DifyopsError) -> bool:
    """Say whether nobody was there: no connection, or a gateway that answers for a server that is being restarted.

    Who is there for questions and fails at every change is not away: that is for a person to look at.
    """
    return isinstance(error, Unreachable) or (isinstance(error, ServerFault) and error.retryable)


async def begin(
    bench: Workbench, planned: PlannedRotation, value: SecretText | None, others: Mapping[str, SecretText] | None = None
) -> Rotation:
    """Open the rotation in the journal and hold its value, and the ``others`` of its credential by field.

    Raises:
        LockHeld: another process acts on the same thing. Refused: a rotation of this secret is open. StoreError: the
        keyring that is to hold the values does not answer.
    """
    check_can_hold(bench.hold)
    url = bench.instance.context.url
    async with _held(bench, planned.lock):
        check_not_open(bench, planned)
        _check_not_rotated_since(bench, planned)
        planned = replace(planned, settings=replace(planned.settings, hold=bench.hold))
        rotation = bench.journal.begin(planned, url, installation=installation(bench.state))
        vault = Vault.of(bench.state, rotation.id, bench.hold)
        vault.keep_others(others or {})
        if value is not None:
            vault.keep(NEW, value)
    return rotation


async def turn_back(bench: Workbench, rotation: Rotation, *, why: str = "asked by a person") -> Rotation:
    """Write that a rotation is to go back; driving it does it.

    Raises:
        Refused: the old secret is retired, also where the answer to its deletion was lost; or the rotation is at its
        end.
    """
    async with turn(bench, rotation, wait=_TURN_WAIT):
        rotation = bench.journal.read(rotation.id, rotation.subject)
        if rotation.state is State.ROLLING_BACK:
            return rotation
        if may_turn_back(rotation.state, rotation.parked_from) and await _is_retired_already(
            RotationJob.of(bench, rotation)
        ):
            rotation = bench.journal.read(rotation.id, rotation.subject)
        check_can_go_back(rotation)
        bench.journal.write(rotation, journals.BACK, why=why)
        return bench.journal.read(rotation.id, rotation.subject)


async def _is_retired_already(job: RotationJob) -> bool:
    """Say whether we ended the old secret though the journal tells only that it was to be ended; that is written down.

    A process may have been killed before it heard the answer, or the answer was lost. There is no way back then.

    Raises:
        DifyopsError: the instance could not be asked.
    """
    record = job.change.record
    if record.effect not in RETIRES or not await kind_named(job.rotation.kind).is_beyond_recall(job):
        return False
    _write_retired(job, "the old secret is gone: it was ended, and the answer was lost")
    return True


async def _has_no_way_back(job: RotationJob) -> bool:
    """Say whether the old secret is gone, nobody was handed it again, and the new one is in use."""
    kind = kind_named(job.rotation.kind)
    if job.memo("given_back_at") is not None:
        return False
    try:
        return await kind.is_beyond_recall(job) and await kind.observe(job) is Used.NEW
    except (NewValueRefused, StalePlan):  # it is gone, too, or somebody switched to a third one
        return False


def _write_retired(job: RotationJob, why: str) -> None:
    memo = {"retired_at": job.bench.clock.now().timestamp(), "phase": str(State.RETIRED)}
    state, step = str(State.RETIRED), str(RotationAction.RETIRE)
    job.bench.journal.write(job.rotation, journals.STATE, step, state=state, why=why, memo=memo)


def check_can_go_back(rotation: Rotation) -> None:
    """Refuse to bring back what is retired.

    Raises:
        Refused: the old secret is retired, or the rotation is at its end.
    """
    if rotation.state is not State.ROLLING_BACK and not may_turn_back(rotation.state, rotation.parked_from):
        raise Refused(
            f"{rotation.label} is {rotation.state}: the old secret cannot be brought back.",
            hint="Rotate it again to get another new one.",
        )


def can_be_retired(rotation: Rotation) -> bool:
    """Say whether the old secret is still valid, and going on would retire it."""
    return may_turn_back(rotation.state, rotation.parked_from) and rotation.state is not State.PARKED


async def end_grace(bench: Workbench, rotation: Rotation) -> Rotation:
    """Write that the grace period ends now, and that the old secret is retired though it seems in use.

    Driving it does it: the new one is looked at once more before. Raises Refused: it is parked or on its way back.
    """
    async with turn(bench, rotation, wait=_TURN_WAIT):
        rotation = bench.journal.read(rotation.id, rotation.subject)
        if not can_be_retired(rotation):
            raise Refused(f"{rotation.label} is {rotation.state}.", hint=f"difyops secret history {rotation.id}")
        bench.journal.write(rotation, journals.AGAIN, force=True)
        ended = bench.clock.now().timestamp() - 1.0
        bench.journal.write(rotation, NOTE, memo={"grace_until": ended})
    return bench.journal.read(rotation.id, rotation.subject)


async def again(bench: Workbench, rotation: Rotation, *, force: bool) -> Rotation:
    """Write that a person looked: a parked rotation goes on, tries are counted anew, ``force`` passes the guards.

    On the way back ``force`` passes over places that do not take the old value again. Where somebody ended the old
    secret meanwhile and the new one is in use, there is no way back to go on with: it goes to its end.
    """
    if rotation.state is State.PARKED or rotation.failures or force:
        async with turn(bench, rotation, wait=_TURN_WAIT):
            goes_on = rotation.parked_from or rotation.state
            bench.journal.write(rotation, journals.AGAIN, force=force, memo={"phase": str(goes_on)})
            after = bench.journal.read(rotation.id, rotation.subject)
            if after.state is State.ROLLING_BACK and await _has_no_way_back(RotationJob.of(bench, after)):
                _write_retired(RotationJob.of(bench, after), "somebody ended the old secret; the new one stays")
            elif force and after.state is State.ROLLING_BACK:
                bench.journal.write(rotation, NOTE, memo={"passes_over": True})
    return bench.journal.read(rotation.id, rotation.subject)


@contextlib.asynccontextmanager
async def turn(bench: Workbench, rotation: Rotation, *, wait: float = 0.0) -> AsyncIterator[None]:
    """Hold the right to act on a rotation.

    Raises:
        LockHeld: another process has it, after ``wait`` seconds. Refused: it is a rotation of another instance.
    """
    if rotation.url != bench.instance.context.url:
        raise Refused(
            f"The rotation {rotation.id} was begun on {rotation.url}, and {rotation.context} is another instance now.",
            hint="Give a context the former url to go on with it.",
        )
    _check_is_here(bench, rotation)
    async with _held(bench, rotation.lock, wait=wait):
        bench.journal.take_over(rotation)
        yield


@contextlib.asynccontextmanager
async def _held(bench: Workbench, name: str, *, wait: float = 0.0) -> AsyncIterator[None]:
    path = lock_path(bench.state, bench.instance.context.url, name)
    ends = bench.clock.monotonic() + wait
    with contextlib.ExitStack() as stack:
        while True:
            try:
                stack.enter_context(bench.journal.ledger.lock(path, holding=f"the secrets of {name}"))
                break
            except LockHeld:
                if bench.clock.monotonic() >= ends:
                    raise
                await asyncio.sleep(0.1)
        yield


def _check_not_rotated_since(bench: Workbench, planned: PlannedRotation) -> None:
    """Refuse a plan that another one overtook: it was made for a secret that is not the present one any more."""
    now = bench.journal.times_begun(planned.subject, bench.instance.context.url)
    if planned.times_begun is not None and now != planned.times_begun:
        raise StalePlan(f"{planned.label} was rotated meanwhile.", hint="Look, then plan it again: difyops secret list")


def _check_is_here(bench: Workbench, rotation: Rotation) -> None:
    """Refuse to act on a rotation whose values another machine holds.

    Raises:
        Refused: it names that machine.
    """
    is_shared = bench.journal.ledger.is_shared
    if is_shared and rotation.installation and rotation.installation != installation(bench.state):
        raise Refused(
            f"The rotation {rotation.id} of {rotation.label} was begun on {rotation.host}, and the values it holds lie "
            "there: it can be gone on with only there.",
            hint=f"On {rotation.host}: difyops secret resume {rotation.id}   or   revert {rotation.id}",
        )
