"""Tab is answered from a file, in the parser's own words, and without loading it."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pytest
from hatchling.builders.wheel import WheelBuilder
from typer._completion_classes import BashComplete, ZshComplete
from typer.main import get_command

import difyops
from difyops import __version__
from difyops.cli import completion_tree
from difyops.cli.quick_completion import FILE, ZSH, _for_zsh, _offered, answer, stamp
from difyops.cli.root import commands, root
from difyops.cli.table import entries


@pytest.fixture(scope="module")
def tree() -> dict[str, object]:
    made = completion_tree.tree(__version__, commands())
    return json.loads(json.dumps(made))["root"]  # type: ignore[no-any-return]


def lines() -> list[list[str]]:
    """Lines that end where Tab is pressed: each command bare, at its options, at the values of some."""
    found = [[""], ["s"], ["-"], ["snapshot", ""], ["snapshot", "-"], ["nothing", ""], ["snapshot", "nothing", ""]]
    for number, entry in enumerate(entries()):
        words = list(entry.words)
        found += [[*words, ""], [*words, "--"], [*words, "x", ""], [*words, "-q", "--d"]]
        options = [item for item in parser_options(entry.parser) if item.startswith("--")]
        found += [[*words, options[number % len(options)], ""], [*words, "-o", ""]]
    return found


def parser_options(parser: object) -> list[str]:
    return [name for item in getattr(parser, "params", ()) for name in getattr(item, "opts", ())]


def test_every_answer_is_the_parsers(tree: dict[str, object], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DIFYOPS_STATE", str(tmp_path))
    names = {"last": "here", "contexts": ["here"], "instances": {"here": {"apps": ["app: one", "two"], "tags": ["t"]}}}
    (tmp_path / "completion.json").write_text(json.dumps(names))
    parser = BashComplete(get_command(root), {}, "difyops", "_DIFYOPS_COMPLETE")
    told = answered = 0
    for line in lines():
        quick = _offered(tree, line[:-1], line[-1])
        answered += quick is not None
        if quick is not None:
            wanted = [(item.value, item.help or "") for item in parser.get_completions(line[:-1], line[-1])]
            if len(line) == 1:  # nouns stand with the sentence of the table, whole
                quick, wanted = [(name, "") for name, _ in quick], [(name, "") for name, _ in wanted]
            assert quick == wanted, line
            told += len(quick)
    assert answered > 0.9 * len(lines())
    assert told > 2000


def test_zsh_is_told_in_the_parsers_form() -> None:
    parser = ZshComplete(get_command(root), {}, "difyops", "_DIFYOPS_COMPLETE")
    items = [item for item in parser.get_completions(["snapshot", "create"], "-") if "\n" not in (item.help or "")]
    shown = _for_zsh([(item.value, item.help or "") for item in items])
    for item in items:
        assert f'"{item.value}"' in shown
    assert _for_zsh([]) == "_files"
    assert _for_zsh([("a:b'$`", "")]) == "_arguments '*: :((\"a\\\\:b''\\$\\`\"))'"


@pytest.fixture
def edited(monkeypatch: pytest.MonkeyPatch) -> str:
    """Be where no installation wrote the file for these commands; returns what brings a process there."""
    monkeypatch.setattr(sys, "prefix", "/nowhere")
    return "import os, sys; sys.prefix = '/nowhere'; from difyops.cli import main\n"


def test_the_first_tab_leaves_the_file_and_the_next_needs_no_parser(tmp_path: Path, edited: str) -> None:
    environment = {
        "PATH": "/usr/bin:/bin",
        "PYTHONPATH": str(Path(difyops.__file__).parents[1]),
        "DIFYOPS_STATE": str(tmp_path),
        "COMP_WORDS": "difyops snapshot ro",
        "COMP_CWORD": "2",
        "_DIFYOPS_COMPLETE": "complete_bash",
    }
    assert answer(environment) is None
    first = subprocess.run(
        [sys.executable, "-c", f"{edited}main()"],
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (first.stdout, first.stderr) == ("rollback\n", "")
    deadline = time.monotonic() + 200
    while not (tmp_path / FILE).exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    watch = f"{edited}try: main()\nfinally: print(sorted(sys.modules))"
    words = [sys.executable, "-c", watch]
    second = subprocess.run(words, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert second.stdout.startswith("rollback\n"), second.stderr
    assert not {"typer", "pathlib", "typing", "asyncio"} & set(
        second.stdout.replace("'", " ").replace(",", " ").split()
    )


@pytest.mark.usefixtures("edited")
def test_a_file_of_other_commands_is_not_believed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DIFYOPS_STATE", str(tmp_path))
    asked = {"_DIFYOPS_COMPLETE": "complete_bash", "COMP_WORDS": "difyops sn", "COMP_CWORD": "1"}
    completion_tree.write(tmp_path, stamp(), commands())
    assert answer(asked) == "snapshot"
    completion_tree.write(tmp_path, "0.0.1 1", commands())
    assert answer(asked) is None
    (tmp_path / FILE).write_text("{")
    assert answer(asked) is None


def test_an_editable_installation_brings_the_file_and_the_first_tab_needs_no_parser(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (wheel,) = WheelBuilder(str(Path(difyops.__file__).parents[1])).build(
        directory=str(tmp_path), versions=["editable"]
    )
    with zipfile.ZipFile(wheel) as archive:
        (name,) = [name for name in archive.namelist() if name.endswith(f"/data/share/difyops/{FILE}")]
        place = tmp_path / "share" / "difyops"
        place.mkdir(parents=True)
        (place / FILE).write_bytes(archive.read(name))
    monkeypatch.setattr(sys, "prefix", str(tmp_path))
    monkeypatch.setenv("DIFYOPS_STATE", str(tmp_path / "empty"))
    asked = {"_DIFYOPS_COMPLETE": "complete_bash", "COMP_WORDS": "difyops snapshot ro", "COMP_CWORD": "2"}
    assert answer(asked) == "rollback"


def test_zsh_completes_at_its_first_call(tmp_path: Path) -> None:
    zsh = shutil.which("zsh")
    if zsh is None:
        pytest.skip("there is no zsh")
    (tmp_path / "_difyops").write_text(ZSH)
    program = tmp_path / "difyops"
    program.write_text('#!/bin/sh\necho "print -r -- asked $_TYPER_COMPLETE_ARGS"\n')
    program.chmod(0o755)
    script = (
        f"fpath=({tmp_path}); path=({tmp_path} $path); autoload -Uz _difyops; compdef() {{ print defined }}\n"
        "words=(difyops sn); CURRENT=2; _difyops; _difyops"
    )
    done = subprocess.run([zsh, "-f", "-c", script], capture_output=True, text=True, timeout=120, check=False)
    assert done.stdout.splitlines() == ["asked difyops sn"] * 2, done.stderr
