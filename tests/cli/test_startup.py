"""Starting is quick because nothing heavy is loaded before it is needed, and completion is part of starting."""

from __future__ import annotations

import json
import os
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
import json, sys
from difyops.cli.root import run
try:
    run(json.loads(sys.argv[1]))
except SystemExit:
    pass
finally:
    loaded = {name.partition(".")[0] for name, module in sys.modules.items() if module}
    sys.stderr.write("LOADED" + json.dumps(sorted(loaded)))
"""


def loaded_by(words: list[str], **environment: str) -> tuple[set[str], str]:
    done = subprocess.run(
        [sys.executable, "-c", LOOK, json.dumps(words)],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return set(json.loads(done.stderr.rpartition("LOADED")[2])), done.stdout


@pytest.mark.exhaustive(3)
@pytest.mark.parametrize(
    "words",
    [["--help"], ["-h"], ["--version"], [], *([noun, "--help"] for noun in GROUPS), ["snapshot", "create", "--help"]],
)
def test_help_and_version_load_nothing_heavy(words: list[str]) -> None:
    loaded, shown = loaded_by(words)
    assert loaded & HEAVY == set()
    assert "difyops" in shown


@pytest.mark.parametrize("typed", ["", "sn", "snapshot ", "snapshot ro", "app enable --", "context add --"])
def test_completion_loads_nothing_heavy(typed: str) -> None:
    loaded, shown = loaded_by(
        [], _DIFYOPS_COMPLETE="complete_zsh", _TYPER_COMPLETE_ARGS=f"difyops {typed}", COMP_WORDS=f"difyops {typed}"
    )
    assert loaded & HEAVY == set()
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
