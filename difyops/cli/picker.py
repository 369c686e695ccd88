"""A person at a terminal who left APP out is asked for it, from the names that were listed last; nobody else is."""

from __future__ import annotations

import sys
from typing import Any

from difyops.cli.completion import app_names
from difyops.cli.question import line_typed, may_be_asked

_MOST = 40


def picked(parameter: Any) -> str | None:
    """Return the app that a person chose for a missing parameter; ``None`` where it is no app, or nobody is there."""
    word = "".join(character for character in parameter.metavar or "" if character not in "[].")
    names = app_names() if word in ("APP", "SELECTOR") and may_be_asked() else []
    if not names:
        return None
    lines = [f"{number:4} {name}" for number, name in enumerate(names[:_MOST], 1)]
    more = [f"     ... and {len(names) - _MOST} more"] if len(names) > _MOST else []
    sys.stderr.write("\n".join([*lines, *more]) + "\n")
    return chosen(names, line_typed("Which app? (number, or part of its name; Enter: none)"))


def chosen(names: list[str], typed: str) -> str | None:
    """Return the name that a number, or a part that only one name has, stands for."""
    if typed.isdecimal() and 1 <= int(typed) <= len(names):
        return names[int(typed) - 1]
    fitting = [name for name in names if typed and typed.casefold() in name.casefold()]
    if typed in fitting:
        return typed
    return fitting[0] if len(fitting) == 1 else None
