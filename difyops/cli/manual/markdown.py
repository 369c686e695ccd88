"""Pages of the site as Markdown (MyST): a command, a noun, exit codes, kinds of JSON, what servers can do."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from difyops.cli.help_text import folded
from difyops.cli.manual.page import Chapter, Page, Record

Schema = Mapping[str, Any]


def command_page(page: Page, *, kinds: Iterable[str], exit_codes: Mapping[int, tuple[str, str]]) -> str:
    """Return the page of one command."""
    parts = [f"# difyops {page.name}", escaped(page.sentence), *map(escaped, page.paragraphs)]
    parts.append(_block([folded(page.usage, 76)]))
    for title, records in (("Arguments", page.arguments), ("Options", page.options)):
        if records:
            parts += [f"## {title}", definitions(records)]
    if page.examples:
        parts += ["## Examples", _block(f"$ {folded(line, 76)}" for line in page.examples)]
    parts += ["## Options of every command", definitions(page.everywhere)]
    parts += ["## How it ends", _codes(exit_codes)]
    if named := [f"[`{kind}`](../json-kinds.md#{anchor(kind)})" for kind in kinds]:
        parts.append(f"With `-o json` the envelope's `kind` is {' or '.join(named)}.")
    return "\n\n".join(parts) + "\n"


def noun_page(chapter: Chapter) -> str:
    """Return the page of a noun: its commands, one sentence each."""
    rows = [(f"[{page.name}]({page.slug}.md)", escaped(page.sentence)) for page in chapter.pages]
    order = [page.slug for page in chapter.pages]
    parts = [f"# difyops {chapter.noun}", escaped(chapter.about), _list(rows), toctree(order)]
    return "\n\n".join(parts) + "\n"


def commands_index(sections: Mapping[str, Iterable[Chapter]]) -> str:
    """Return the page that leads to all nouns, in the sections of ``--help``."""
    parts = ["# Commands", "As `difyops --help` lists them. Each page is made of the command itself."]
    order = []
    for title, chapters in sections.items():
        if rows := [(f"[{found.noun}]({found.noun}.md)", escaped(found.about)) for found in chapters]:
            parts += [f"## {title}", _list(rows)]
            order += [found.noun for found in chapters]
    return "\n\n".join([*parts, toctree(order)]) + "\n"


def exit_codes_page(
    exit_codes: Mapping[int, tuple[str, str]], errors: Iterable[tuple[str, int, str]], words: str
) -> str:
    """Return the page of exit codes, with the codes of errors under each; ``words`` come first."""
    known = sorted(errors)
    parts = ["# Exit codes", words]
    for number, (word, meaning) in exit_codes.items():
        rows = [(f"`{code}`", escaped(said)) for code, ends, said in known if ends == number]
        parts += [f"## {number}: {word}", escaped(meaning), *([_list(rows)] if rows else [])]
    return "\n\n".join(parts) + "\n"


def kinds_page(schemas: Mapping[str, Schema], commands: Mapping[str, Iterable[str]]) -> str:
    """Return the page of all kinds: which commands print one, and the fields of its rows."""
    parts = [
        "# Kinds of JSON",
        "`-o json` prints one envelope: `schema` (`difyops/v1`), `kind`, `ok`, `data`, `warnings`, `error`. What "
        "`data` holds depends on the kind. Fields may be added by a later version; none is taken away. "
        "`difyops schema KIND` prints the whole JSON Schema, this page its uppermost fields.",
    ]
    for kind, schema in schemas.items():
        rows, is_list = (schema.get("items", {}), True) if "array" in _types(schema) else (schema, False)
        named = [f"[{name}](commands/{name.replace(' ', '-')}.md)" for name in commands[kind]]
        parts.append(f"({anchor(kind)})=\n## {kind}")
        shape = "a list, each row an object:" if is_list else "an object:"
        parts.append(f"{', '.join(named)}; {shape}" if named else f"{shape[0].upper()}{shape[1:]}")
        if fields := rows.get("properties"):
            sure = set(rows.get("required", ()))
            lines = [
                f"| `{name}` | {' or '.join(_types(field)) or 'any'}{'' if name in sure else ', not always there'} |"
                for name, field in fields.items()
            ]
            parts.append("\n".join(["| field | type |", "|---|---|", *lines]))
    return "\n\n".join(parts) + "\n"


def toctree(names: Iterable[str], *, caption: str = "") -> str:
    """Return what tells Sphinx the order of pages, without showing it on the page."""
    options = [":hidden:", *([f":caption: {caption}"] if caption else [])]
    return "\n".join(["```{toctree}", *options, "", *names, "```"])


def anchor(kind: str) -> str:
    """Return the name under which other pages find a kind."""
    return f"kind-{kind.replace('.', '-').replace('_', '-')}"


def escaped(text: str) -> str:
    """Return plain text as Markdown that shows it: what stands in double backticks becomes code."""
    parts = re.split(r"``(.+?)``|`(.+?)`", text)
    return "".join(_piece(number % 3, part) for number, part in enumerate(parts) if part)


def _piece(place: int, part: str) -> str:
    return f"`{part}`" if place else re.sub(r"([\\`*_<>\[\]|#$~{}])", r"\\\1", part)


def _types(schema: Schema) -> list[str]:
    found = schema.get("type", [])
    return sorted([found] if isinstance(found, str) else found, key=lambda name: (name == "null", name))


def _block(lines: Iterable[str]) -> str:
    return "\n".join(["```console", *lines, "```"])


def _list(rows: Iterable[Record]) -> str:
    return "\n".join(f"- {name}: {said}" for name, said in rows)


def definitions(records: Iterable[Record]) -> str:
    """Return names with what is said of each."""
    return "\n\n".join(f"`{name}`\n: {escaped(said) or '.'}" for name, said in records)


def _codes(exit_codes: Mapping[int, tuple[str, str]]) -> str:
    named = " · ".join(f"`{number}` {escaped(word)}" for number, (word, _) in exit_codes.items())
    return f"{named}. [What each means](../exit-codes.md)."


def since_table(since: Mapping[str, tuple[int, ...]], dsl: Iterable[tuple[tuple[int, ...], str]]) -> Iterator[str]:
    """Yield the lines of the tables of what a server can do from which version on."""
    yield from ("| what | since |", "|---|---|")
    for name, version in sorted(since.items(), key=lambda item: item[1]):
        yield f"| {name.replace('_', ' ')} | {'.'.join(map(str, version))} |"
    yield from ("", "| a server of | writes DSL |", "|---|---|")
    for version, written in sorted(dsl):
        yield f"| {'.'.join(map(str, version)) if any(version) else 'before'} | {written} |"
