"""When something that failed is tried again: Svix's ladder, with jitter, and what the other side asked for. Pure."""

from __future__ import annotations

import email.utils
import random
import time

STEPS = (0.0, 5.0, 300.0, 1800.0, 7200.0, 18000.0, 36000.0, 36000.0)
"""Seconds before each try: at once, then 5 s, 5 min, 30 min, 2 h, 5 h, 10 h, 10 h."""
_JITTER = 0.2
_LONGEST_WISH = 86400.0


def next_try(tries: int, now: float, wish: float | None = None, steps: tuple[float, ...] = STEPS) -> float | None:
    """Return when the next try is to be made after so many, ``None`` when there is none; a wish for later counts."""
    if tries >= len(steps):
        return None
    pause = steps[tries] * (1.0 + random.uniform(0.0, _JITTER))
    return now + max(pause, min(wish or 0.0, _LONGEST_WISH))


def wish_of(text: str | None, now: float | None = None) -> float | None:
    """Return the seconds that a ``Retry-After`` asks for, in either form; ``None`` where it says nothing."""
    if not text:
        return None
    if text.strip().isdecimal():
        return float(text.strip()[:9])
    try:
        moment = email.utils.parsedate_to_datetime(text)
    except (TypeError, ValueError):
        return None
    return max(0.0, moment.timestamp() - (time.time() if now is None else now))
