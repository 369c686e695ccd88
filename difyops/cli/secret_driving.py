"""Driving a rotation from the command line: which one is meant, and how far it is while it goes on."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from difyops.cli.session import Session
from difyops.counting import counted
from difyops.errors import UsageError

if TYPE_CHECKING:
    from difyops.rotation.carrying_out import Driving
    from difyops.rotation.engine import Driven
    from difyops.rotation.job import Workbench
    from difyops.rotation.journal import RotationJournal
    from difyops.rotation.machine import RotationStep
    from difyops.rotation.record import Rotation

log = logging.getLogger("difyops.cli")


async def drive(session: Session, bench: Workbench, rotation: Rotation, *, wait: bool) -> Driven:
    """Drive a rotation with its progress on the terminal, elsewhere a line an event; cut off, it says how to go on."""
    from difyops.render.progress import is_drawn, progress
    from difyops.render.rotation import waits_until
    from difyops.rotation.engine import Driver

    told = ""
    with progress(rotation.label, quiet=session.quiet) as shown:

        def moved(now: Rotation, step: RotationStep) -> None:
            nonlocal told
            length = max(1, round(now.settings.grace))
            left = round(float(now.memo.get("grace_until") or 0) - bench.clock.now().timestamp())
            done = length - max(0, min(length, left)) if now.memo.get("grace_until") else 0
            trouble = f" ({now.trouble})" if now.failures and now.trouble else ""
            shown(done, length, f"{now.state}, {step.action}{trouble}")
            event = f"{waits_until(now)}{trouble}" if left >= 1 else ""
            if event not in ("", told) and not session.quiet and not is_drawn(quiet=session.quiet):
                told = event
                session.show_lines([event])

        try:
            return await Driver(bench, wait=wait, moved=moved).drive(rotation)
        except asyncio.CancelledError:
            log.warning("Left as it is, on record; go on with: difyops secret resume %s", rotation.id)
            raise


def driving(session: Session, *, wait: bool) -> Driving:
    """Return what drives a rotation and shows how far it is."""

    async def carried(bench: Workbench, rotation: Rotation) -> Driven:
        return await drive(session, bench, rotation, wait=wait)

    return carried


def one_rotation(journal: RotationJournal, identity: str | None) -> Rotation:
    """Return the rotation that is meant: by the start of its id, or the only open one."""
    if identity:
        return journal.find(identity)
    found = journal.open()
    if len(found) != 1:
        listed = ", ".join(f"{item.id} ({item.label})" for item in found)
        raise UsageError(
            f"{counted(len(found), 'rotation is', 'rotations are')} open; name one."
            if found
            else "No rotation is open.",
            hint=listed or None,
        )
    return found[0]
