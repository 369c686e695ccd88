"""``difyops release`` from the command line: plans as files, refusals, formats."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from difyops.emulator import Emulator
from tests.cli.processes import on_terminal
from tests.conftest import Cli
from tests.release.conftest import better
from tests.snapshot.colleague import Colleague


@pytest.fixture
def app(cli: Cli, connected: str, emulator: Emulator) -> str:
    colleague = Colleague(connected, str(emulator.admin_key), emulator.workspace_id)
    app_id = colleague.app_id("wf-echo")
    colleague.edit(app_id, better)
    return app_id


def test_a_plan_is_a_file_that_nobody_changes_unseen(cli: Cli, app: str) -> None:
    done = cli("release", "plan", "wf-echo", "--plan", "p.json", "--no-shadow", "-o", "json")
    assert done.code == 0, done.err
    written = json.loads(Path("p.json").read_text())
    assert done.json["data"] == written
    assert done.json["data"]["app_id"] == app
    assert "boom" not in Path("p.json").read_text()
    dry = cli("release", "apply", "p.json", "--dry-run")
    assert dry.code == 0
    assert cli("release", "apply", "p.json").code == 8  # nobody said yes
    written["gates"]["alpha"] = 0.4
    Path("p.json").write_text(json.dumps(written))
    changed = cli("release", "apply", "p.json", "--yes")
    assert changed.code == 8
    assert "was changed after the plan was made" in changed.err
    assert cli("release", "status", "-o", "json").json["data"] == []


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("plan", "wf-echo", "--snapshot", "v1", "--file", "x.yml"), 2, "exclude each other"),
        (("plan", "wf-echo", "--alpha", "2"), 2, "between 0 and 0.5"),
        (("plan", "wf-echo", "--inputs", "none.jsonl"), 2, "there is no such file"),
        (("plan", "wf-llm"), 8, "nothing to release"),
        (("plan", "chat-basic"), 6, "has no draft"),
        (("plan", "nobody"), 2, "nobody"),
        (("apply", "none.yaml"), 2, "none.yaml cannot be read"),
        (("abort", "wf-echo", "--yes"), 2, "under way or held"),
        (("status", "wf-echo"), 2, "No release of 'wf-echo'"),
    ],
)
def test_what_cannot_be_is_said_in_a_sentence(cli: Cli, app: str, words: tuple[str, ...], code: int, said: str) -> None:
    done = cli("release", *words)
    assert done.code == code, done.err
    assert said in done.err


def test_a_release_is_shown_in_every_format_and_aborted(cli: Cli, app: str) -> None:
    assert cli("release", "plan", "wf-echo", "--no-shadow").code == 0
    held = cli("release", "apply", "wf-echo.release.yaml", "--yes", "--wait", "0s", "-o", "json")
    assert held.code == 3
    assert held.json["data"]["state"] == "held"
    for form in ("table", "markdown", "yaml", "ndjson", "name"):
        assert "held" in cli("release", "status", "-o", form).out or form == "name"
    assert cli("release", "abort", "wf-echo").code == 8
    done = cli("release", "abort", "wf-echo", "--yes", "-o", "json")
    assert done.code == 0
    assert done.json["data"]["state"] == "undone"
    assert "release" in cli("changes", "log").out
    assert cli("release", "status", "-o", "json").json["data"][0]["state"] == "aborted"


def test_a_person_at_a_terminal_is_asked_what_becomes_of_a_held_release(
    cli: Cli, emulator: Emulator, connected: str
) -> None:
    colleague = Colleague(connected, str(emulator.admin_key), emulator.workspace_id)
    app = colleague.app_id("wf-echo")
    former = colleague.live(app)["graph"]
    colleague.edit(app, better)
    assert cli("release", "plan", "wf-echo", "--plan", "p.yaml", "--no-shadow").code == 0
    shown = on_terminal(["release", "apply", "p.yaml", "--wait", "0s"], typed="y\nb\n")
    assert "Keep the new version (k), go back (b), or leave it held (Enter)?" in shown.text, shown.text
    assert "aborted" in shown.text
    assert shown.code == 3
    assert colleague.live(app)["graph"] == former
