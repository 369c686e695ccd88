"""What the page of one command holds, read from its parser."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from difyops.cli.help_text import EVERYWHERE
from difyops.cli.root import GROUPS
from difyops.cli.table import CommandEntry, entries

Record = tuple[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """One command: what is typed, what it does, its parameters as ``--help`` shows them, its examples."""

    name: str
    usage: str
    sentence: str
    paragraphs: tuple[str, ...]
    arguments: tuple[Record, ...]
    options: tuple[Record, ...]
    everywhere: tuple[Record, ...]
    examples: tuple[str, ...]

    @property
    def slug(self) -> str:
        """Return its name as a file has it."""
        return self.name.replace(" ", "-")


@dataclass(frozen=True, slots=True, kw_only=True)
class Chapter:
    """One noun with its commands; a noun that is a command itself has one page of the same name."""

    noun: str
    about: str
    pages: tuple[Page, ...]

    @property
    def is_one_command(self) -> bool:
        """Say whether the noun is typed alone."""
        return [page.name for page in self.pages] == [self.noun]


def chapters() -> Iterator[Chapter]:
    """Yield every noun in the order of the help; all doors are imported."""
    found: dict[str, list[Page]] = {}
    for entry in entries():
        found.setdefault(entry.words[0], []).append(page_of(entry))
    for noun, pages in found.items():
        yield Chapter(noun=noun, about=GROUPS[noun][1], pages=tuple(pages))


def page_of(entry: CommandEntry) -> Page:
    """Read the parser of one command."""
    context = entry.parser.make_context(f"difyops {entry.name}", [], resilient_parsing=True)
    records: dict[str, list[Record]] = {"arguments": [], "options": [], "everywhere": []}
    for item in entry.parser.get_params(context):
        if (record := item.get_help_record(context)) is not None:
            is_shared = item.name in EVERYWHERE or item.name == "help"
            kind = "arguments" if item.param_type_name == "argument" else "everywhere" if is_shared else "options"
            records[kind].append((record[0], record[1]))
    paragraphs = [" ".join(part.split()) for part in re.split(r"\n\s*\n", entry.text)]
    rest = paragraphs[0].removeprefix(entry.sentence).strip()
    return Page(
        name=entry.name,
        usage=" ".join([f"difyops {entry.name}", *entry.parser.collect_usage_pieces(context)]),
        sentence=entry.sentence,
        paragraphs=tuple(part for part in (rest, *paragraphs[1:]) if part),
        arguments=tuple(records["arguments"]),
        options=tuple(records["options"]),
        everywhere=tuple(records["everywhere"]),
        examples=entry.examples,
    )
