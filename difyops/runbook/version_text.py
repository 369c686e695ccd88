"""Versions of programs on this machine, as numbers that can be compared."""

from __future__ import annotations

import re


def numbers(text: str) -> tuple[int, ...]:
    """Return ``(2, 36, 1)`` for ``2.36.1.windows.2``; empty when the text does not begin with a version."""
    match = re.match(r"\d+(?:\.\d+)*", text)
    return tuple(int(part) for part in match[0].split(".")[:3]) if match else ()
