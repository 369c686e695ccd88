"""Several selectors and ``@file`` everywhere: a command that takes apps takes many, or says why it takes one."""

from __future__ import annotations

from typing import Any

import pytest

from difyops.cli.table import CommandEntry
from tests.conftest import Cli
from tests.contract.lines import ENTRIES, bare, examples

ONE = {
    "app versions": "the versions of one app; fleets are asked with snapshot list and drift",
    "app run": "one run; broadcast asks many",
    "app resume": "answers the form of one run",
    "app reject": "answers the form of one run",
    "perf": "one report about one app; history status is the table of all",
    "cost advise": "one report about one app; cost summary is the table of all",
    "trigger fire": "one call to one address",
    "snapshot doctor": "the id of one change, or its app: changes list is the table of all",
    "snapshot show": "one document of a snapshot",
    "snapshot log": "the history of one app; without one, snapshot list is that of all",
    "release": "one plan, carried out as one; release promote takes many",
    "changes": "the id of one change, or its app: changes list is the table of all",
    "eval": "the cases of one app",
    "webhook watch": "runs one app for each event",
    "emulator": "plays what one other person does",
}


def arguments(entry: CommandEntry) -> list[Any]:
    """Return the parameters that stand for apps, by the word that the help shows."""
    words = ("APP", "SELECTOR")
    return [item for item in entry.parser.params if any(word in (item.metavar or "").split("=")[0] for word in words)]


def reason(entry: CommandEntry) -> str | None:
    names = [" ".join(entry.words[:size]) for size in (2, 1)]
    return next((ONE[name] for name in names if name in ONE), None)


def is_several(item: Any) -> bool:
    return bool(item.nargs == -1 or getattr(item, "multiple", False))


TAKING = [(entry, item) for entry in ENTRIES for item in arguments(entry) if item.param_type_name == "argument"]
SEVERAL = [(entry, item) for entry, item in TAKING if is_several(item)]


def name_of(value: object) -> str:
    return value.name.strip() if isinstance(value, CommandEntry) else ""


def test_commands_take_several_apps_or_say_why_not() -> None:
    one = {entry.name for entry, item in TAKING if not is_several(item)}
    assert {name for name in one if not any(reason(entry) for entry in ENTRIES if entry.name == name)} == set()
    assert {name for name in ONE if not any(f"{taking} ".startswith(f"{name} ") for taking in one)} == set()


@pytest.mark.parametrize(("entry", "item"), SEVERAL, ids=name_of)
@pytest.mark.usefixtures("still_world")
def test_a_file_of_selectors_is_read(cli: Cli, monkeypatch: pytest.MonkeyPatch, entry: CommandEntry, item: Any) -> None:
    words = [word for word in bare(examples(entry)[0]) if word not in ("--bindings", "bindings.yaml")]
    if "staging" in words:
        monkeypatch.setenv("DIFYOPS_CONFIG", "later.yaml")
    given = entry.parser.make_context(entry.name, words[len(entry.words) :]).params[item.name] or []
    assert "@file" in item.help
    ran = cli(*(word for word in words if word not in given), "@nobody.txt")
    assert (ran.code, "The selector file nobody.txt cannot be read" in ran.err) == (2, True), ran
