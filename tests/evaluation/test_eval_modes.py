"""``eval run`` of every mode that has an answer: chatflows, chats, completions, agent apps."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from difyops.emulator import Emulator
from tests.conftest import Cli
from tests.snapshot.agent_author import AgentAuthor
from tests.snapshot.colleague import Colleague


def write(file: Path, *cases: dict[str, Any]) -> str:
    file.write_text("".join(json.dumps(case) + "\n" for case in cases))
    return str(file)


def words(ran: Any) -> dict[str, str]:
    return {row["id"]: row["word"] for row in ran.json["data"]["rows"]}


@pytest.mark.usefixtures("connected")
@pytest.mark.parametrize("name", ["flow-chat", "chat-basic", "agent", "completion-basic"])
def test_apps_that_are_asked_a_question(cli: Cli, tmp_path: Path, name: str) -> None:
    inputs = {"query": "hello"} if name == "completion-basic" else {}
    asked = {"query": "hello", "inputs": inputs}
    cases = write(
        tmp_path / "cases.jsonl",
        {"id": "good", **asked, "expect": [{"contains": "hello"}, {"contains": "hello", "at": "answer"}]},
        {"id": "bad", **asked, "expect": [{"exact": "something else"}]},
        {"id": "down", "query": "x [[fail=server]]", "inputs": {"query": "x [[fail=server]]"} if inputs else {}},
    )  # fmt: skip
    ran = cli("eval", "run", name, cases, "--to", "one.json", "-o", "json")
    assert ran.code == 5, ran.err
    assert words(ran) == {"good": "pass", "bad": "fail", "down": "not judged"}
    rows = {row["id"]: row for row in ran.json["data"]["rows"]}
    assert rows["good"]["tokens"] > 0
    assert rows["good"]["run_id"]  # of a chat that of its message: eval record takes it
    again = cli("eval", "record", name, "--run", rows["good"]["run_id"], "--content", "--to", "r.jsonl", "-o", "json")
    assert again.code == 0, again.err
    assert again.json["data"]["cases"][0]["inputs" if inputs else "query"] == (inputs or "hello")
    assert cli("eval", "compare", "one.json", "one.json").code in (0, 3)


class TestAgents:
    """Agent apps: their live version is a soul."""

    @pytest.fixture
    def emulator(self) -> Emulator:
        return Emulator("1.16.1")

    def test_an_agent_app(self, cli: Cli, emulator: Emulator, connected: str, tmp_path: Path) -> None:
        helper = AgentAuthor(Colleague(connected, str(emulator.admin_key), emulator.workspace_id))
        cases = write(tmp_path / "c.jsonl", {"id": "one", "query": "hello", "expect": [{"contains": "hello"}]})
        never = cli("eval", "run", "helper", cases)
        assert never.code == 8
        assert "never published" in never.err
        helper.fill()
        helper.publish("first")
        helper.call("POST", f"/apps/{helper.app_id}/api-keys", {})
        ran = cli("eval", "run", "helper", cases, "--to", "one.json", "-o", "json")
        assert (ran.code, words(ran)) == (0, {"one": "pass"}), ran.err
        bound = ran.json["data"]["bound"]
        assert (bound["mode"], bound["version"]) == ("agent", helper.live_id())
        assert [model.partition(" ")[0] for model in bound["models"]] == ["langgenius/openai/openai/gpt-4o-mini"]
        assert "canary" not in ran.out
        helper.say("You are another one.")
        helper.publish("second")
        moved = cli("eval", "run", "helper", cases, "--to", "two.json", "-o", "json")
        assert moved.json["data"]["bound"]["content"] != bound["content"]
        assert cli("eval", "compare", "one.json", "two.json").code == 0
