"""Numbered steps: a function called before and after each effect. Nothing happens there but in tests, which kill."""

from __future__ import annotations

from collections.abc import Callable

Checkpoint = Callable[[str], None]


def no_checkpoint(name: str) -> None:
    """Do nothing."""
