"""The table of all commands, read from the doors: for tests that walk it, for man pages and for completion."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from difyops.cli.help_text import first_sentence
from difyops.cli.root import GROUPS, SECTIONS, command_of


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandEntry:
    """One command: the words that call it, its help text, its examples, the parser's own object."""

    words: tuple[str, ...]
    text: str
    examples: tuple[str, ...]
    parser: Any

    @property
    def name(self) -> str:
        """Return the words as they are typed after ``difyops``."""
        return " ".join(self.words)

    @property
    def sentence(self) -> str:
        """Return the first sentence of its help."""
        return first_sentence(self.text)


def entries() -> Iterator[CommandEntry]:
    """Yield every command in the order of the help; all doors are imported."""
    order = [name for names in SECTIONS.values() for name in names]
    for noun in sorted(GROUPS, key=lambda name: order.index(name) if name in order else len(order)):
        yield from _below((noun,), command_of(noun))


def _below(words: tuple[str, ...], parser: Any) -> Iterator[CommandEntry]:
    commands = getattr(parser, "commands", None)
    if commands is None:
        examples = tuple((parser.epilog or "").splitlines())
        yield CommandEntry(words=words, text=(parser.help or "").strip(), examples=examples, parser=parser)
        return
    for name, command in commands.items():
        yield from _below((*words, name), command)
