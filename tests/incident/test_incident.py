"""``difyops incident``: what changed beside what fails; back with proof; on record whatever ends it."""

from __future__ import annotations

import os
import pty
import select
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from difyops.emulator import Emulator
from tests.conftest import Cli
from tests.incident.conftest import BROKEN, Trouble
from tests.processes import Process

pytestmark = pytest.mark.usefixtures("connected")


@pytest.fixture
def broken(trouble: Trouble) -> str:
    """Break wf-llm ten minutes ago, and let wf-echo fail for its provider; return the version that worked."""
    llm, echo = trouble.emulator.app_named("wf-llm"), trouble.emulator.app_named("wf-echo")
    before = trouble.published("wf-llm", ago=600)
    trouble.ran(llm, ago=3600, until=700)
    trouble.ran(llm, ago=590, until=5, count=9, failing=0.8, error=BROKEN)
    trouble.ran(echo, ago=3600, until=5, failing=0.5)
    return before


def test_without_a_terminal_it_prints_the_picture_and_the_commands(
    cli: Cli, broken: str, emulator: Emulator, trouble: Trouble
) -> None:
    emulator.control.reset_counts()
    ran = cli("incident", "-o", "json")
    assert ran.code == 5, ran.err
    data = ran.json["data"]
    rows = {app["name"]: app for app in data["picture"]["apps"]}
    assert [app["name"] for app in data["picture"]["apps"]][:2] == ["wf-llm", "wf-echo"]
    llm = rows["wf-llm"]
    assert (llm["verdict"], llm["back_to"], llm["before"]["failed"]) == ("suspect", broken, 0)
    assert llm["now"]["failed"] >= 2
    assert BROKEN in llm["error"]
    assert (rows["wf-echo"]["verdict"], rows["wf-echo"]["now"]["failed"]) == ("failing", 0)
    assert rows["wf-echo"]["provider"] > 0
    assert rows["chat-basic"]["verdict"] == "well"
    (command,) = data["commands"]
    (planned,) = data["plans"]
    assert (planned["app_id"], planned["target"], planned["problems"]) == (llm["id"], broken, [])
    assert planned["changes"]
    shown = cli("incident").out
    assert "# Roll back wf-llm" in shown
    assert shown.index("# Roll back wf-llm") < shown.index("difyops snapshot rollback")
    assert command.split()[:4] == ["difyops", "snapshot", "rollback", llm["id"]]
    routes: dict = dict(emulator.control.counts())["routes"]  # type: ignore[assignment]
    assert all(route.startswith("GET") or "login" in route or "current" in route for route in routes)
    assert cli("incident", "--list", "-o", "json").json["data"] == []
    done = cli(*command.split()[1:], "--message", "agreed with Ann", "--yes")
    assert done.code == 0, done.err
    assert trouble.colleague.live(llm["id"])["marked_comment"]
    table = cli("incident")
    assert "difyops snapshot rollback" not in table.out
    assert table.out.count("snapshot.rollback") == 1, "the change, not each of its steps"
    rows = {app["name"]: app for app in cli("incident", "-o", "json").json["data"]["picture"]["apps"]}
    assert rows["wf-llm"]["back_to"] is None, "the version before a rollback is the bad one"
    assert rows["wf-llm"]["why"].startswith("rolled back; ")


def test_with_yes_the_suspects_go_back_and_stand_on_record(cli: Cli, broken: str, trouble: Trouble) -> None:
    assert cli("incident", "--dry-run", "--yes").code == 5
    ran = cli("incident", "--yes", "-o", "json")
    assert ran.code == 0, ran.err
    (way,) = ran.json["data"]["ways"]
    assert (way["app"], way["state"], way["to"]) == ("wf-llm", "rolled back", broken)
    assert "proofs hold" in way["text"]
    (kept,) = cli("incident", "--list", "-o", "json").json["data"]
    assert kept["ended"]
    report = cli("incident", "--show", "latest", "-o", "markdown").out
    assert "wf-llm" in report
    assert "rolled back" in report
    assert BROKEN in report
    assert cli("incident", "--show", kept["id"][:6]).code == 0
    assert cli("incident", "--show", "nothing").code == 2


def test_an_app_that_cannot_go_back_is_named_and_the_rest_goes_on(
    cli: Cli, broken: str, emulator: Emulator, trouble: Trouble
) -> None:
    hook = emulator.app_named("wf-hook")
    trouble.published("wf-hook", ago=600, change=_renamed)
    trouble.ran(hook, ago=590, until=5, count=9, failing=0.9, error=BROKEN)
    emulator.control.fail(method="POST", path=f"{hook.id}/workflows/publish", how="status:500", times=9)
    ran = cli("incident", "--yes", "-o", "json")
    assert ran.code == 3, ran.err
    states = {way["app"]: way["state"] for way in ran.json["data"]["ways"]}
    assert states == {"wf-llm": "rolled back", "wf-hook": "failed"}
    assert cli("incident", "--list", "-o", "json").json["data"][0]["ended"]


