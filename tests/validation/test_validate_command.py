"""``difyops validate`` as a pipe, a CI job and a person see it; with an app behind it, against an emulated instance."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

from difyops.cli import root
from difyops.emulator import Emulator
from tests.conftest import Cli
from tests.processes import Process, run

SCHEMA = """type: object
properties:
  a: {type: string}
  b: {type: integer}
required: [b]
"""


@pytest.fixture(autouse=True)
def door(monkeypatch: pytest.MonkeyPatch, own_place: Path) -> None:
    monkeypatch.setitem(root.GROUPS, "validate", ("difyops.cli.validate", "Judge answers by a schema."))
    Path("s.yaml").write_text(SCHEMA)


def answer(text: str | bytes, name: str = "answer.txt") -> str:
    Path(name).write_bytes(text if isinstance(text, bytes) else text.encode())
    return name


def test_a_pipe_gets_the_value_and_nothing_else(cli: Cli) -> None:
    ran = cli("validate", answer('Here:\n```json\n{"a": "ü\\u0000", "b": 1,}\n```'), "--schema", "s.yaml")
    assert ran.code == 0
    assert json.loads(ran.out) == {"a": "ü\x00", "b": 1}
    assert "trailing comma" in ran.err
    assert "\x00" not in ran.out


def test_violations_come_with_place_and_line_and_exit_code_five(cli: Cli) -> None:
    name = answer('{\n "b": "x"}')
    shown = cli("validate", name, "--schema", "s.yaml")
    assert shown.code == 5
    assert "/b" in shown.out
    body = cli("validate", name, "--schema", "s.yaml", "-o", "json").json
    assert body["ok"] is False
    assert body["error"]["code"] == "violates"
    (violation,) = body["data"]["violations"]
    assert (violation["pointer"], violation["line"], violation["expected"]) == ("/b", 2, "type: integer")


@pytest.mark.parametrize(
    ("content", "code"),
    [(b"", "empty"), (b"\xff\xfe", "not_text"), (b"\x89PNG\r\n\x1a\n\x00", "not_text"), (b"\x00\x01", "not_json")],
)  # fmt: skip
def test_empty_and_binary_files_are_bad_answers(cli: Cli, content: bytes, code: str) -> None:
    ran = cli("validate", answer(content), "--schema", "s.yaml", "-o", "json")
    assert (ran.code, ran.json["error"]["code"]) == (5, code)


@pytest.mark.parametrize(
    "words",
    [
        (".", "--schema", "s.yaml"),
        ("nowhere.txt", "--schema", "s.yaml"),
        ("answer.txt",),
        ("answer.txt", "--schema", "nowhere.yaml"),
        ("answer.txt", "--schema", "."),
        ("answer.txt", "--schema", "answer.txt"),
        ("answer.txt", "--schema", "s.yaml", "--pick", "best"),
        ("answer.txt", "--schema", "s.yaml", "--as", "pdf"),
        ("answer.txt", "--schema", "s.yaml", "--reask", "2"),
        ("answer.txt", "--schema", "s.yaml", "--ndjson", "--min-first-pass", "nan"),
        ("answer.txt", "--schema", "s.yaml", "--as", "junit", "--as", "sarif"),
    ],
)
def test_what_the_command_line_gets_wrong_is_exit_code_two(cli: Cli, words: tuple[str, ...]) -> None:
    answer("not a schema: [")
    ran = cli("validate", *words)
    assert ran.code == 2
    assert ran.err.startswith("error: ")
    assert "Traceback" not in ran.err


def test_options_reach_the_ladder(cli: Cli) -> None:
    both = answer('{"b": 1} {"b": 2}')
    assert cli("validate", both, "--schema", "s.yaml").code == 5
    assert json.loads(cli("validate", both, "--schema", "s.yaml", "--pick", "last").out) == {"b": 2}
    text = answer('{"b": "7"}')
    assert json.loads(cli("validate", text, "--schema", "s.yaml", "--coerce").out) == {"b": 7}
    slip = answer('{"b": 1,}')
    assert cli("validate", slip, "--schema", "s.yaml", "--no-repair").code == 5
    assert cli("validate", slip, "--schema", "s.yaml", "--max-edits", "0").code == 5
    twice = answer('{"b": 1, "b": 2}')
    assert json.loads(cli("validate", twice, "--schema", "s.yaml", "--duplicates", "last").out) == {"b": 2}


def test_a_batch_gives_one_line_for_each_line(cli: Cli) -> None:
    lines = [json.dumps('{"b": 1}'), json.dumps({"id": "x", "answer": '{"b": 2,}'}), "nonsense", json.dumps("{}")]
    ran = cli("validate", answer("\n".join(lines), "b.ndjson"), "--ndjson", "--schema", "s.yaml")
    rows = [json.loads(line) for line in ran.out.splitlines()]
    assert ran.code == 5
    assert [(row["id"], row["ok"], row["rung"], row["error"]) for row in rows] == [
        (1, True, "strict", None),
        ("x", True, "repair", None),
        (3, False, "failed", "bad_line"),
        (4, False, "failed", "violates"),
    ]
    assert "2 of 4 valid" in ran.err
    assert "trailing comma 1" in ran.err


def test_the_first_pass_gate_decides_for_ci(cli: Cli) -> None:
    name = answer('"{\\"b\\": 1}"\n"{}"\n', "b.ndjson")
    words = ("validate", name, "--ndjson", "--schema", "s.yaml", "--min-first-pass")
    assert cli(*words, "0.5").code == 0
    assert cli(*words, "0.98").code == 5
    empty = answer("\n", "none.ndjson")
    assert cli("validate", empty, "--ndjson", "--schema", "s.yaml", "--min-first-pass", "0.98").code == 5
    assert cli("validate", empty, "--ndjson", "--schema", "s.yaml").code == 0


def test_reports_go_to_stdout_or_files(cli: Cli) -> None:
    name = answer('"{\\"b\\": 1}"\n"{}"\n', "b.ndjson")
    words = ("validate", name, "--ndjson", "--schema", "s.yaml")
    ran = cli(*words, "--as", "junit", "--as", "sarif=out.sarif")
    assert ran.code == 5
    assert ElementTree.fromstring(ran.out)[0].get("failures") == "1"
    assert json.loads(Path("out.sarif").read_text())["version"] == "2.1.0"
    monitored = cli(*words, "--as", "nagios")
    assert (monitored.code, monitored.out.count("\n")) == (2, 1)


def test_the_result_of_a_run_and_a_saved_broadcast_are_understood(cli: Cli) -> None:
    run = answer(json.dumps({"data": {"outputs": {"result": '{"b": 1}', "other": 2}}}), "run.json")
    assert cli("validate", run, "--result", "--field", "result", "--schema", "s.yaml").code == 0
    assert cli("validate", run, "--result", "--field", "nothing", "--schema", "s.yaml").code == 5
    saved = answer(
        '{"format": "difyops.broadcast/v1", "question": "q", "user": "u"}\n'
        '{"target": "c/1", "status": "answered", "text": "{\\"b\\": 1}", "outputs": {}}\n',
        "saved.ndjson",
    )
    ran = cli("validate", saved, "--ndjson", "--schema", "s.yaml")
    assert json.loads(ran.out)["id"] == "c/1"


def test_standard_input_is_read_and_a_value_is_never_altered(own_place: Path) -> None:
    text = json.dumps({"b": 1, "a": "sk-canary0123456789canary"})
    program = (
        "import sys; from difyops.cli import root\n"
        "root.GROUPS['validate'] = ('difyops.cli.validate', 'Judge answers by a schema.')\n"
        "sys.exit(root.run(sys.argv[1:]))"
    )
    words = [sys.executable, "-c", program, "validate", "-", "--schema", "s.yaml"]
    place = {"PATH": "/usr/bin:/bin"}
    ran = run(words, input=text, capture_output=True, text=True, env=place, cwd=own_place)
    assert ran.returncode == 0, ran.stderr
    assert json.loads(ran.stdout) == json.loads(text)
    assert "stars" in ran.stderr


def test_a_reader_that_goes_away_is_not_taken_for_an_unreadable_file(own_place: Path) -> None:
    name = answer('"{\\"b\\": 1}"\n' * 20_000, "b.ndjson")
    words = [sys.executable, "-m", "difyops", "validate", name, "--ndjson", "--schema", "s.yaml"]
    place = {"PATH": "/usr/bin:/bin"}
    with Process(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=place, cwd=own_place) as running:
        assert running.stdout is not None
        assert running.stderr is not None
        assert json.loads(running.stdout.readline())["value"] == {"b": 1}
        running.stdout.close()
        assert b"cannot be read" not in running.stderr.read()
    assert running.returncode != 2


@pytest.mark.usefixtures("connected")
def test_an_app_is_asked_and_its_answer_judged(cli: Cli) -> None:
    for app in ("chat-basic", "wf-llm", "flow-chat", "completion-basic"):
        ran = cli("validate", "--app", app, "--query", '{"b": 1}', "--schema", "s.yaml", "-o", "json")
        assert ran.code == 0, (app, ran.out, ran.err)
        assert ran.json["data"]["value"] == {"b": 1}
        assert len(ran.json["data"]["attempts"]) == 1


@pytest.mark.usefixtures("connected")
def test_a_bad_answer_is_asked_again_and_then_falls_back(cli: Cli) -> None:
    words = ("validate", "--app", "chat-basic", "--query", "hello", "--schema", "s.yaml", "--reask", "1", "-o", "json")
    failed = cli(*words)
    assert failed.code == 5
    assert [attempt["error"] is None for attempt in failed.json["data"]["attempts"]] == [False, False]
    saved = cli(*words, "--fallback", '{"b": 0}')
    assert (saved.code, saved.json["data"]["rung"], saved.json["data"]["value"]) == (0, "fallback", {"b": 0})


@pytest.mark.usefixtures("connected")
def test_a_token_budget_that_ends_the_asking_is_exit_code_seven(cli: Cli) -> None:
    words = ("validate", "--app", "chat-basic", "--query", "hello", "--schema", "s.yaml", "--reask", "9", "-o", "json")
    ran = cli(*words, "--token-budget", "1")
    assert (ran.code, ran.json["error"]["code"]) == (7, "out_of_budget")
    assert (len(ran.json["data"]["attempts"]), ran.json["data"]["error"]) == (1, "not_json")
    assert cli(*words, "--token-budget", "1", "--fallback", '{"b": 0}').code == 0


def test_a_fallback_that_violates_is_refused_before_any_call(cli: Cli, emulator: Emulator, connected: str) -> None:
    words = ("validate", "--app", "chat-basic", "--query", "hello", "--schema", "s.yaml")
    assert cli(*words, "--fallback", '{"b": "x"}').code == 2
    assert cli(*words, "--fallback", "nonsense").code == 2
    assert emulator.control.counts()["total"] == 0


def test_inputs_that_do_not_fit_the_app_are_a_matter_of_usage(cli: Cli, emulator: Emulator, connected: str) -> None:
    for words in (("validate", "--app", "wf-echo", "--schema", "s.yaml"), ("app", "run", "wf-echo")):
        ran = cli(*words)
        assert (ran.code, "--input" in ran.err, "difyops app show 'wf-echo'" in ran.err) == (2, True, True)


def test_a_text_that_looks_like_a_number_is_told_from_one(cli: Cli) -> None:
    Path("seven.json").write_text('{"b": "7"}')
    assert '"7"' in cli("validate", "seven.json", "--schema", "s.yaml").out


def test_an_app_that_cannot_be_reached_is_a_failure_of_the_tool(cli: Cli, emulator: Emulator, connected: str) -> None:
    emulator.control.mood("provider_down")
    words = ("validate", "--app", "chat-basic", "--query", "hello", "--schema", "s.yaml", "--reask", "2")
    ran = cli(*words, "-o", "json")
    assert ran.code == 1
    assert ran.json["error"]["code"] != "violates"
    assert cli(*words, "--fallback", '{"b": 0}').code == 0
