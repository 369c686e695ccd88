"""Time, as something that can be handed in: wall clock for records, monotonic clock for durations, sleep."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol

MAY_DIFFER = 300.0
"""Seconds that the clocks of two machines may differ; a time that lies further in the future is a finding."""


class Clock(Protocol):
    """What difyops asks about time. Tests hand in a frozen one."""

    def now(self) -> datetime:
        """Return the wall clock in UTC, time zone aware."""
        ...

    def monotonic(self) -> float:
        """Return seconds that never go backwards."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Wait without blocking the event loop."""
        ...


@dataclass(frozen=True, slots=True)
class SystemClock:
    """The real clock."""

    def now(self) -> datetime:
        """Return the wall clock in UTC."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Return ``time.monotonic()``."""
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        """Wait ``seconds`` on the event loop."""
        await asyncio.sleep(max(0.0, seconds))


def iso(moment: datetime) -> str:
    """Return ``2026-11-20T06:03:14Z``: UTC, whole seconds, the one spelling used in files and output."""
    return moment.astimezone(UTC).replace(microsecond=0).isoformat().replace("+00:00", "Z")


def from_unix(seconds: float | None) -> datetime | None:
    """Turn the platform's unix seconds into a UTC datetime; ``None`` stays ``None``, and what is no time becomes it."""
    try:
        return None if seconds is None else datetime.fromtimestamp(seconds, UTC)
    except (ValueError, OverflowError, OSError, TypeError):  # 1e30, NaN, a text
        return None