def test_an_app_that_cannot_be_read_is_told(cli: Cli, trouble: Trouble, emulator: Emulator) -> None:
    emulator.control.fail(path=f"{emulator.app_named('wf-echo').id}/workflow-app-logs", how="status:500", times=99)
    ran = cli("incident", "-o", "json")
    assert ran.code == 3
    unread = [app["name"] for app in ran.json["data"]["picture"]["apps"] if app["verdict"] == "unread"]
    assert unread == ["wf-echo"]


def test_a_quiet_instance_is_well_and_many_apps_are_not_all_read(cli: Cli, trouble: Trouble) -> None:
    ran = cli("incident", "--most", "2", "-o", "json")
    assert ran.code == 0, ran.err
    assert len(ran.json["data"]["picture"]["apps"]) == 2
    assert ran.json["data"]["picture"]["not_looked_at"] == 6
    assert "6 that nobody changed were not looked at" in cli("incident", "--most", "2").err
    assert cli("incident", "--list", "--show", "x").code == 2
    assert cli("incident", "no-such-app").code == 2


def test_a_chat_app_that_was_saved_goes_back_to_the_newest_snapshot(cli: Cli, trouble: Trouble) -> None:
    app = trouble.colleague.app_id("chat-basic")
    trouble.colleague.set_config(app, lambda config: config.update(pre_prompt="BROKEN"))
    (row,) = cli("incident", "chat-basic", "-o", "json").json["data"]["picture"]["apps"]
    assert (row["verdict"], row["back_to"]) == ("changed", "latest")
    assert row["changed_at"]
    assert "saved at" in row["change"]


def test_on_a_terminal_it_asks_which_and_shows_the_plan_first(
    broken: str, trouble: Trouble, url: str, tmp_path: Path
) -> None:
    said = _typed(["incident"], ["", "y"], tmp_path)
    assert "saved anew" not in said
    assert "Which go back?" in said
    assert said.index("Which go back?") < said.index("Go ahead?") < said.index("rolled back")
    assert trouble.colleague.live(trouble.emulator.app_named("wf-llm").id)["id"] != broken
    assert "rolled back" in _typed(["incident", "--list"], [], tmp_path)


def test_nobody_is_chosen_and_nothing_is_changed(broken: str, trouble: Trouble, url: str, tmp_path: Path) -> None:
    app = trouble.emulator.app_named("wf-llm").id
    live = trouble.colleague.live(app)["id"]
    said = _typed(["incident"], ["none"], tmp_path)
    assert "Go ahead?" not in said
    assert "difyops snapshot rollback" in said
    assert trouble.colleague.live(app)["id"] == live


def test_a_slip_is_asked_again_and_the_look_is_not_lost(
    broken: str, trouble: Trouble, url: str, tmp_path: Path
) -> None:
    app = trouble.emulator.app_named("wf-llm").id
    live = trouble.colleague.live(app)["id"]
    said = _typed(["incident"], ["99", "wf-llm", "n"], tmp_path)
    assert "'99' is none of" in said
    assert said.count("Which go back?") == 2
    assert said.index("'99' is none of") < said.index("Go ahead?")
    assert trouble.colleague.live(app)["id"] == live


def _renamed(document: dict[str, Any]) -> None:
    document["graph"]["nodes"][-1]["data"]["title"] = "Renamed"


def test_what_a_colleague_published_while_the_question_was_open_is_left_alone(
    broken: str, trouble: Trouble, url: str, tmp_path: Path
) -> None:
    app = trouble.emulator.app_named("wf-llm").id

    def mended() -> None:
        trouble.colleague.edit(app, _renamed)
        trouble.colleague.publish(app, "mended")

    said = _typed(["incident"], ["", "y"], tmp_path, meanwhile=mended)
    assert "saved anew" in " ".join(said.split())
    assert "Go ahead?" not in said
    assert trouble.colleague.live(app)["marked_name"] == "mended"


def _typed(words: list[str], lines: list[str], folder: Path, meanwhile: Callable[[], None] | None = None) -> str:
    """Run difyops on a terminal, answer each question with the next line, return what was seen."""
    mine, its = pty.openpty()
    with Process([sys.executable, "-m", "difyops", *words], stdin=its, stdout=its, stderr=its, cwd=folder) as process:
        os.close(its)
        seen, left = b"", list(lines)
        asked = 0
        while process.poll() is None or select.select([mine], [], [], 0)[0]:
            if not select.select([mine], [], [], 0.2)[0]:
                continue
            try:
                piece = os.read(mine, 65536)
            except OSError:
                break
            if not piece:
                break
            seen += piece
            questions = seen.count(b"Which go back?") + seen.count(b"Go ahead?")
            if left and questions > asked:
                asked = questions
                if meanwhile:
                    meanwhile()
                    meanwhile = None
                time.sleep(0.05)
                os.write(mine, (left.pop(0) + "\n").encode())
        process.wait(60)
    os.close(mine)
    return seen.decode("utf-8", "replace")


def test_every_command_of_the_page(cli: Cli, broken: str) -> None:
    page = (Path(__file__).parents[2] / "docs" / "incidents.md").read_text()
    lines = [line[2:] for line in page.splitlines() if line.startswith("$ ")]
    for line in lines:
        words, _, said = line.partition("#")
        expected = int(said.split()[-1]) if said else 0
        assert cli(*words.partition(" > ")[0].split()[1:]).code == expected, line
    assert len(lines) == 4
