"""Help as a product: groups, whole sentences, two examples a command that can be typed as they are, typos answered."""

from __future__ import annotations

import re

import pytest

from difyops.cli.root import GROUPS, SECTIONS
from difyops.cli.table import CommandEntry
from tests.conftest import Cli
from tests.contract.lines import ENTRIES, examples


def name_of(entry: CommandEntry) -> str:
    return entry.name


@pytest.mark.parametrize("entry", ENTRIES, ids=name_of)
def test_two_examples_that_the_parser_takes(entry: CommandEntry) -> None:
    assert len(entry.examples) >= 2
    for line, words in zip(entry.examples, examples(entry), strict=True):
        assert line.startswith(f"difyops {entry.name}")
        assert len(line) <= 118
        entry.parser.make_context(entry.name, words[len(entry.words) :])


@pytest.mark.parametrize("entry", ENTRIES, ids=name_of)
def test_one_whole_sentence_a_command(entry: CommandEntry) -> None:
    assert re.match(r"[A-Z].*[.?]$", entry.sentence), entry.sentence
    assert "..." not in entry.sentence


def test_every_noun_has_its_section(cli: Cli) -> None:
    shown = cli("--help").out
    assert set(GROUPS) <= {name for names in SECTIONS.values() for name in names}
    places = [shown.index(f"\n{title}:\n") for title in SECTIONS]
    assert places == sorted(places)


@pytest.mark.parametrize("columns", ["40", "80", "140"])
@pytest.mark.parametrize("words", [(), ("snapshot",), ("snapshot", "rollback"), ("cost", "budget"), ("slo",)])
def test_help_cuts_no_sentence(cli: Cli, monkeypatch: pytest.MonkeyPatch, columns: str, words: tuple[str, ...]) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    told = cli(*words, "--help").out
    assert not re.search(r"\w\.\.\.$", told, re.MULTILINE)
    assert "``" not in told


@pytest.mark.parametrize(
    ("words", "meant"),
    [
        (["snapsot"], "snapshot"),
        (["snap"], "snapshot"),
        (["snapshot", "rolback"], "rollback"),
        (["cost", "budgt", "set"], "budget"),
        (["cost", "budget", "sett"], "set"),
        (["app", "list", "--ouput", "json"], "--output"),
        (["app", "enable", "x", "--sit"], "--site"),
        (["app", "list", "-o", "jsn"], "json"),
        (["secret", "rotate", "app-kye", "x"], "app-key"),
        (["snapshot", "drift", "--as", "junti"], "junit"),
        (["runbook", "run", "backup-freshnes"], "backup-freshness"),
        (["context", "show", "prodd"], "prod"),
        (["help", "exit-code"], "exit-codes"),
        (["explain", "needs_confirm"], "needs_confirmation"),
        (["schema", "app.lst"], "app.list"),
        (["app", "show", "suport-triage"], "support-triage"),
        (["emulator", "start", "--mood", "flakey"], "flaky"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else value,
)
@pytest.mark.usefixtures("world")
def test_a_misspelt_word_is_answered_with_what_was_meant(
    cli: Cli, monkeypatch: pytest.MonkeyPatch, words: list[str], meant: str
) -> None:
    monkeypatch.setenv("DIFYOPS_CONFIG", "later.yaml")
    ran = cli(*words)
    assert ran.code in (1, 2), ran
    asked = ran.err.replace("'", "").partition("Did you mean ")[2]
    assert asked.startswith(meant)


def test_a_verb_without_its_noun_is_told_with_it(cli: Cli) -> None:
    ran = cli("drift")
    assert ran.code == 2
    assert "Did you mean difyops snapshot drift?" in ran.err


@pytest.mark.parametrize("words", ["-c prod snapshot list", "snapshot -o json list", "--config x.yaml app list"])
def test_an_option_before_its_command_is_told_where_it_stands(cli: Cli, words: str) -> None:
    ran = cli(*words.split())
    assert ran.code == 2
    assert "here: options stand behind the command" in ran.err + ran.out
