"""Starting is quick because nothing heavy is loaded before it is needed, and completion is part of starting."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

import difyops
from difyops.cli.root import GROUPS
from tests.cli.processes import piped

HEAVY = {
    "httpx", "httpcore", "git", "jsonschema", "jsonschema_rs", "json_repair", "keyring", "pydantic", "aiohttp",
    "starlette", "uvicorn", "sqlite3", "rich", "tabulate", "yaml", "platformdirs", "hypothesis",
}  # fmt: skip
LOOK = """
import contextlib, io, json, os, sys
from difyops.cli.root import run
for words, environment in json.loads(sys.argv[1]):
    os.environ.update(environment)
    with contextlib.redirect_stdout(io.StringIO()) as shown, contextlib.suppress(SystemExit):
        run(words)
    loaded = {name.partition(".")[0] for name, module in sys.modules.items() if module}
    sys.stderr.write("\\nLOADED" + json.dumps([sorted(loaded), shown.getvalue()]))
"""


def loaded_by(*runs: tuple[list[str], dict[str, str]]) -> list[tuple[set[str], str]]:
    """Return what a fresh interpreter had loaded after each of these command lines, and what each printed.

    One interpreter does them all: what is loaded by one is loaded for the next, and each is looked at.
    """
    done = subprocess.run(
        [sys.executable, "-c", LOOK, json.dumps(runs)], capture_output=True, text=True, timeout=120, check=False
    )
    told = [json.loads(line.removeprefix("LOADED")) for line in done.stderr.split("\n") if line.startswith("LOADED")]
    assert len(told) == len(runs), done.stderr
    return [(set(loaded), shown) for loaded, shown in told]


def tab(typed: str) -> tuple[list[str], dict[str, str]]:
    """Return the run in which zsh asks for what may follow."""
    words = f"difyops {typed}"
    return [], {"_DIFYOPS_COMPLETE": "complete_zsh", "_TYPER_COMPLETE_ARGS": words, "COMP_WORDS": words}


def test_help_and_version_load_nothing_heavy() -> None:
    lines = [
        ["--help"],
        ["-h"],
        ["--version"],
        [],
        *([noun, "--help"] for noun in GROUPS),
        ["snapshot", "create", "-h"],
    ]
    for words, (loaded, shown) in zip(lines, loaded_by(*((words, {}) for words in lines)), strict=True):
        assert loaded & HEAVY == set(), words
        assert "difyops" in shown


def test_completion_loads_nothing_heavy() -> None:
    lines = ["", "sn", "snapshot ", "snapshot ro", "app enable --", "context add --"]
    for typed, (loaded, shown) in zip(lines, loaded_by(*map(tab, lines)), strict=True):
        assert loaded & HEAVY == set(), typed
        assert shown.strip()


@pytest.mark.parametrize(
    ("typed", "offered"),
    [("", set(GROUPS)), ("sn", {"snapshot"}), ("app ", {"list", "show", "enable", "disable"}), ("app en", {"enable"})],
)
def test_completion_offers_nouns_and_verbs(typed: str, offered: set[str]) -> None:
    words = f"difyops {typed}"
    environment = {"_DIFYOPS_COMPLETE": "complete_bash", "COMP_WORDS": words, "COMP_CWORD": str(words.count(" "))}
    assert offered <= set(piped(environment=environment).stdout.split())


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_completion_script_is_there_to_copy(shell: str) -> None:
    script = piped(environment={"_DIFYOPS_COMPLETE": f"source_{shell}"}).stdout
    assert "_DIFYOPS_COMPLETE" in script


def test_the_version_is_one_line_and_the_package_s() -> None:
    done = piped("--version")
    assert (done.returncode, done.stdout, done.stderr) == (0, f"difyops {difyops.__version__}\n", "")


def test_the_help_names_every_noun() -> None:
    shown = piped("--help").stdout
    for noun, (_, text) in GROUPS.items():
        assert noun in shown
        assert text.split()[0] in shown


@pytest.mark.parametrize("noun", ["context", "app", "snapshot", "emulator"])
def test_a_noun_alone_shows_its_help_and_is_a_usage_error(noun: str) -> None:
    done = piped(noun)
    assert done.returncode == 2
    assert "Usage: difyops" in done.stdout + done.stderr


def test_the_help_fits_eighty_columns() -> None:
    for words in (["--help"], ["app", "enable", "--help"], ["context", "add", "--help"]):
        assert max(len(line) for line in piped(*words, environment={"COLUMNS": "80"}).stdout.splitlines()) <= 80
