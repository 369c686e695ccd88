"""``difyops help``: a topic of its own page, or the help of a command."""

from __future__ import annotations

from importlib import resources
from typing import Annotated, Any

import typer

from difyops.cli.door import command, group
from difyops.cli.session import Session
from difyops.errors import UsageError
from difyops.outcome import Outcome, Table

noun = group("Read about a topic: selectors, output, exit codes, cron, ...")


@command(noun, "help")
def help_(
    session: Session,
    topic: Annotated[
        list[str] | None, typer.Argument(metavar="[TOPIC|COMMAND...]", help="A topic, or the words of a command.")
    ] = None,
) -> Outcome:
    """Read about a topic, or show the help of a command; without one, list the topics.

    Examples:
        difyops help selectors
        difyops help snapshot rollback
    """
    pages = topics()
    if not topic:
        rows = [{"topic": name, "about": text.partition("\n")[0].lstrip("# ")} for name, text in pages.items()]
        table = Table(columns=("topic", "about"), rows=[tuple(row.values()) for row in rows])
        return Outcome(kind="help.topics", data=rows, blocks=[table], names=list(pages))
    name = "-".join(topic)
    if name in pages:
        text = pages[name]
        return Outcome(kind="help.topic", data={"topic": name, "text": text}, raw=text.encode(), names=[name])
    return _of_command(topic, list(pages))


def topics() -> dict[str, str]:
    """Return every page by its name: one file in ``topics`` is one topic."""
    folder = resources.files("difyops.cli") / "topics"
    found = {item.name.removesuffix(".md"): item for item in folder.iterdir() if item.name.endswith(".md")}
    return {name: found[name].read_text(encoding="utf-8") for name in sorted(found)}


def _of_command(words: list[str], pages: list[str]) -> Outcome:
    from typer.main import get_command

    from difyops.cli.root import GROUPS, root

    parser: Any = get_command(root)
    context, name = None, "difyops"
    for word in words:
        context = parser.make_context(name, [], parent=context, resilient_parsing=True)
        known = parser.list_commands(context) if hasattr(parser, "list_commands") else []
        if word not in known:
            choices = [*pages, *GROUPS] if len(words) == 1 else known
            listed = f"One of: {', '.join(choices)}."
            raise UsageError(f"There is no topic or command {word!r}.", hint=listed)
        parser, name = parser.get_command(context, word), word
    text = parser.make_context(name, [], parent=context, resilient_parsing=True).get_help() + "\n"
    return Outcome(kind="help.command", data={"command": " ".join(words), "text": text}, raw=text.encode())
