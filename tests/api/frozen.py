"""A clock that stands still until told otherwise; its sleeps take no time and are written down."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

START = datetime(2026, 11, 20, 2, 0, tzinfo=UTC)


@dataclass(slots=True)
class FrozenClock:
    """Implements ``difyops.clock.Clock``."""

    seconds: float = 0.0
    slept: list[float] = field(default_factory=list)

    def now(self) -> datetime:
        """Return the frozen moment."""
        return START + timedelta(seconds=self.seconds)

    def monotonic(self) -> float:
        """Return the frozen seconds."""
        return self.seconds

    async def sleep(self, seconds: float) -> None:
        """Move on at once."""
        self.slept.append(seconds)
        self.seconds += seconds
        await asyncio.sleep(0)
