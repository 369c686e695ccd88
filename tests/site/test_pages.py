"""The pages of the site: every link leads somewhere, every command has its page, what is shown is what is there."""

from __future__ import annotations

import posixpath
import re
import runpy
import shlex
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from difyops.cli.explain import EXIT_CODES, errors
from difyops.cli.manual.kinds import ELSEWHERE, OF_MANY, commands_of
from difyops.cli.schema import kinds
from difyops.cli.table import entries

ROOT = Path(__file__).parents[2]
ASSEMBLE = runpy.run_path(str(ROOT / "docs" / "assemble.py"))
COMMANDS = {entry.name: entry for entry in entries()}


@pytest.fixture(scope="module")
def pages() -> dict[str, str]:
    found: dict[str, str] = ASSEMBLE["pages"]()
    return found


def slug(heading: str) -> str:
    """Return the anchor of a heading, as GitHub and MyST make it."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def anchors(page: str) -> set[str]:
    text = re.sub(r"```.*?```", "", page, flags=re.DOTALL)
    headings = re.findall(r"^#{1,4} (.+)$", text, re.MULTILINE)
    return {*map(slug, headings), *re.findall(r"^\(([\w-]+)\)=$", text, re.MULTILINE)}


def test_every_link_leads_somewhere(pages: dict[str, str]) -> None:
    for place, page in pages.items():
        for target, mark in re.findall(r"\]\((?!https?://)([^)#\s]*)(?:#([^)]*))?\)", page):
            there = posixpath.normpath(posixpath.join(posixpath.dirname(place), target)) if target else place
            assert there in pages or there == "terminal.svg", (place, target)
            assert not mark or mark in anchors(pages[there]), (place, target, mark)


def test_links_into_the_repository_lead_to_files(pages: dict[str, str]) -> None:
    there = re.escape(ASSEMBLE["REPOSITORY"]) + r"([^)#\s]+)"
    named = {name for page in pages.values() for name in re.findall(there, page)}
    assert {name for name in named if not (ROOT / name).exists()} == set()


def test_every_page_stands_in_the_contents(pages: dict[str, str]) -> None:
    listed = set()
    for place, page in pages.items():
        for tree in re.findall(r"```{toctree}\n(.*?)```", page, re.DOTALL):
            for line in tree.splitlines():
                if line and not line.startswith(":"):
                    name = posixpath.normpath(posixpath.join(posixpath.dirname(place), line.removesuffix(".md")))
                    listed.add(f"{name}.md")
    assert {*pages} - listed == {"index.md"}
    assert listed <= {*pages}


def test_every_command_has_a_page_that_says_what_its_help_says(pages: dict[str, str]) -> None:
    for name, entry in COMMANDS.items():
        page = pages[f"commands/{name.replace(' ', '-')}.md"]
        assert f"# difyops {name}\n" in page
        for option in {
            option
            for item in entry.parser.params
            if not getattr(item, "hidden", False)
            for option in item.opts
            if option[:2] == "--"
        }:
            assert option in page, (name, option)
        unfolded = page.replace(" \\\n", " ").replace("      ", " ")
        shown = " ".join(unfolded.split())
        assert all(" ".join(line.split()) in shown for line in entry.examples), name


def test_every_exit_code_error_and_kind_can_be_looked_up(pages: dict[str, str]) -> None:
    for number in EXIT_CODES:
        assert f"\n## {number}: " in pages["exit-codes.md"]
    for error in errors():
        assert f"- `{error.code}`: " in pages["exit-codes.md"]
    for kind in kinds():
        assert f"\n## {kind}\n" in pages["json-kinds.md"]


def test_every_kind_is_some_command_s() -> None:
    source = "".join(path.read_text() for path in (ROOT / "difyops").rglob("*.py"))
    named = {*re.findall(r'Outcome\(\s*kind="([a-z._]+)"', source), *kinds()}
    assert len(named) > 100
    assert {kind for kind in named if not commands_of(kind, COMMANDS)} <= OF_MANY
    assert {name for listed in ELSEWHERE.values() for name in listed} <= {*COMMANDS}


@pytest.mark.parametrize("page", ["docs/recipes.md"])
def test_a_file_is_shown_as_it_is(page: str) -> None:
    shown = re.findall(r"<!-- file: (\S+) -->\n```\w+\n(.*?\n)```\n", (ROOT / page).read_text(), re.DOTALL)
    assert len(shown) == 8
    for place, text in shown:
        assert text == (ROOT / place).read_text().rstrip("\n") + "\n", place


def test_the_use_of_the_action_is_one() -> None:
    text = re.findall(
        r"<!-- test: action -->\n```yaml\n(.*?)```", (ROOT / "docs" / "recipes.md").read_text(), re.DOTALL
    )
    (step,) = yaml.safe_load(text[0])
    action = yaml.safe_load((ROOT / "action.yml").read_text())
    assert set(step["with"]) <= set(action["inputs"])
    for line in step["with"]["run"].splitlines():
        assert parsed(line.split())


def test_commands_named_in_passing_are_commands() -> None:
    for path in (ROOT / "docs").rglob("*.md"):
        for line in re.findall(r"(?<!`)`difyops ([a-z][^`|]*?)`", path.read_text()):
            words = line.split()
            assert parsed([word for word in words if not re.search(r"[A-Z]{2,}|\.\.\.|[<>~]", word)], strict=False), (
                line
            )


def test_every_line_that_is_shown_is_one_that_the_parser_takes() -> None:
    """Those of a console are run as well, by the tests of their pages."""
    seen = 0
    for path in (ROOT / "README.md", *(ROOT / "docs").rglob("*.md")):
        for block in re.findall(r"```(?:sh|console|cron|text)\n(.*?)```", path.read_text(), re.DOTALL):
            for line in re.findall(r"(?:^|[|;&(*$] *)(?:difyops )+([a-z].*)", block.replace("\\\n", " "), re.MULTILINE):
                words = shlex.split(re.split(r" \|\|? | > |; | && ", line)[0], comments=True)
                assert parsed(words), f"{path.name}: {line}"
                seen += 1
    assert seen >= 150


def parsed(words: list[str], *, strict: bool = True) -> Any:
    """Return what the parser makes of a line; one that is told shortly needs only name a command or a noun."""
    for length in range(min(3, len(words)), 0, -1):
        if (entry := COMMANDS.get(" ".join(words[:length]))) is not None:
            return entry.parser.make_context("page", words[length:]) if strict else entry
    return not strict and any(name.startswith(words[0]) for name in COMMANDS)


@pytest.mark.long
def test_the_site_is_built_without_a_warning(tmp_path: Path) -> None:
    done = subprocess.run(
        ["make", "--no-print-directory", "-n", "docs"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    for line in done.stdout.splitlines():
        if line.startswith(".venv/bin/python"):
            subprocess.run(["bash", "-c", line.replace("build/", f"{tmp_path}/")], cwd=ROOT, check=True)
    assert (tmp_path / "site" / "commands" / "snapshot-rollback.html").stat().st_size > 5000
