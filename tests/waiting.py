"""Waiting in tests: for a thing to happen, however busy the machine is, or for the time of a real clock to go on."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

PATIENCE = 90.0


def wait_until(holds: Callable[[], object], what: str = "it") -> None:
    """Wait until something holds."""
    end = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < end, f"{what} did not come to pass"
        time.sleep(0.01)


async def until(holds: Callable[[], object], what: str = "it") -> None:
    """Wait until something holds, and let the other tasks of this loop go on."""
    end = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < end, f"{what} did not come to pass"
        await asyncio.sleep(0.01)


def let_pass(seconds: float) -> None:
    """Let a real clock go on: for servers that know the time to a second. More than was asked must do no harm."""
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        time.sleep(left)


async def passed(seconds: float) -> None:
    """Let a real clock go on, and the other tasks of this loop with it. More than was asked must do no harm."""
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        await asyncio.sleep(left)
