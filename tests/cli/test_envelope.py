"""The envelope is a promise: the same keys for success and failure of every command, in every format."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from difyops.cli.door import FORMATS
from difyops.dsl.load import load_yaml
from difyops.emulator import Emulator
from tests.conftest import Cli

KEYS = {"schema", "kind", "ok", "data", "warnings", "error"}
ERROR_KEYS = {"code", "message", "hint", "retryable"}

WORKING = [
    ("context", "list"),
    ("context", "show"),
    ("context", "check"),
    ("context", "add", "new", "--url", "https://new.example.com", "--dry-run"),
    ("app", "list"),
    ("app", "list", "mode:workflow"),
    ("app", "show", "wf-llm"),
    ("app", "show", "chat-basic"),
    ("app", "disable", "wf-echo", "--yes"),
    ("app", "enable", "wf-*", "--yes"),
    ("app", "enable", "all", "--site", "--dry-run"),
    ("doctor",),
    ("emulator", "stop"),
    ("emulator", "start", "--dry-run"),
]
FAILING = [
    (("app", "show", "nope"), 2, "selector"),
    (("app", "list", "tag:nope"), 2, "selector"),
    (("app", "disable", "wf-echo"), 8, "needs_confirmation"),
    (("app", "show"), 2, "usage"),
    (("app", "list", "--nope"), 2, "usage"),
    (("app", "nope"), 2, "usage"),
    (("nope",), 2, "usage"),
    (("app", "list", "--deadline", "soon"), 2, "usage"),
    (("app", "list", "--log-format", "xml"), 2, "usage"),
    (("app", "list", "-c", "nope"), 2, "config"),
    (("app", "show", "x", "-c", "a", "-c", "b"), 2, "usage"),
    (("app", "list", "-c", "a", "-c", "a"), 2, "usage"),
    (("context", "show", "nope"), 2, "config"),
    (("context", "use", "nope"), 2, "config"),
    (("context", "remove", "nope", "--yes"), 2, "config"),
    (("context", "remove", "nope", "--dry-run"), 2, "config"),
    (("context", "add", "env", "--url", "https://x.example"), 2, "usage"),
    (("context", "add", "x", "--url", "x.example"), 2, "config"),
    (("context", "add", "x", "--url", "https://x.example", "--password", "canary-plain"), 2, "config"),
    (("context", "add", "x", "--url", "https://x.example", "--email", "a@b.example"), 2, "credential"),
    (("context", "add", "x", "--url", "https://x.example", "--max-in-flight", "0"), 2, "usage"),
    (("emulator", "status"), 5, "no"),
    (("emulator", "start", "--server-version", "0.0"), 2, "usage"),
    (("emulator", "start", "--mood", "sulky"), 2, "usage"),
    (("emulator", "start", "--port", "99999"), 2, "usage"),
]


def checked(document: Any) -> Any:
    assert set(document) == KEYS
    assert document["schema"] == "difyops/v1"
    assert isinstance(document["kind"], str)
    assert isinstance(document["warnings"], list)
    assert document["ok"] is (document["error"] is None)
    if document["error"]:
        assert set(document["error"]) >= ERROR_KEYS
        assert document["error"]["message"]
        assert "\n" not in document["error"]["message"]
    return document


@pytest.mark.parametrize("words", WORKING, ids=" ".join)
@pytest.mark.usefixtures("connected")
def test_what_works_has_the_envelope_and_exit_code_0(cli: Cli, words: tuple[str, ...]) -> None:
    ran = cli(*words, "-o", "json")
    document = checked(ran.json)
    assert ran.code == 0, ran
    assert document["ok"]
    assert document["kind"].split(".")[0] == words[0]


@pytest.mark.parametrize(
    ("words", "code", "name"), FAILING, ids=lambda value: " ".join(value) if isinstance(value, tuple) else str(value)
)
@pytest.mark.usefixtures("connected")
def test_what_fails_has_an_envelope_an_exit_code_and_one_sentence(
    cli: Cli, words: tuple[str, ...], code: int, name: str
) -> None:
    ran = cli(*words, "-o", "json")
    document = checked(ran.json)
    assert (ran.code, document["error"]["code"]) == (code, name)
    assert "canary" not in ran.out + ran.err
    assert "Traceback" not in ran.err
    for_people = cli(*words)
    lines = for_people.err.strip().splitlines()
    assert (for_people.code, for_people.out) == (code, "")
    assert 1 <= len(lines) <= 2
    assert lines[0].startswith("no: " if code == 5 else "error: ")
    assert all(line.startswith("hint: ") for line in lines[1:])


@pytest.mark.parametrize("place", [("-o", "json"), ("--output", "json"), ("--output=json",), ("-ojson",)])
@pytest.mark.parametrize("bad", [("--nope",), ("--deadline",), ("--deadline", "x"), ("--log-format", "x")])
def test_a_command_line_that_cannot_be_read_still_answers_in_json(
    cli: Cli, place: tuple[str, ...], bad: tuple[str, ...]
) -> None:
    for words in (("app", "list", *place, *bad), ("app", "list", *bad[:1], *bad[1:], *place)):
        if words[-1] in ("json", "-ojson", "--output=json") and bad == ("--deadline",):
            continue  # "--deadline -o json" takes -o for the time
        ran = cli(*words)
        assert (ran.code, checked(ran.json)["error"]["code"]) == (2, "usage")


@pytest.mark.parametrize("form", ["xml", "JSON", "", "tabel"])
def test_an_unknown_format_lists_the_known_ones(cli: Cli, form: str) -> None:
    ran = cli("app", "list", "-o", form)
    assert ran.code == 2
    assert "is not an output format" in ran.err
    assert "ndjson" in ran.err


@pytest.mark.exhaustive(3)
@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("words", WORKING, ids=" ".join)
@pytest.mark.usefixtures("connected")
def test_every_command_speaks_every_format(cli: Cli, words: tuple[str, ...], form: str) -> None:
    ran = cli(*words, "-o", form)
    assert ran.code == 0, ran
    assert "\x1b" not in ran.out + ran.err
    assert "Passw0rd" not in ran.out + ran.err
    match form:
        case "json":
            checked(json.loads(ran.out))
        case "yaml":
            checked(load_yaml(ran.out))
        case "ndjson":
            assert all(isinstance(json.loads(line), dict) for line in ran.out.splitlines())
        case "name":
            assert all(line.strip() for line in ran.out.splitlines())


@pytest.mark.parametrize(
    "words", [("app", "list"), ("context", "list"), ("context", "show"), ("doctor",), ("app", "show", "wf-llm")]
)
@pytest.mark.usefixtures("connected")
def test_json_and_yaml_say_the_same(cli: Cli, words: tuple[str, ...]) -> None:
    one, other = cli(*words, "-o", "json").json, load_yaml(cli(*words, "-o", "yaml").out)
    assert one["kind"] == other["kind"]
    assert _shape(one["data"]) == _shape(other["data"])


def _shape(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _shape(item) for key, item in value.items()}
    return [_shape(item) for item in value] if isinstance(value, list) else type(value).__name__


def test_a_failure_in_the_middle_has_data_and_an_error(cli: Cli, emulator: Emulator, connected: str) -> None:
    emulator.control.fail(path="api-enable$", nth=2)
    ran = cli("app", "disable", "mode:workflow", "--yes", "-o", "json")
    document = checked(ran.json)
    assert (ran.code, document["error"]["code"]) == (3, "partial")
    failed = [row for row in document["data"] if not row["ok"]]
    assert len(failed) == 1
    assert "HTTP 503" in failed[0]["error"]


def test_when_everything_fails_the_reason_is_the_exit_code(cli: Cli, emulator: Emulator, connected: str) -> None:
    emulator.account("owner").role = "editor"
    ran = cli("app", "disable", "mode:workflow", "--yes", "-o", "json")
    assert (ran.code, ran.json["error"]["code"]) == (4, "forbidden")
    assert {row["ok"] for row in ran.json["data"]} == {False}


def test_failures_are_named_with_their_reasons_for_people_too(cli: Cli, emulator: Emulator, connected: str) -> None:
    emulator.control.fail(path="api-enable$", nth=2)
    ran = cli("app", "disable", "mode:workflow", "--yes")
    assert "failed" in ran.out
    assert "HTTP 503" in ran.out
    assert "1 of 4 apps failed" in ran.err


@pytest.mark.usefixtures("connected")
def test_quiet_leaves_data_and_errors(cli: Cli) -> None:
    assert cli("app", "list", "-q").err == ""
    assert cli("app", "list").err == "8 apps\n"
    assert cli("app", "show", "nope", "-q").err.startswith("error: ")


@pytest.mark.usefixtures("connected")
def test_talk_is_json_when_logs_are(cli: Cli) -> None:
    for words in (("app", "list"), ("app", "show", "nope"), ("app", "list", "--nope"), ("app", "list", "-vv")):
        ran = cli(*words, "--log-format", "json")
        records = [json.loads(line) for line in ran.err.splitlines()]
        assert records
        assert all({"time", "level", "logger", "message"} <= set(record) for record in records)
    assert records[-1]["level"] == "info"


def test_a_fault_of_ours_is_one_sentence_too(
    cli: Cli, connected: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> object:
        raise ZeroDivisionError("nobody thought of Passw0rd!1")

    monkeypatch.setattr("difyops.targets.select", broken)
    ran = cli("app", "list", "wf-echo", "-o", "json")
    document = checked(ran.json)
    assert ran.code == 1
    assert "fault of difyops" in document["error"]["message"]
    assert "Traceback" not in ran.err
    monkeypatch.setenv("DIFYOPS_DEBUG", "1")
    with pytest.raises(ZeroDivisionError):
        cli("app", "list", "wf-echo")
