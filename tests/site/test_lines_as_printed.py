"""Lines that pages show for worlds of their own are run as printed; ``5a7c...`` stands for the id of a run."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest

from difyops.emulator import Emulator
from tests.conftest import Cli
from tests.emulator.humans import with_person
from tests.release.conftest import better
from tests.snapshot.colleague import Colleague, node

ROOT = Path(__file__).parents[2]
SHOWN = re.compile(r"^difyops (.*)$", re.MULTILINE)


def printed(page: str, words: str) -> list[str]:
    """Return the lines of a page that begin with these words, in their order."""
    found = [line for line in SHOWN.findall((ROOT / page).read_text()) if line.startswith(words)]
    assert found, (page, words)
    return found


def run(cli: Cli, line: str, run_id: str = "") -> None:
    done = cli(*(run_id if word == "5a7c..." else word for word in shlex.split(line, comments=True)))
    assert done.code == 0, (line, done.out, done.err)


@pytest.fixture
def colleague(connected: str, emulator: Emulator) -> Colleague:
    return Colleague(connected, str(emulator.admin_key), emulator.workspace_id)


def renamed(colleague: Colleague, name: str, to: str) -> str:
    app = colleague.app_id(name)
    colleague.call("POST", f"/apps/{app}/name", {"name": to})
    return app


def write(name: str, rows: list[dict[str, object]]) -> None:
    Path(name).write_text("".join(json.dumps(row) + "\n" for row in rows))


def test_runs_that_wait_for_a_person(cli: Cli, colleague: Colleague, emulator: Emulator) -> None:
    app = with_person(emulator)
    renamed(colleague, "wf-echo", "approvals")
    for line in (*printed("README.md", "app resume"), *printed("README.md", "app reject")):
        assert "waits for a person" in cli("app", "run", "approvals", "--input", "text=go").err
        run(cli, line, app.runs[-1].id)
        assert app.runs[-1].status == "succeeded"


def test_cases_are_made_of_what_happened(cli: Cli, colleague: Colleague, emulator: Emulator) -> None:
    app = emulator.app_named("wf-llm")
    renamed(colleague, "wf-llm", "support")
    assert cli("app", "run", "support", "--input", "query=hello [[fail=server]]").code != 0
    assert (
        cli("broadcast", "Are you well?", "--to", "support", "--to", "chat-basic", "--save", "answers.jsonl").code == 0
    )
    failed = app.runs[0]
    for name in ("created_at", "logged_at", "finished_at"):  # the newest two minutes are not closed yet
        setattr(failed, name, getattr(failed, name) - 600)
    assert cli("history", "sync", "support", "--nodes", "100%", "--content").code == 0
    for line in printed("docs/evaluation.md", "eval record"):
        run(cli, line, failed.id)


def test_cases_and_prices_are_gates_of_a_release(cli: Cli, colleague: Colleague) -> None:
    app = renamed(colleague, "wf-echo", "support")
    for number in range(12):
        colleague.run(app, {"text": f"hi {number}"})
    write("cases.jsonl", [
        {"id": str(number), "inputs": {"text": f"hi {number}"}, "expect": [{"contains": "HI"}]} for number in range(6)
    ])  # fmt: skip
    assert cli("snapshot", "create").code == 0
    assert cli("eval", "run", "support", "cases.jsonl", "--to", "kept.json").code == 0
    assert cli("eval", "baseline", "support", "kept.json").code == 0
    colleague.edit(app, better)
    for line in printed("docs/releases.md", "release plan support"):
        run(cli, line)


def test_a_smaller_model_is_planned_and_tried(cli: Cli, colleague: Colleague) -> None:
    app = renamed(colleague, "wf-llm", "support")
    colleague.edit(app, lambda draft: node(draft, "llm")["model"].update(name="gpt-4o"))
    colleague.publish(app)
    for number in range(136):
        colleague.run(app, {"query": f'[[delay=0]]{{"total": {number}}}'})
    Path("answer.json").write_text('{"type": "object", "required": ["total"]}')
    write("cases.jsonl", [
        {"id": str(number), "inputs": {"query": f"q{number} [[delay=0]]"}, "expect": [{"contains": "echo"}]}
        for number in range(70)
    ])  # fmt: skip
    assert cli("history", "sync", "support", "--nodes", "100%").code == 0
    for line in printed("docs/cost.md", "cost advise support"):
        run(cli, line)
