"""How output is to look: format, colour, width. Terminal and environment decide what the person did not say."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """``form`` is one of table, plain, json, yaml, ndjson, markdown, name; ``width`` counts columns."""

    form: str
    colour: bool
    width: int
    quiet: bool = False


def look_for(
    wanted: str | None, arguments: list[str], *, quiet: bool, environment: Mapping[str, str] | None = None
) -> Look:
    """Return the look for a format asked for (``-o``), or found on a command line that failed to parse."""
    env = os.environ if environment is None else environment
    terminal = sys.stdout.isatty()
    form = wanted or _asked_for(arguments) or "table"
    colour = terminal and not env.get("NO_COLOR") and not env.get("CI") and env.get("TERM") != "dumb"
    width = shutil.get_terminal_size((100, 24)).columns
    return Look(form="plain" if form == "table" and not terminal else form, colour=colour, width=width, quiet=quiet)


def _asked_for(arguments: list[str]) -> str | None:
    for place, word in enumerate(arguments):
        if word in ("-o", "--output") and place + 1 < len(arguments):
            return arguments[place + 1] if arguments[place + 1] in ("json", "yaml", "ndjson") else None
        for start in ("--output=", "-o=", "-o"):
            if word.startswith(start) and word.removeprefix(start) in ("json", "yaml", "ndjson"):
                return word.removeprefix(start)
    return None
