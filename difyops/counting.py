"""How a number and what it counts are told: 1 app, 2 apps, 0 apps."""

from __future__ import annotations


def counted(count: int, one: str, many: str | None = None) -> str:
    """Return a number with its word: ``one`` for 1, else ``many``, which is ``one`` with an s unless it is given.

    The verb goes with the word where one follows: ``counted(3, "app is", "apps are")``.
    """
    return f"{count} {one if count == 1 else many or one + 's'}"
