"""What ``--help`` shows: whole sentences, a command's own options before those of every command, its examples.

A command's docstring is its help. What follows a line ``Examples:`` in it are command lines, shown as they are.
"""

from __future__ import annotations

import difflib
import re
from typing import Any

from typer import TyperException
from typer.core import TyperCommand, TyperGroup

EVERYWHERE = (
    "output", "contexts", "config_file", "store", "yes", "dry_run", "deadline", "quiet", "verbose", "log_format",
)  # fmt: skip
_MARK = "\n\nExamples:\n"


def parts_of(docstring: str | None) -> tuple[str, tuple[str, ...]]:
    """Return the text of a cleaned docstring and the command lines of its examples."""
    said, _, examples = (docstring or "").partition(_MARK)
    return said.strip(), tuple(line.strip() for line in examples.splitlines() if line.strip())


def first_sentence(said: str) -> str:
    """Return the first sentence of a help text, whole: cut ones mislead."""
    return re.split(r"(?<=[.?!])\s", " ".join(said.split()), maxsplit=1)[0]


def close_to(word: str, known: list[str]) -> str:
    """Return ``Did you mean ...?`` with the names closest to a misspelt one, or nothing."""
    beginning = [name for name in known if len(word) > 1 and name.startswith(word)]
    found = beginning or difflib.get_close_matches(word, known, n=3, cutoff=0.6)
    return f" Did you mean {' or '.join(map(repr, found[:3]))}?" if found else ""


def folded(line: str, width: int) -> str:
    """Return a command line on as many lines as it needs, each but the last ending in a backslash."""
    rows = [""]
    for word in re.findall(r"""(?:[^\s"']|"[^"]*"|'[^']*')+""", line):
        if rows[-1] and len(rows[-1]) + len(word) + 1 > width:
            rows.append("    ")
        rows[-1] += word if not rows[-1].strip() else f" {word}"
    return " \\\n  ".join(rows)


def with_meant(message: str, hint: str | None) -> str | None:
    """Return the hint of an error, after ``Did you mean ...?`` where it lists the words that would have been right."""
    pieces = message.split("'")
    listed = (hint or "").partition("One of: ")[2] or message.partition("(known: ")[2].partition(")")[0]
    if len(pieces) < 3 or not listed:
        return hint
    meant = close_to(pieces[1], [name.strip(" '.") for name in listed.split(",")]).strip()
    return " ".join(part for part in (meant, hint) if part) or None


def as_typed(text: str) -> str:
    """Return a help text for a terminal: the docs' double marks around words to type become single ones."""
    return text.replace("``", "`")


class Command(TyperCommand):
    """A command; its epilog holds the examples, one a line."""

    def get_help(self, ctx: Any) -> str:
        """Return the whole help."""
        return as_typed(super().get_help(ctx))

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Read the words; at a terminal a missing app is asked for."""
        try:
            return super().parse_args(ctx, list(args))
        except TyperException as error:
            if type(error).__name__ != "MissingParameter" or ctx.resilient_parsing:
                raise
            from difyops.cli.picker import picked

            app = picked(error.param)  # type: ignore[attr-defined]
            if app is None:
                raise
        return super().parse_args(ctx, [*args, app])

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write arguments, the options of this command, and those that mean the same everywhere."""
        groups: dict[str, list[tuple[str, str]]] = {"Arguments": [], "Options": [], "Options of every command": []}
        for item in self.get_params(ctx):
            record = item.get_help_record(ctx)
            if record is None:
                continue
            is_shared = item.name in EVERYWHERE or item.name == "help"
            kind = "Options of every command" if is_shared else "Options"
            groups["Arguments" if item.param_type_name == "argument" else kind].append(record)
        for title, records in groups.items():
            if records:
                with formatter.section(title):
                    formatter.write_dl(records)

    def format_epilog(self, ctx: Any, formatter: Any) -> None:
        """Write the examples as they are typed; long ones go on after a backslash, so that they can be copied."""
        lines = (self.epilog or "").splitlines()
        if lines:
            with formatter.section("Examples"):
                formatter.write("".join(f"  {folded(line, formatter.width - 4)}\n" for line in lines))


class Noun(TyperGroup):
    """A group whose commands are listed with whole sentences, and whose misspelt commands are told what was meant."""

    def get_help(self, ctx: Any) -> str:
        """Return the whole help."""
        return as_typed(super().get_help(ctx))

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """List the commands."""
        found = [(name, self.get_command(ctx, name)) for name in self.list_commands(ctx)]
        with formatter.section("Commands"):
            formatter.write_dl([(name, first_sentence(item.help or "")) for name, item in found if item is not None])

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Find the command that is meant, or end with the closest names."""
        known = self.list_commands(ctx)
        if args and args[0] not in known and not ctx.resilient_parsing and not args[0].startswith("-"):
            ctx.fail(f"No such command {args[0]!r}.{close_to(args[0], known)}")
        return super().resolve_command(ctx, args)
