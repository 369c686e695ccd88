"""Names on Tab, from what was listed last: no server is asked, nothing heavy is loaded; a missing APP is asked for."""

from __future__ import annotations

import os
from pathlib import Path

from difyops.cli.completion import completer_for
from difyops.cli.picker import chosen
from difyops.emulator import Emulator
from tests.cli.processes import on_terminal
from tests.cli.test_startup import HEAVY, loaded_by, tab
from tests.conftest import Cli

TABS = {
    "app show su": "support-triage",
    "app list tag:": ":prod",
    "snapshot rollback support-triage --to v": "v1",
    "app list -c ": "127.0.0.1",
    "secret rotate app": "app-key",
    "runbook run back": "backup-freshness",
    "app list -o js": "json",
    "snapshot drift --as ju": "junit",
    "help sel": "selectors",
    "schema app.l": "app.list",
}


def test_names_are_completed(cli: Cli, still_world: Emulator) -> None:
    assert cli("app", "list").code == 0
    still_world.control.reset_counts()
    for (typed, offered), (loaded, shown) in zip(TABS.items(), loaded_by(*map(tab, TABS)), strict=True):
        assert offered in shown, typed
        assert loaded & HEAVY == set(), typed
    assert still_world.control.counts()["total"] == 0


def test_nothing_known_offers_nothing(own_place: Path) -> None:
    complete = completer_for("[SELECTOR]...")
    assert complete is not None
    assert complete("x") == []


def test_a_folder_that_cannot_be_written_hurts_nobody(cli: Cli, connected: str, own_place: Path) -> None:
    state = Path(os.environ["DIFYOPS_STATE"])
    assert cli("app", "list").code == 0
    (state / "completion.json").unlink()
    (state / "completion.json").mkdir()
    assert cli("app", "list").code == 0


def test_a_missing_app_is_asked_for_on_a_terminal_only(cli: Cli, connected: str) -> None:
    assert cli("app", "list").code == 0
    assert cli("app", "show").code == 2
    shown = on_terminal(["app", "show"], environment=dict(os.environ), typed="wf-echo\n", question=b"Which app?")
    assert (shown.code, "live version" in shown.text) == (0, True)
    assert (chosen(["a", "b"], "2"), chosen(["abc", "abd"], "ab"), chosen(["abc"], "B")) == ("b", None, "abc")
