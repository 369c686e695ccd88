"""Put the pages of the site together: what stands in docs/ and beside it, and the pages made of the commands.

``python docs/assemble.py FOLDER`` writes them there. Links between files that are pages lead to pages; those to other
files of the repository lead to where everybody can read them. docs/README.md is the table of contents of the site.
"""

from __future__ import annotations

import posixpath
import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

from difyops.api.capabilities import _DSL_VERSIONS, _SINCE
from difyops.cli.explain import EXIT_CODES, errors
from difyops.cli.help import topics
from difyops.cli.manual import markdown
from difyops.cli.manual.kinds import commands_of
from difyops.cli.manual.page import chapters
from difyops.cli.root import SECTIONS
from difyops.cli.schema import data_of, kinds
from difyops.plugins import OURS
from difyops.runbook.parameters import Parameter
from difyops.runbook.registry import tools

ROOT = Path(__file__).parents[1]
REPOSITORY = "https://github.com/difyops/difyops/blob/main/"
BESIDE = {
    "README.md": "index.md", "CHANGELOG.md": "changelog.md", "CONTRIBUTING.md": "contributing.md",
    "SECURITY.md": "security-policy.md",
}  # fmt: skip
MADE = ("commands/index", "exit-codes", "json-kinds", "checks-and-actions", "help-topics")
LINK = re.compile(r"(?<=\]\()(?!https?://|#|mailto:)([^)#\s]+)")


def main(folder: Path) -> None:
    """Write every page into a folder, which is made anew."""
    shutil.rmtree(folder, ignore_errors=True)
    for place, page in pages().items():
        target = folder / place
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(page, encoding="utf-8")
    shutil.copy(ROOT / "docs" / "terminal.svg", folder)
    shutil.copytree(ROOT / "docs" / "_static", folder / "_static")


def pages() -> dict[str, str]:
    """Return every page by its place on the site."""
    written = {place: page_of_file(source, place) for source, place in sources().items()}
    written["index.md"] += "\n" + contents()
    written["decisions/index.md"] += "\n" + markdown.toctree(LINK.findall(written["decisions/index.md"]))
    written["versions.md"] += "\n" + "\n".join(capabilities()) + "\n"
    return {**written, **made()}


def sources() -> dict[str, str]:
    """Return which file of the repository becomes which page."""
    docs = ROOT / "docs"
    below = {str(path.relative_to(ROOT)): str(path.relative_to(docs)) for path in sorted(docs.rglob("*.md"))}
    del below["docs/README.md"]
    return {**{source: page.replace("README.md", "index.md") for source, page in below.items()}, **BESIDE}


def page_of_file(source: str, place: str) -> str:
    """Return a file as a page: links lead where they lead on the site."""
    known = sources()

    def led(found: re.Match[str]) -> str:
        target = posixpath.normpath(posixpath.join(posixpath.dirname(source), found[1]))
        if target in known:
            return posixpath.relpath(known[target], posixpath.dirname(place) or ".")
        if target == "docs/README.md":
            return posixpath.relpath("index.md", posixpath.dirname(place) or ".")
        return found[0] if target.endswith(".svg") else REPOSITORY + target

    text = LINK.sub(led, (ROOT / source).read_text(encoding="utf-8")).replace("(docs/terminal.svg)", "(terminal.svg)")
    text = re.sub(r"<!-- (?:test|file): .*? -->\n", "", text)
    return text.replace("```cron\n", "```text\n")


def contents() -> str:
    """Return the contents of the site: the sections of docs/README.md, then what is made of the program."""
    parts: list[str] = []
    listed = {"index"}
    text = (ROOT / "docs" / "README.md").read_text(encoding="utf-8")
    for section in text.split("\n## ")[1:]:
        title, _, rest = section.partition("\n")
        names = [name.removesuffix(".md").replace("README", "index") for name in LINK.findall(rest)]
        parts.append(markdown.toctree(dict.fromkeys(names), caption=title))
        listed |= {*names}
    parts.append(markdown.toctree(MADE, caption="Look up"))
    others = [place.removesuffix(".md") for place in sources().values() if "decisions/" not in place]
    left = [name for name in others if name not in listed]  # what lies beside docs/, and what no section names yet
    return "\n\n".join([*parts, markdown.toctree(left, caption="Project")]) + "\n"


def made() -> dict[str, str]:
    """Return the pages that are made of the program."""
    by_noun = {chapter.noun: chapter for chapter in chapters()}
    every = [page for chapter in by_noun.values() for page in chapter.pages]
    names = {page.name for page in every}
    printed = {kind: commands_of(kind, names) for kind in kinds()}
    found = {}
    for page in every:
        mine = [kind for kind, commands in printed.items() if page.name in commands]
        found[f"commands/{page.slug}.md"] = markdown.command_page(page, kinds=mine, exit_codes=EXIT_CODES)
    for chapter in by_noun.values():
        if not chapter.is_one_command:
            found[f"commands/{chapter.noun}.md"] = markdown.noun_page(chapter)
    sections = {title: [by_noun[noun] for noun in nouns if noun in by_noun] for title, nouns in SECTIONS.items()}
    found["commands/index.md"] = markdown.commands_index(sections)
    said = [(error.code, error.exit_code, " ".join((error.__doc__ or "").split())) for error in errors()]
    words = topics()["exit-codes"].partition("\n\n    ")[0].partition("\n")[2].strip()
    words = (
        words or "The tool broke (1) and the thing is bad (5) are different answers; `difyops explain CODE` tells more."
    )
    found["exit-codes.md"] = markdown.exit_codes_page(EXIT_CODES, said, words)
    found["json-kinds.md"] = markdown.kinds_page({kind: data_of(kind) for kind in printed}, printed)
    found["help-topics.md"] = help_topics()
    found["checks-and-actions.md"] = checks_and_actions()
    return found


def help_topics() -> str:
    """Return what ``difyops help TOPIC`` tells, on one page."""
    told = [f"#{text.strip()}\n\n`difyops help {name}`" for name, text in topics().items() if name != "exit-codes"]
    return "\n\n".join(["# Help topics", "What `difyops help` tells in a terminal.", *told]) + "\n"


def checks_and_actions() -> str:
    """Return the checks and actions that runbooks can name, with their parameters."""
    parts = [
        "# Checks and actions",
        "What the steps of a [runbook](runbooks.md) can be; `difyops runbook show NAME` tells the same.",
    ]
    for title, kind in (("Checks", "check"), ("Actions", "action")):
        parts.append(f"## {title}")
        ours = {name: tool for name, tool in tools(kind).items() if tool.origin == OURS}
        for name, tool in sorted(ours.items()):
            parts += [f"### {name}", *(markdown.escaped(" ".join(part.split())) for part in tool.help.split("\n\n"))]
            if rows := [(item.name, parameter(item)) for item in tool.parameters.values()]:
                parts.append(markdown.definitions(rows))
    return "\n\n".join(parts) + "\n"


def parameter(item: Parameter) -> str:
    """Return what a parameter takes, and what it is where it is left out."""
    if item.required:
        return f"{item.shown}, required"
    return f"{item.shown}, optional" if item.default is None else f"{item.shown}, default {item.default}"


def capabilities() -> Iterator[str]:
    """Yield the table of what a server can do, as the program has it."""
    yield from ("## The table that the program reads", "")
    yield from markdown.since_table(_SINCE, _DSL_VERSIONS)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
