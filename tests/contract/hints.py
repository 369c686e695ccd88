"""The command lines that stand in a hint, held to the real parsers: the command exists, options and arguments fit."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator

import typer
from typer._click.exceptions import ClickException

from tests.contract.lines import ENTRIES

_COMMANDS = {entry.words: entry.parser for entry in ENTRIES}
_GROUPS = {entry.words[:size] for entry in ENTRIES for size in range(1, len(entry.words))}
_PROSE = frozenset(
    re.findall(
        r"\w+",
        "goes writes or and is shows tells lists has it says names where again on gives lets makes there for takes "
        "keeps with reads of in first then asks after before brings wants when to that once which stops puts does "
        "by accepts removes ",
    )
)


def commands_in(text: str) -> Iterator[list[str]]:
    """Yield the words of every command line in a text, without ``difyops``: up to a mark or a word that is prose."""
    for rest in re.split(r"(?<![\w/.-])difyops (?=[a-z])", text)[1:]:
        line = re.split(r"; | \(|\)|: |, |\. |\.$|,$|;$|:$|`|  #| — | -> ", rest)[0]
        try:
            words = shlex.split(line.rstrip("'\"") if line.count("'") % 2 or line.count('"') % 2 else line)
        except ValueError:
            words = line.split()
        size = next((at for at, word in enumerate(words) if at and word in _PROSE and words[:at] not in _heads()), None)
        yield words[:size]


def _heads() -> list[list[str]]:
    return [list(words) for words in _GROUPS]


def problems(text: str) -> list[str]:
    """Return what is wrong with the command lines in a hint, each with its reason."""
    found = []
    for words in commands_in(text):
        sizes = [size for size in (3, 2, 1) if tuple(words[:size]) in _COMMANDS]
        if not sizes:
            if tuple(words) not in _GROUPS and "--help" not in words and words[0] not in ("pass", "on", "with"):
                found.append(f"{' '.join(words)}: no such command")
            continue
        if {"-h", "--help"} & {*words}:
            continue
        try:
            _COMMANDS[tuple(words[: sizes[0]])].make_context("difyops", words[sizes[0] :])
        except ClickException as error:
            found.append(f"{' '.join(words)}: {error.format_message()}")
        except typer.Exit:
            found.append(f"{' '.join(words)}: nothing is named")
    return found
