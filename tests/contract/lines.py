"""The command lines that the help of every command shows, as words for the ``cli`` fixture."""

from __future__ import annotations

import os
import shlex
from pathlib import Path

from difyops.cli.table import CommandEntry, entries

ENTRIES = tuple(entries())
_READS = frozenset(
    (
        "list", "show", "log", "status", "history", "check", "drift", "diff", "verify", "summary", "nodes",
        "bottlenecks", "trend", "compare", "whatif", "report", "advise", "stats", "top", "forecast", "lint", "doctor",
        "draft", "explain", "help", "schema",
    )
)  # fmt: skip


def examples(entry: CommandEntry) -> list[list[str]]:
    """Return the words of a command's examples, without what a shell does with their output."""
    return [shlex.split(line.partition(" > ")[0])[1:] for line in entry.examples]


def reading(entry: CommandEntry) -> bool:
    """Say whether a command only looks, by its name."""
    return entry.words[-1] in _READS and entry.name != "snapshot doctor"


def bare(words: list[str]) -> list[str]:
    """Return a command line without what asks for a document: ``-o`` and ``--as``, each with its value."""
    drop = {place for place, word in enumerate(words) if word in ("-o", "--output", "--as", "--to-file")}
    return [word for place, word in enumerate(words) if place not in drop and place - 1 not in drop]


def tree(folder: Path) -> dict[str, bytes]:
    """Return every file below with its content, but for what a login keeps and what SQLite makes while it reads."""
    return {name: Path(f"{folder}/{name}").read_bytes() for name in marks(folder)}


def marks(folder: Path) -> dict[str, tuple[int, int]]:
    """Return size and time of every file that ``tree`` reads: where they are the same, nothing was written."""
    found = {}
    for place, _, names in os.walk(folder):
        if "/sessions" in place:
            continue
        for name in names:
            path = f"{place}/{name}"
            if not name.endswith(("-shm", "-wal")) and os.path.isfile(path):  # noqa: PTH113 - thousands of them
                seen = os.stat(path)  # noqa: PTH116
                found[path.removeprefix(f"{folder}/")] = (seen.st_size, seen.st_mtime_ns)
    return found
