"""``difyops broadcast`` as a person, a pipe and cron see it, against an emulated instance."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from difyops.broadcast import saving
from difyops.emulator import Emulator
from tests.broadcast.agents import NASTY
from tests.conftest import Cli
from tests.processes import Process
from tests.waiting import wait_until

ALL_MODES = ("wf-llm", "flow-chat", "chat-basic", "agent", "completion-basic")


def answers(body: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {item["app"]: item for item in body["data"]["answers"]}


def to(*names: str) -> list[str]:
    return [word for name in names for word in ("--to", name)]


@pytest.mark.usefixtures("connected")
def test_apps_of_every_mode_answer_one_question(cli: Cli) -> None:
    ran = cli("broadcast", "hello", *to(*ALL_MODES), "-o", "json")
    found = answers(ran.json)
    assert ran.code == 0
    assert list(found) == list(ALL_MODES)
    assert all("hello" in item["text"] and item["tokens"] for item in found.values())
    assert found["chat-basic"]["price"]
    assert found["chat-basic"]["conversation_id"]
    assert sum(ran.json["data"]["counts"].values()) == len(ALL_MODES)


@pytest.mark.parametrize("version", ["1.9.1", "1.11.2", "1.13.3", "1.15"])
def test_it_works_on_every_version(cli: Cli, version: str, monkeypatch: pytest.MonkeyPatch) -> None:
    emulator = Emulator(version)
    with emulator.listening() as url:
        monkeypatch.setenv("DIFY_BASE_URL", url)
        monkeypatch.setenv("DIFY_EMAIL", emulator.email)
        monkeypatch.setenv("DIFY_PASSWORD", emulator.password)
        ran = cli("broadcast", "hello", *to(*ALL_MODES), "-o", "json")
    assert ran.code == 0, ran.err
    assert all(item["status"] == "answered" for item in answers(ran.json).values())


@pytest.mark.usefixtures("connected")
def test_one_failing_app_is_named_and_the_exit_code_is_three(cli: Cli) -> None:
    ran = cli("broadcast", "hello", *to("chat-basic", "wf-cron"), "-o", "json")
    assert ran.code == 3
    assert answers(ran.json)["chat-basic"]["status"] == "answered"
    assert answers(ran.json)["wf-cron"]["error"] == "bad_input"
    assert "wf-cron" in ran.json["error"]["message"]


def test_a_provider_fault_has_its_class(cli: Cli, emulator: Emulator, connected: str) -> None:
    emulator.control.mood("provider_down")
    ran = cli("broadcast", "hello", *to("chat-basic", "wf-llm"), "-o", "json")
    assert ran.code == 1
    assert {item["error"] for item in answers(ran.json).values()} == {"provider_down"}


@pytest.mark.usefixtures("connected")
def test_nobody_to_ask_is_a_usage_error(cli: Cli) -> None:
    assert cli("broadcast", "hello").code == 2
    assert cli("broadcast", "hello", "--to", "nobody").code == 2
    assert cli("broadcast", "", "--to", "all").code == 2
    assert cli("broadcast", "--to", "all").code == 2


def test_a_dry_run_calls_nothing_but_the_lists(cli: Cli, emulator: Emulator, connected: str) -> None:
    ran = cli("broadcast", "hello", "--to", "all", "--dry-run", "-o", "json")
    assert ran.code == 0
    assert len(ran.json["data"]["targets"]) == 8
    assert not emulator.control.counts()["apps"]


@pytest.mark.usefixtures("connected")
def test_a_budget_that_cannot_suffice_is_exit_seven_before_any_run(cli: Cli, emulator: Emulator) -> None:
    ran = cli("broadcast", "word " * 200, "--to", "all", "--max-tokens", "100")
    assert ran.code == 7
    assert not emulator.control.counts()["apps"]


@pytest.mark.usefixtures("connected")
def test_ndjson_is_one_answer_a_line_and_a_summary(cli: Cli) -> None:
    ran = cli("broadcast", "hello", *to("chat-basic", "agent", "wf-cron"), "-o", "ndjson")
    lines = [json.loads(line) for line in ran.out.splitlines()]
    assert [line["kind"] for line in lines] == ["answer", "answer", "answer", "summary"]
    assert [line["order"] for line in lines[:3]] == [1, 2, 3]
    assert lines[3]["counts"]["answered"] == 2
    assert lines[3]["error"]["code"] == "partial"


@pytest.mark.usefixtures("connected")
def test_saved_answers_are_not_asked_for_again(cli: Cli, emulator: Emulator, tmp_path: Path) -> None:
    file = tmp_path / "answers.ndjson"
    emulator.control.fail(method="POST", path="/v1/chat-messages", how="status:500")
    first = cli("broadcast", "hello", *to("chat-basic", "wf-llm"), "--save", file, "-o", "json")
    assert first.code == 3
    assert cli("broadcast", "hello", *to("chat-basic", "wf-llm"), "--save", file).code == 8
    emulator.control.reset_counts()
    second = cli("broadcast", *to("chat-basic", "wf-llm"), "--resume", file, "-o", "json")
    assert second.code == 0, second.err
    assert set(answers(second.json)) == {"chat-basic", "wf-llm"}
    assert second.json["data"]["earlier"] == 1
    asked = emulator.control.counts()["apps"]
    assert isinstance(asked, dict)
    assert emulator.app_named("wf-llm").id not in asked
    assert cli("broadcast", "other", *to("chat-basic"), "--resume", file).code == 8


@pytest.mark.usefixtures("connected")
def test_a_quorum_of_any_and_one_that_cannot_be_reached(cli: Cli, tmp_path: Path) -> None:
    ran = cli("broadcast", "hello", *to("chat-basic", "agent"), "--wait", "any", "--aggregate", "first", "-o", "json")
    assert ran.code == 0, ran.err
    assert ran.json["data"]["combined"]["value"] == "echo: hello"
    file = tmp_path / "none.ndjson"
    assert cli("broadcast", "hello", *to("chat-basic"), "--wait", "2", "--save", file).code == 2
    assert cli("broadcast", "hello", *to("chat-basic"), "--wait", "some").code == 2
    assert not file.exists()


@pytest.mark.usefixtures("connected")
def test_a_panel_is_a_one_liner_with_its_aggregator(cli: Cli, own_place: Path) -> None:
    panel = {"to": ["chat-basic", "agent"], "aggregate": "vote", "timeout": "30s"}
    (own_place / "difyops.yaml").write_text(json.dumps({"panels": {"review": panel}}))
    ran = cli("broadcast", "hello", "--panel", "review", "-o", "json")
    assert ran.code == 0, ran.err
    assert ran.json["data"]["combined"]["value"] == "echo: hello"
    assert ran.json["data"]["combined"]["details"]["margin"] == 2
    assert cli("broadcast", "hello", "--panel", "revue").code == 2


@pytest.mark.usefixtures("connected")
def test_a_judge_reads_the_answers_and_one_that_fails_loses_none(cli: Cli, emulator: Emulator) -> None:
    words = ("broadcast", "hello", *to("chat-basic", "agent"), "--aggregate", "judge:wf-llm", "-o", "json")
    good = cli(*words)
    assert good.code == 0, good.err
    assert "echo: hello" in good.json["data"]["combined"]["value"]
    emulator.control.fail(method="POST", path="/v1/workflows/run", how="status:500", times=9)
    bad = cli(*words)
    assert bad.code == 3
    assert all(item["status"] == "answered" for item in answers(bad.json).values())
    assert bad.json["data"]["combined"]["error"]


@pytest.mark.usefixtures("connected")
def test_what_the_judge_costs_counts_and_is_under_the_budget(cli: Cli, emulator: Emulator) -> None:
    words = ("broadcast", "hello", *to("chat-basic", "agent"), "-o", "json")
    alone = cli(*words).json["data"]["tokens"]
    judged = cli(*words, "--aggregate", "judge:wf-llm")
    assert judged.code == 0, judged.err
    assert judged.json["data"]["tokens"] > alone
    poor = cli(*words, "--aggregate", "judge:wf-llm", "--max-tokens", str(alone + 1))
    assert len([item for item in poor.json["data"]["answers"] if item["status"] == "answered"]) == 2
    assert poor.json["data"]["tokens"] == alone


@pytest.mark.usefixtures("connected")
def test_a_judge_that_is_not_there_is_refused_before_any_run(cli: Cli, emulator: Emulator) -> None:
    assert cli("broadcast", "hello", *to("chat-basic"), "--aggregate", "judge:nobody").code == 2
    assert not emulator.control.counts()["apps"]


def test_several_contexts_are_asked_at_once_and_a_dead_one_does_not_stop_the_others(cli: Cli, own_place: Path) -> None:
    one, two = Emulator(seed=1), Emulator(seed=2)
    with one.listening() as first, two.listening() as second:
        key = own_place / "key"
        key.write_text(str(one.admin_key))
        key.chmod(0o600)
        places = {"one": (first, one), "two": (second, two), "dead": ("http://127.0.0.1:9", one)}
        contexts = {
            name: {"url": url, "admin_key": f"file:{key}", "workspace_id": where.workspace_id}
            for name, (url, where) in places.items()
        }
        (own_place / "difyops.yaml").write_text(json.dumps({"contexts": contexts}))
        assert cli("broadcast", "hello", "--to", "chat-basic", "-c", "one").code == 8
        assert cli("trust", "--yes").code == 0
        both = cli("broadcast", "hello", "--to", "chat-basic", "-c", "one", "-c", "two", "-o", "json")
        assert both.code == 0, both.err
        assert [item["context"] for item in both.json["data"]["answers"]] == ["one", "two"]
        partly = cli("broadcast", "hello", "--to", "chat-basic", "-c", "one", "-c", "dead", "-o", "json")
    assert partly.code == 3
    assert [item["status"] for item in partly.json["data"]["answers"]] == ["answered", "failed"]


@pytest.mark.usefixtures("connected")
def test_codes_and_markup_in_answers_reach_the_terminal_inert(cli: Cli) -> None:
    ran = cli("broadcast", NASTY, *to("chat-basic"))
    assert ran.code == 0
    assert "\x1b" not in ran.out + ran.err
    assert "[bold]not bold[/bold]" in ran.out


@pytest.mark.usefixtures("connected")
def test_a_question_from_a_file_and_an_attachment(cli: Cli, own_place: Path) -> None:
    (own_place / "question.txt").write_text("from a file\n")
    ran = cli("broadcast", "@question.txt", *to("chat-basic"), "-o", "json")
    assert "from a file" in answers(ran.json)["chat-basic"]["text"]
    assert cli("broadcast", "@nothing.txt", *to("chat-basic")).code == 2
    assert cli("broadcast", "?", *to("chat-basic"), "--file", "nothing.pdf").code == 2


@pytest.mark.usefixtures("connected")
def test_inputs_that_nobody_has_are_said(cli: Cli) -> None:
    ran = cli("broadcast", "hello", *to("chat-basic"), "--input", "tonne=heavy", "-o", "json")
    assert ran.code == 0
    assert any("tonne" in warning for warning in ran.json["warnings"])


@pytest.mark.slow
@pytest.mark.parametrize("requests", [1, 5, 9, 12])
def test_ctrl_c_ends_with_130_and_a_file_that_can_be_resumed(tmp_path: Path, requests: int) -> None:
    emulator = Emulator(speed=1.0)
    file = tmp_path / "answers.ndjson"
    with emulator.listening() as url:
        login = {"DIFY_BASE_URL": url, "DIFY_EMAIL": emulator.email, "DIFY_PASSWORD": emulator.password}
        words = ["broadcast", "x [[delay=20]]", *to("wf-llm", "wf-echo", "chat-basic"), "--save", str(file)]
        process = Process(
            [sys.executable, "-m", "difyops", *words, "-o", "ndjson"],
            env={**os.environ, **login},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        wait_until(lambda: seen(emulator) >= requests)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
        assert process.returncode == 130, err.decode()
        assert [json.loads(line) for line in out.splitlines()]
        if file.exists():
            assert [json.loads(line) for line in file.read_bytes().splitlines()]


@pytest.mark.slow
def test_ctrl_c_while_the_judge_thinks_keeps_the_answers(tmp_path: Path) -> None:
    emulator = Emulator(speed=1.0)
    with emulator.listening() as url:
        login = {"DIFY_BASE_URL": url, "DIFY_EMAIL": emulator.email, "DIFY_PASSWORD": emulator.password}
        words = ["broadcast", "x [[delay=20]]", *to("wf-echo"), "--aggregate", "judge:wf-llm", "-o", "json"]
        process = Process(
            [sys.executable, "-m", "difyops", *words], env={**os.environ, **login}, stdout=subprocess.PIPE
        )
        wait_until(lambda: emulator.app_named("wf-llm").runs)
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=60)
    assert process.returncode == 130
    assert answers(json.loads(out))["wf-echo"]["status"] == "answered"


def seen(emulator: Emulator) -> int:
    total = emulator.control.counts()["total"]
    assert isinstance(total, int)
    return total


def in_a_shell(emulator: Emulator, url: str, command: str) -> subprocess.CompletedProcess[bytes]:
    """Run a shell line in which ``$DIFYOPS`` is the command; with the admin key, so that no session is written."""
    settings = {
        "DIFY_BASE_URL": url,
        "DIFY_ADMIN_API_KEY": str(emulator.admin_key),
        "DIFY_WORKSPACE_ID": emulator.workspace_id,
        "DIFYOPS": f"{sys.executable} -m difyops",
    }
    return subprocess.run(["bash", "-c", command], env={**os.environ, **settings}, capture_output=True, timeout=60)


def test_a_full_disk_costs_no_answer(emulator: Emulator, url: str, tmp_path: Path) -> None:
    long = "word " * 130
    words = f"broadcast '{long}' --to chat-basic --to agent --save saved.ndjson -o json"
    ran = in_a_shell(emulator, url, f"ulimit -f 1; $DIFYOPS {words} | cat")
    body = json.loads(ran.stdout)
    assert all(item["status"] == "answered" for item in answers(body).values())
    assert body["error"]["code"] == "store"
    assert not saving.read(tmp_path / "saved.ndjson").answers


def test_a_reader_who_leaves_gets_no_traceback(emulator: Emulator, url: str) -> None:
    words = "broadcast hello --to chat-basic --to agent --to wf-llm -o ndjson"
    ran = in_a_shell(emulator, url, f"$DIFYOPS {words} | head -n 1")
    assert json.loads(ran.stdout)["kind"] == "answer"
    assert b"Traceback" not in ran.stderr
