"""The entries of the rotation room: a plan carried out, an open rotation gone on with or turned back.

Doors and runbooks call these; what is shown meanwhile is theirs, through ``Driving``.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from difyops.errors import DifyopsError, LockHeld
from difyops.rotation.engine import Driven, Driver, again, begin, turn_back
from difyops.rotation.job import Workbench
from difyops.rotation.machine import State
from difyops.rotation.prepare import RotationRequest
from difyops.rotation.record import PlannedRotation, Rotation
from difyops.secret_text import SecretText

Driving = Callable[[Workbench, Rotation], Awaitable[Driven]]
"""Drives a rotation as far as it goes now: ``driving()``, or one that shows how far it is."""
Resolving = Callable[[Workbench, str], Awaitable[SecretText | None]]
"""Returns the value behind a reference."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Resumed:
    """Where a run left the rotations it went on with. ``aside``: sentences on those that it left alone; ``failed``: by
    id, what stopped the others.
    """

    results: tuple[Driven, ...]
    aside: tuple[str, ...] = ()
    failed: Mapping[str, DifyopsError] = field(default_factory=dict)


def driving(*, wait: bool) -> Driving:
    """Return what drives a rotation and shows nothing. ``wait``: stay until it ends."""
    return lambda bench, rotation: Driver(bench, wait=wait).drive(rotation)


async def carry_out(
    bench: Workbench, planned: PlannedRotation, asked: RotationRequest, resolve: Resolving, drive: Driving
) -> Driven:
    """Begin a rotation that was planned, with the values that were asked for, and drive it.

    Raises:
        DifyopsError: a value cannot be had, or the rotation cannot be begun; nothing was changed. LockHeld,
        NotAuthenticated, AccountLocked, StoreError: this run cannot go on; the journal knows where it was.
    """
    bench = replace(bench, withheld=bench.withheld | planned.settings.variables)
    value = await resolve(bench, asked.value_from) if asked.value_from is not None else None
    others = {name: await resolve(bench, reference) for name, reference in asked.also_from.items()}
    rotation = await begin(bench, planned, value, {name: one for name, one in others.items() if one})
    return await drive(bench, rotation)


def due_of(waiting: Sequence[Rotation]) -> tuple[list[Rotation], list[str]]:
    """Return the open rotations that a run by itself goes on with, and sentences on those that wait for a person."""
    found = [item for item in waiting if item.state is not State.PARKED]
    parked = [item for item in waiting if item.state is State.PARKED]
    return found, [f"{item.id} ({item.label}) is parked and waits for a person." for item in parked]


async def resume_due(bench: Workbench, waiting: Sequence[Rotation], drive: Driving) -> Resumed:
    """Go on with all that is due. What somebody else drives is left alone, and what fails stops nothing."""
    found, aside = due_of(waiting)
    results: list[Driven] = []
    failed: dict[str, DifyopsError] = {}
    for item in found:
        try:
            results.append(await drive(bench, item))
        except LockHeld as error:
            aside.append(f"{item.id} ({item.label}) is left alone: {error.message}")
        except DifyopsError as error:
            failed[item.id] = error
    return Resumed(results=tuple(results), aside=tuple(aside), failed=failed)


async def resume_one(bench: Workbench, rotation: Rotation, drive: Driving, *, force: bool) -> Resumed:
    """Go on with one rotation, a parked one too. ``force``: retire though it seems in use; pass over who refuses.

    Raises:
        LockHeld: somebody else drives it. DifyopsError: this run cannot go on.
    """
    return Resumed(results=(await drive(bench, await again(bench, rotation, force=force)),))


async def revert(bench: Workbench, rotation: Rotation, drive: Driving) -> Driven:
    """Bring the old secret back.

    Raises:
        Refused: it is retired, or the rotation ended. LockHeld: somebody else drives it.
    """
    return await drive(bench, await turn_back(bench, rotation))
