"""What reaches a terminal or a pipe: remote text is data, colour and width are honoured, nobody reading is no crash."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from difyops.cli.door import FORMATS
from difyops.emulator import Emulator
from difyops.errors import DifyopsError
from difyops.outcome import Block, Facts, Lines, Outcome, Table
from difyops.render import _body, machine
from difyops.render.look import Look, look_for
from difyops.render.safe import cell, one_line, text
from tests.cli.processes import WORDS, on_terminal, piped
from tests.conftest import Cli
from tests.processes import Process, run

HOSTILE = {
    "escape codes": "a\x1b[31mred\x1b]0;title\x07b",
    "eight bit codes": "a\x9b31mred\x9d0;t\x9cb",
    "clear screen": "\x1bc\x1b[2J\x1b[H$ rm -rf /",
    "rich markup": "[bold red]a[/] [link=https://evil.example]b[/link] :smile:",
    "line breaks": "one\ntwo\r\nthree\rfour\u2028five\x0bsix",
    "right to left": "abc\u202egnp.exe\u2066x\u200f\u061c",
    "invisible": "ad\u200bmin\ufeff\u2060\U000e0041",
    "half a pair": "broken \ud83d name",
    "markdown": "| a | `b` <script>alert(1)</script> [x](y) ** _c_ |",
    "tabs and nul": "a\tb\x00c\x7f",
    "number": "007",
    "nothing": " ",
}
FORBIDDEN = {
    *map(chr, (*range(0x09), *range(0x0B, 0x20), *range(0x7F, 0xA0), *range(0x202A, 0x202F), *range(0x2066, 0x206A))),
    "\u200b", "\u200e", "\u200f", "\u061c", "\u2028", "\u2029", "\ufeff", "\u2060", "\U000e0041", "\ud83d",
}  # fmt: skip


def harmless(shown: str) -> bool:
    return not FORBIDDEN & set(shown)


def renamed(emulator: Emulator, name: str, new: str) -> None:
    app = emulator.app_named(name)
    app.name = new
    app.changed()


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.usefixtures("connected")
def test_a_hostile_name_never_comes_out_raw_in_a_pipe(cli: Cli, emulator: Emulator, form: str) -> None:
    names = [name.encode("utf-8", "replace").decode() for name in HOSTILE.values()]
    apps = list(emulator.instance.apps.values())
    for half in (names[::2], names[1::2]):
        for app, name in zip(apps, half, strict=False):
            app.name = app.description = name
            app.changed()
        shown = apps[FORMATS.index(form)].id  # each name is looked at closely in one of the formats
        for words in (("app", "list"), ("app", "show", shown), ("app", "disable", "all", "--dry-run")):
            ran = cli(*words, "-o", form)
            assert ran.code == 0, ran
            assert harmless(ran.out + ran.err), repr(ran.out)


@pytest.mark.parametrize("kind", HOSTILE)
def test_programs_get_the_true_name_all_the_same(kind: str) -> None:
    outcome = Outcome(kind="x", data=[{"name": HOSTILE[kind]}])
    for shown in (machine.as_json(outcome), machine.as_yaml(outcome)):
        assert harmless(shown)
    assert json.loads(machine.as_json(outcome))["data"][0]["name"] == HOSTILE[kind]
    assert json.loads(machine.as_ndjson(outcome))["name"] == HOSTILE[kind]


@pytest.mark.parametrize("form", ["table", "plain", "markdown", "json", "yaml", "ndjson", "name"])
@given(st.text())
def test_no_text_at_all_comes_out_raw(form: str, value: str) -> None:
    blocks: list[Block] = [
        Table(columns=("a", "b"), rows=[(value, 1)], title=value),
        Facts(pairs=[("label", value)], title=value),
        Lines(lines=[("+", value), ("", value)], title=value),
    ]
    outcome = Outcome(kind="x", data=[{"name": value}], blocks=blocks, names=[value])
    shown = _body(outcome, Look(form=form, colour=False, width=80))
    assert harmless(shown.replace("\n", "").replace("\t", ""))
    shown.encode()


def test_markup_is_shown_and_not_obeyed_on_a_terminal(emulator: Emulator, connected: str) -> None:
    renamed(emulator, "wf-echo", "[bold red]x[/] :smile:")
    renamed(emulator, "wf-llm", "a\x1b]0;title\x07b\x1b[31m")
    shown = on_terminal(["app", "list"], columns=160)
    assert "[bold red]x[/] :smile:" in shown.text
    assert "\x1b]0;" not in shown.text
    assert shown.code == 0


@pytest.mark.parametrize("environment", [{"NO_COLOR": "1"}, {"CI": "true"}, {"TERM": "dumb"}])
def test_colour_can_be_switched_off(connected: str, environment: dict[str, str]) -> None:
    assert "\x1b[" in on_terminal(["app", "list"]).text
    assert "\x1b[" not in on_terminal(["app", "list"], environment=environment).text


@pytest.mark.parametrize("columns", [40, 80, 200])
def test_a_table_keeps_to_the_width_of_the_terminal(connected: str, columns: int) -> None:
    for words in (["app", "list"], ["app", "show", "wf-llm"], ["doctor"], ["context", "show"]):
        shown = on_terminal(words, columns=columns, environment={"NO_COLOR": "1"})
        # a progress line is written over, again and again: what stands there at the end counts
        lines = [line.rstrip("\r").split("\r")[-1].removeprefix("\x1b[K") for line in shown.text.split("\n")]
        table = [line for line in lines if not line.startswith(("error:", "hint:"))]
        assert max(len(line) for line in table) <= columns, words


def test_numbers_stay_as_they_are_written(cli: Cli, emulator: Emulator, connected: str) -> None:
    for name, new in (("wf-echo", "007"), ("wf-llm", "1e5"), ("wf-hook", "1_000"), ("wf-cron", "nan"), ("agent", "-0")):
        renamed(emulator, name, new)
    for form in ("table", "markdown", "name"):
        out = cli("app", "list", "-o", form).out.replace("\\", "")
        for new in ("007", "1e5", "1_000", "nan", "-0"):
            assert f"\n{new}" in out or f"| {new}" in out, (form, out)


def test_emoji_and_joined_scripts_stay_whole() -> None:
    for name in ("👩‍🚀 launch", "می‌خواهم", "हिन्दी", "日本語", "naïve café"):
        assert (one_line(name), text(name), cell(name)) == (name, name, name)


@pytest.mark.parametrize(
    ("value", "shown"), [(None, "-"), ("", "-"), (True, "yes"), (False, "no"), (0, "0"), (1.5, "1.5")]
)
def test_a_cell_says_nothing_yes_and_no(value: object, shown: str) -> None:
    assert cell(value) == shown


def test_a_reader_that_leaves_early_is_no_crash(emulator: Emulator, connected: str) -> None:
    for _ in range(2):
        for words in (["app", "list", "-o", "json"], ["app", "list"]):
            producer = Process([*WORDS, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
            assert producer.stdout
            assert producer.stderr
            producer.stdout.close()
            said = producer.stderr.read().decode()
            assert producer.wait(60) in (0, 1)
            assert "Traceback" not in said
            assert "Exception ignored" not in said


def test_head_gets_its_line_and_nobody_complains(connected: str) -> None:
    line = " ".join([*WORDS, "app", "list", "-o", "json", "2>&1", "|", "head", "-1"])
    done = subprocess.run(["bash", "-c", line], capture_output=True, text=True, timeout=60, check=False)
    assert (done.stdout, done.stderr) == ("{\n", "")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full here")
def test_a_full_disk_behind_the_output_is_one_sentence(connected: str) -> None:
    with Path("/dev/full").open("w") as full:
        done = run([*WORDS, "app", "list"], stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr == "error: the output cannot be written: No space left on device\n"


@pytest.mark.parametrize(
    ("encoding", "form", "shown"),
    [("ascii", "table", "\\u65e5"), ("latin-1", "markdown", " na\udcefve "), ("ascii", "json", "日本語 naïve 🚀")],
)
def test_a_terminal_that_cannot_show_a_character_is_no_crash(
    emulator: Emulator, connected: str, encoding: str, form: str, shown: str
) -> None:
    renamed(emulator, "wf-echo", "日本語 naïve 🚀")
    done = piped("app", "list", "-o", form, environment={"PYTHONIOENCODING": encoding, "PYTHONUTF8": "0"})
    assert done.returncode == 0, done.stderr
    assert shown in done.stdout


@pytest.mark.parametrize(
    ("arguments", "form", "log_format"),
    [
        (["app", "list"], "plain", "text"),
        (["app", "-o", "json"], "json", "text"),
        (["-ondjson"], "ndjson", "text"),
        (["--output=yaml", "--log-format=json"], "yaml", "json"),
        (["--log-format", "json"], "plain", "json"),
        (["-o", "nope"], "plain", "text"),
        (["-o"], "plain", "text"),
        (["--", "-o", "json"], "plain", "text"),
    ],
)
def test_the_look_is_found_on_a_line_that_nobody_could_read(arguments: list[str], form: str, log_format: str) -> None:
    look = look_for(None, arguments, quiet=False, environment={})
    assert (look.form, look.log_format) == (form, log_format)


def test_an_error_message_with_escape_codes_is_made_harmless(cli: Cli, connected: str) -> None:
    ran = cli("app", "show", "no\x1b[31msuch\napp")
    assert ran.code == 2
    assert harmless(ran.err.replace("\n", ""))
    assert len(ran.err.strip().splitlines()) == 2


def test_numbers_without_a_meaning_in_json_are_null() -> None:
    outcome = Outcome(kind="x", data={"a": float("nan"), "b": float("inf"), "c": 1.5}, error=DifyopsError("x"))
    assert json.loads(machine.as_json(outcome))["data"] == {"a": None, "b": None, "c": 1.5}


@pytest.mark.parametrize("text", ["99999999999d", "1e999s", "9" * 400 + "d", "-1d", "nand", "infd"])
def test_a_duration_that_no_calendar_has_is_usage(cli: Cli, text: str) -> None:
    ran = cli("trigger", "audit", "--since", text)
    assert ran.code == 2
    assert "fault of difyops" not in ran.err
