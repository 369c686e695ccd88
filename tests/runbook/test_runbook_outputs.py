"""A run in the words of other programs, also when a server sends text that wants to be more than text."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from difyops import reports
from difyops.outcome import Outcome
from difyops.render import runbook as views
from difyops.render.look import Look
from difyops.render.plain import as_markdown, as_plain
from difyops.render.terminal import as_terminal
from difyops.runbook.outputs import suite_of
from difyops.runbook.record import RunRecord, StepRecord, step_data, step_of
from difyops.runbook.report import report
from difyops.runbook.result import Value

FORMATS = {name: (lambda run, form=form: form(suite_of(run))) for name, form in reports.FORMATS.items()}
junit, tap, nagios, prometheus = (FORMATS[name] for name in ("junit", "tap", "nagios", "prometheus"))


def nagios_code(run: RunRecord) -> int:
    return reports.nagios_code(suite_of(run))


WHEN = datetime(2026, 11, 20, 6, 3, 14, tzinfo=UTC)
HOSTILE = (
    "a\x1b[31mred\x00 | 'quote' \"double\" </failure><x> ]]> # SKIP not ok 9 - "
    "\r\nok 7 - forged\n\u202eevil\u2028 \\ {}|`"
)


def a_run(*words: str, text: str = "said", **more: Any) -> RunRecord:
    steps = [
        StepRecord(
            id=f"s{number}", tool="made.up", kind="check", title=f"Step {text}", result=word, text=text, excerpt=text,
            values=(Value(name="percent", value=12.5, unit="%", warn=10, fail=20), Value(name=text, value=text)),
            seconds=0.25, started_at=WHEN,
        )
        for number, word in enumerate(words)
    ]  # fmt: skip
    fields: dict[str, Any] = {
        "id": "20261120-060314-abc123", "runbook": "trial", "title": "Trial", "digest": "d", "context": "prod",
        "actor": "me", "started_at": WHEN, "ended_at": WHEN + timedelta(seconds=2), "seconds": 2.0, "state": "ended",
        "steps": tuple(steps),
    }  # fmt: skip
    return RunRecord(**{**fields, **more})


def test_junit_tells_failures_from_errors_and_skips() -> None:
    root = ElementTree.fromstring(junit(a_run("pass", "warn", "fail", "inconclusive", "skipped")))
    suite = root[0]
    assert {key: suite.get(key) for key in ("tests", "failures", "errors", "skipped")} == {
        "tests": "5", "failures": "1", "errors": "1", "skipped": "1",
    }  # fmt: skip
    assert [case[0].tag for case in suite] == ["system-out", "system-out", "failure", "error", "skipped"]


def test_tap_counts_what_is_inconclusive_as_not_ok() -> None:
    lines = tap(a_run("pass", "warn", "fail", "inconclusive", "skipped")).splitlines()
    assert lines[:2] == ["TAP version 13", "1..5"]
    tests = [line for line in lines if line.startswith(("ok", "not ok"))]
    assert [line.split(" - ")[0] for line in tests] == ["ok 1", "ok 2", "not ok 3", "not ok 4", "ok 5"]
    assert "# SKIP" in tests[4]


@pytest.mark.parametrize(
    ("words", "code", "word"),
    [
        (("pass", "skipped"), 0, "OK"),
        (("pass", "warn"), 1, "WARNING"),
        (("warn", "fail", "inconclusive"), 2, "CRITICAL"),
        (("pass", "inconclusive"), 3, "UNKNOWN"),
    ],
)
def test_nagios_is_one_line_with_code_word_and_performance_data(words: tuple[str, ...], code: int, word: str) -> None:
    record = a_run(*words)
    line = nagios(record)
    assert nagios_code(record) == code
    assert line.startswith(f"DIFYOPS {word} - trial: ")
    assert line.count("\n") == 1
    assert "'s0.percent'=12.5%;10;20" in line.partition("|")[2]


def test_prometheus_has_the_state_and_the_values_of_each_step() -> None:
    text = prometheus(a_run("pass", "fail"))
    assert 'difyops_runbook_state{runbook="trial",context="prod"} 2' in text
    assert 'difyops_runbook_step_state{runbook="trial",context="prod",step="s1",check="made.up"} 2' in text
    assert 'step="s0",name="percent",unit="%"} 12.5' in text
    for line in text.splitlines():
        assert line.startswith("# ") or re.fullmatch(r'[a-z_]+\{([a-z]+="[^"]*",?)+\} [0-9.e+-]+', line), line


def _shapes(record: RunRecord) -> dict[str, object]:
    """Return what must not depend on the text inside: elements, tests, lines, labels."""
    root = ElementTree.fromstring(junit(record))
    plan = tap(record).splitlines()
    return {
        "junit": [item.tag for item in root.iter()],
        "tap": [line.split(" - ")[0] for line in plan if not line.startswith("#")],
        "nagios": (nagios(record).count("\n"), nagios(record).count("|")),
        "prometheus": [line.split("{")[0] for line in prometheus(record).splitlines()],
    }


def test_hostile_text_stays_text_in_every_format() -> None:
    words = ("pass", "warn", "fail", "inconclusive", "skipped")
    assert _shapes(a_run(*words, text=HOSTILE)) == _shapes(a_run(*words))
    for name, form in FORMATS.items():
        written = form(a_run(*words, text=HOSTILE))
        assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202e\u2028]", written), name


def _texts(outcome: Outcome) -> dict[str, str]:
    look = Look(form="table", colour=True, width=400)
    return {
        "terminal": as_terminal(outcome.blocks, look),
        "plain": as_plain(outcome.blocks),
        "markdown": as_markdown(outcome.blocks),
    }


def test_hostile_text_stays_text_in_tables_and_reports() -> None:
    record = a_run("fail", "warn", text=HOSTILE)
    for outcome in (views.ran(record), views.reported(report(record)), views.runs([record])):
        for form, text in _texts(outcome).items():
            assert "\x1b[31mred" not in text, form
            assert "\u202e" not in text, form
            assert "\nok 7 - forged" not in text, form
    markdown = as_markdown(views.reported(report(record)).blocks)
    assert "<x>" not in markdown


def test_hostile_labels_stay_text_too() -> None:
    record = replace(a_run("fail", text="said"), steps=tuple(
        replace(step, title=HOSTILE, hint=HOSTILE, undo=HOSTILE, done=True, kind="action")
        for step in a_run("fail").steps
    ))  # fmt: skip
    for outcome in (views.ran(record), views.reported(report(record))):
        shown = _texts(outcome)
        assert not [form for form, text in shown.items() if "\x1b[31mred" in text or "\u202e" in text]
        assert "<x>" not in shown["markdown"]


def test_secrets_never_reach_any_format() -> None:
    from difyops.secret_text import SecretText

    canary = SecretText("canary-output-secret-77").reveal()
    record = a_run("fail", text=f"the server said {canary} twice")
    for form in FORMATS.values():
        assert canary not in form(record)


@given(st.text(max_size=80))
def test_any_text_keeps_every_format_whole(text: str) -> None:
    words = ("pass", "fail", "inconclusive", "skipped")
    assert _shapes(a_run(*words, text=text)) == _shapes(a_run(*words))


@given(
    st.text(max_size=40),
    st.sampled_from(["pass", "fail"]),
    st.none() | st.floats(allow_nan=False, allow_infinity=False),
)
def test_a_step_comes_back_from_the_ledger_as_it_went_in(text: str, word: str, number: float | None) -> None:
    record = a_run(word, text=text).steps[0]
    step = StepRecord(
        id=record.id, tool="made.up", kind="check", title=text, result=word, text=text, started_at=WHEN,
        values=(Value(name="n", value=number, unit="s", fail=number),), seconds=1.25, tries=3, undo=text or None,
    )  # fmt: skip
    assert step_of(step_data(step)) == step


def test_a_report_says_what_is_known_and_leaves_blanks_for_people() -> None:
    about = {"owner": "on-call", "severity": "high", "symptoms": ["slow"], "next": ["Look.", "Write."]}
    made = report(a_run("pass", "fail", about=about))
    incident, postmortem = dict(made.incident), dict(made.postmortem)
    assert incident["owner"] == "on-call"
    assert incident["what users see"] == "slow"
    assert incident["next update at"] == "2026-11-20 06:33 UTC"
    assert postmortem["cause"] == "(to be written)"
    assert "Step said" in postmortem["first noticed by"]
    assert made.next == ("Look.", "Write.")
    told = {"what": "Chat is silent", "owner": "Ada", "eta": "15:30", "redis": None}
    incident = dict(report(a_run("fail", about=about, inputs=told)).incident)
    assert [incident[key] for key in ("what users see", "owner", "next update at")] == [
        "Chat is silent",
        "Ada",
        "15:30",
    ]
    assert "None" not in incident["inputs"]
    assert next(item.what for item in made.timeline).endswith("began")


def test_what_must_not_be_below_its_limit_is_a_range_for_monitoring_and_no_number_is_left_out() -> None:
    values = (
        Value(name="free", value=30.0, unit="%", warn=10, fail=5, floor=True),
        Value(name="odd", value=float("nan")),
        Value(name="much", value=float("inf"), fail=1),
    )
    record = replace(a_run("pass"), steps=(replace(a_run("pass").steps[0], values=values),))
    assert "'s0.free'=30%;10:;5:" in nagios(record)
    assert "odd" not in nagios(record) + prometheus(record)
    assert "much" not in nagios(record) + prometheus(record)
    assert "(warn below 10, limit below 5)" in as_plain(views.ran(record).blocks)


def test_performance_data_has_whole_numbers_and_no_exponents() -> None:
    values = (
        Value(name="age", value=2592000.5, unit="s", warn=31536000, fail=1e9),
        Value(name="share", value=0.00001, fail=0.5, floor=True),
        Value(name="tokens", value=12345678901),
    )
    line = nagios(replace(a_run("pass"), steps=(replace(a_run("pass").steps[0], values=values),)))
    assert "| 's0.age'=2592000.5s;31536000;1000000000 's0.share'=0.00001;;0.5: 's0.tokens'=12345678901 " in line
