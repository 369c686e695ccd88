"""A run in the words of other programs: JUnit, TAP, Nagios, Prometheus. Pure functions from a record to text.

Text from servers is data in each of these formats: control characters, markup and separators in it cannot end a line,
an element or a label.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from typing import TypeGuard
from xml.sax.saxutils import escape, quoteattr

from difyops.runbook.record import RunRecord, StepRecord
from difyops.runbook.result import Value
from difyops.secret_text import scrub

NAGIOS = {
    "pass": (0, "OK"),
    "repaired": (0, "OK"),
    "warn": (1, "WARNING"),
    "fail": (2, "CRITICAL"),
    "inconclusive": (3, "UNKNOWN"),
}
_LEVELS = {"pass": 0, "repaired": 0, "warn": 1, "fail": 2, "inconclusive": 3, "skipped": 4}
# What XML 1.0 cannot hold, what a terminal obeys, and what turns the direction of text round.
_BAD = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2028\u2029\u202a-\u202e\u2060-\u2069\ufeff\ufffe\uffff\ud800-\udfff]"
)
_UNITS = {"s": "s", "%": "%", "bytes": "B"}


def junit(run: RunRecord) -> str:
    """Return JUnit XML: a step is a test case; inconclusive is an error, which is not the same as a failure."""
    cases = "".join(_case(run, step) for step in run.steps)
    failures = sum(run.outcome(step) == "fail" for step in run.steps)
    head = (
        f'name={_attribute(run.runbook)} tests="{len(run.steps)}" failures="{failures}" '
        f'errors="{run.count("inconclusive")}" skipped="{run.count("skipped")}" time="{run.seconds:.3f}" '
        f'timestamp="{run.started_at.strftime("%Y-%m-%dT%H:%M:%S")}"'
    )
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        f"<testsuites><testsuite {head} hostname={_attribute(run.context)}>\n{cases}</testsuite></testsuites>\n"
    )


def tap(run: RunRecord) -> str:
    """Return TAP 13: a step is a test; what is inconclusive is not ok, with a diagnostic that says so."""
    lines = ["TAP version 13", f"1..{len(run.steps)}"]
    for number, step in enumerate(run.steps, 1):
        ok = "ok" if run.outcome(step) in ("pass", "repaired", "warn", "skipped") else "not ok"
        name = harmless(f"{step.id} {step.title}").replace("\\", "\\\\").replace("#", "\\#")
        skip = f" # SKIP {harmless(step.text).replace('#', '')}" if step.result == "skipped" else ""
        lines.append(f"{ok} {number} - {name}{skip}")
        if step.result not in ("pass", "skipped"):
            lines.append(f"# {run.outcome(step)}: {harmless(step.text)}")
    return "\n".join(lines) + "\n"


def nagios(run: RunRecord) -> str:
    """Return one line for a monitoring plugin, with performance data after the bar."""
    _, word = NAGIOS[run.verdict]
    named = [f"{step.title}: {step.text}" for step in run.steps if run.outcome(step) == run.verdict != "pass"]
    said = "; ".join(named[:3]) or (run.error.message if run.error else run.summary)
    text = harmless(f"DIFYOPS {word} - {run.runbook}: {said}").replace("|", "/")[:500]
    data = [item for step in run.steps for value in step.values if (item := _performance(step, value))]
    data.append(f"'seconds'={run.seconds:.3f}s")
    return f"{text} | {' '.join(data)}\n"


def nagios_code(run: RunRecord) -> int:
    """Return what a monitoring plugin exits with: 0 ok, 1 warning, 2 critical, 3 unknown."""
    return NAGIOS[run.verdict][0]


def prometheus(run: RunRecord) -> str:
    """Return a textfile for node_exporter: the state of each step, its values, when the run ended."""
    shared = {"runbook": run.runbook, "context": run.context}
    ended = (run.ended_at or run.started_at).timestamp()
    groups = [
        _metric(
            "difyops_runbook_state",
            "0 pass or repaired, 1 warn, 2 fail, 3 inconclusive",
            [(shared, _LEVELS[run.verdict])],
        ),
        _metric("difyops_runbook_ended_timestamp_seconds", "When the last run ended", [(shared, f"{ended:.3f}")]),
        _metric("difyops_runbook_duration_seconds", "How long it took", [(shared, f"{run.seconds:.3f}")]),
        _metric(
            "difyops_runbook_step_state",
            "0 pass or repaired, 1 warn, 2 fail, 3 inconclusive, 4 skipped",
            [({**shared, "step": step.id, "check": step.tool}, _LEVELS[run.outcome(step)]) for step in run.steps],
        ),
        _metric(
            "difyops_runbook_step_value",
            "What a step measured",
            [
                ({**shared, "step": step.id, "name": value.name, "unit": value.unit}, value.value)
                for step in run.steps
                for value in step.values
                if _is_number(value.value)
            ],
        ),
    ]
    return "".join(groups)


FORMATS: Mapping[str, Callable[[RunRecord], str]] = {
    "junit": junit,
    "tap": tap,
    "nagios": nagios,
    "prometheus": prometheus,
}


def harmless(text: object) -> str:
    """Return text on one line, without control characters and secrets."""
    return " ".join(_BAD.sub("\ufffd", scrub(re.sub(r"[\r\n\t\u2028\u2029\x0b\x0c\x85]+", " ", str(text)))).split())


def _case(run: RunRecord, step: StepRecord) -> str:
    name, kind = _attribute(f"{step.id}: {step.title}"), _attribute(f"{run.runbook}.{step.tool}")
    head = f'<testcase name={name} classname={kind} time="{step.seconds:.3f}"'
    message, body = _attribute(step.text), escape(harmless(_body(step)))
    match run.outcome(step):
        case "fail":
            inside = f"<failure message={message}>{body}</failure>"
        case "inconclusive":
            inside = f'<error type="inconclusive" message={message}>{body}</error>'
        case "skipped":
            inside = f"<skipped message={message}/>"
        case _:
            inside = f"<system-out>{escape(harmless(step.text))} {body}</system-out>"
    return f"{head}>{inside}</testcase>\n"


def _body(step: StepRecord) -> str:
    values = ", ".join(f"{value.name}={value.value}{value.unit}" for value in step.values)
    return " | ".join(part for part in (values, step.excerpt, step.hint or "", step.undo or "") if part)


def _attribute(text: object) -> str:
    return quoteattr(harmless(text))


def _performance(step: StepRecord, value: Value) -> str | None:
    if not _is_number(value.value) or step.result == "skipped":
        return None
    label = re.sub(r"[^\w.-]", "_", f"{step.id}.{value.name}")
    bound = ":" if value.floor else ""  # a range "10:" is left below 10, a plain "10" above it
    limits = ["" if limit is None else f"{_plain(limit)}{bound}" for limit in (value.warn, value.fail)]
    tail = ";".join(["", *limits]).rstrip(";")
    return f"'{label}'={_plain(value.value)}{_UNITS.get(value.unit, '')}{tail}"


def _plain(number: float) -> str:
    """Return a number as monitoring plugins write it: digits, a sign and a point, never an exponent."""
    if isinstance(number, int):
        return str(number)
    return f"{number:.6f}".rstrip("0").rstrip(".")


def _is_number(value: object) -> TypeGuard[int | float]:
    """Say whether a value is one that every monitoring system can take."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _metric(name: str, help_text: str, samples: list[tuple[dict[str, str], object]]) -> str:
    lines = [f"# HELP {name} {help_text}", f"# TYPE {name} gauge"]
    for labels, value in samples:
        shown = ",".join(f'{key}="{_label(text)}"' for key, text in labels.items())
        lines.append(f"{name}{{{shown}}} {value}")
    return "\n".join(lines) + "\n"


def _label(text: object) -> str:
    return harmless(text).replace("\\", "\\\\").replace('"', '\\"')
