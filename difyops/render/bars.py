"""Bars and sparklines in text: blocks on a terminal that can show them."""

from __future__ import annotations

from collections.abc import Sequence

_LEVELS = "▁▂▃▄▅▆▇█"
_EIGHTHS = " ▏▎▍▌▋▊▉█"


def bar(value: float, largest: float, *, width: int = 20) -> str:
    """Return a bar as long as ``value`` is of ``largest``; anything above zero shows."""
    if largest <= 0 or value <= 0:
        return ""
    eighths = max(1, round(8 * width * min(1.0, value / largest)))
    return "█" * (eighths // 8) + (_EIGHTHS[eighths % 8] if eighths % 8 else "")


def stretch(start: float, end: float, total: float, *, width: int = 40, mark: str = "█") -> str:
    """Return the place of ``start`` to ``end`` within ``total``."""
    if total <= 0:
        return ""
    first = min(width - 1, int(width * start / total))
    last = max(first + 1, min(width, round(width * end / total)))
    return " " * first + mark * (last - first)


def sparkline(values: Sequence[float | None], *, most: int = 60) -> str:
    """Return values as a line of blocks, gaps as blanks; of more than ``most`` the newest."""
    shown = list(values)[-most:]
    known = [value for value in shown if value is not None]
    if not known:
        return ""
    low, high = min(known), max(known)
    span = (high - low) or 1.0
    top = len(_LEVELS) - 1
    return "".join(" " if value is None else _LEVELS[round(top * (value - low) / span)] for value in shown)
