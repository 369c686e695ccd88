"""How output is to look: format, colour, width. Terminal and environment decide what the person did not say."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """``form`` is one of table, plain, json, yaml, ndjson, csv, markdown, name; ``width`` counts columns.

    ``log_format`` (text or json) is how the talk on stderr looks. ``quiet`` leaves out what nobody asked for: on
    success that is everything, unless ``is_asked_for`` (there was a ``-o``).
    """

    form: str
    colour: bool
    width: int
    quiet: bool = False
    log_format: str = "text"
    is_asked_for: bool = False


def look_for(
    wanted: str | None,
    arguments: list[str],
    *,
    quiet: bool,
    log_format: str = "text",
    environment: Mapping[str, str] | None = None,
) -> Look:
    """Return the look for a format asked for (``-o``), or found on a command line that failed to parse."""
    env = os.environ if environment is None else environment
    terminal = sys.stdout.isatty()
    asked = wanted or _asked_for(arguments, ("-o", "--output"), ("json", "yaml", "ndjson"))
    form = asked or "table"
    colour = terminal and not env.get("NO_COLOR") and not env.get("CI") and env.get("TERM") != "dumb"
    return Look(
        form="plain" if form == "table" and not terminal else form,
        colour=colour,
        width=shutil.get_terminal_size((100, 24)).columns,
        quiet=quiet,
        is_asked_for=asked is not None,
        log_format="json" if _asked_for(arguments, ("--log-format",), ("json",)) else log_format,
    )


def _asked_for(arguments: list[str], options: tuple[str, ...], known: tuple[str, ...]) -> str | None:
    """Return the value of an option on a command line that nobody parsed yet, when it is a known one."""
    for word, following in zip(arguments, [*arguments[1:], ""], strict=False):
        if word == "--":
            return None
        if word in options:
            return following if following in known else None
        for option in options:
            value = word.removeprefix(option).removeprefix("=")
            if word.startswith(option) and value in known:
                return value
    return None
