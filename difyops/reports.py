"""Cases in the words of other programs: JUnit, SARIF 2.1.0, TAP 13, Nagios, Prometheus text, a Markdown job summary.

One writer for every command that judges something. A room's result becomes a ``Suite`` of ``ReportCase``s; what is
written from it is pure text. Remote text is data in each of these formats: control characters, markup and separators
in it cannot end a line, an element, a string or a label, and known secrets are taken out.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, TypeGuard

from difyops import __version__
from difyops.secret_text import scrub

Word = Literal["pass", "repaired", "warn", "fail", "inconclusive", "skipped"]
NAGIOS: Mapping[str, tuple[int, str]] = {
    "pass": (0, "OK"),
    "repaired": (0, "OK"),
    "warn": (1, "WARNING"),
    "fail": (2, "CRITICAL"),
    "inconclusive": (3, "UNKNOWN"),
}
_LEVELS = {"pass": 0, "repaired": 0, "warn": 1, "fail": 2, "inconclusive": 3, "skipped": 4}
_SARIF_LEVELS = {"fail": "error", "warn": "warning", "inconclusive": "note"}
_SARIF_SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"
_WORST_FIRST = ("fail", "inconclusive", "warn")
# What XML 1.0 cannot hold, what a terminal obeys, and what turns the direction of text round.
_BAD = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2028\u2029\u202a-\u202e\u2060-\u2069\ufeff\ufffe\uffff\ud800-\udfff]"
)
_UNITS = {"s": "s", "%": "%", "bytes": "B"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure:
    """One measured value of a case: ``warn`` and ``fail`` are the most it may be, or with ``floor`` the least."""

    name: str
    value: object
    unit: str = ""
    warn: float | None = None
    fail: float | None = None
    floor: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportCase:
    """One thing that was judged. ``group`` is the check that judged it (the class of a test, the rule of a finding),
    ``body`` what stands behind the text; ``file`` and ``line`` say where a finding is, when it is in a file.
    """

    id: str
    title: str
    group: str
    word: Word
    text: str = ""
    body: str = ""
    seconds: float = 0.0
    measures: tuple[Measure, ...] = ()
    file: str | None = None
    line: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Suite:
    """Everything one command judged. ``kind`` is the command (``runbook``, ``drift``, ...) and names its metrics;
    ``verdict`` is that of the whole, ``said`` the sentence for it when no case has one.
    """

    kind: str
    name: str
    context: str
    started_at: datetime
    ended_at: datetime
    seconds: float
    verdict: Word
    said: str
    cases: tuple[ReportCase, ...] = ()

    def count(self, *words: Word) -> int:
        """Return how many cases ended so."""
        return sum(case.word in words for case in self.cases)


def worst(cases: Iterable[ReportCase]) -> Word:
    """Return the verdict that cases make together: fail before inconclusive before warn before pass."""
    words = {case.word for case in cases}
    for word in ("fail", "inconclusive", "repaired", "warn"):
        if word in words:
            return word
    return "pass"


def harmless(text: object) -> str:
    """Return text on one line, without control characters and secrets."""
    return " ".join(_BAD.sub("\ufffd", scrub(re.sub(r"[\r\n\t\u2028\u2029\x0b\x0c\x85]+", " ", str(text)))).split())


def junit(suite: Suite) -> str:
    """Return JUnit XML: inconclusive is an error, which is not the same as a failure."""
    cases = "".join(_junit_case(suite, case) for case in suite.cases)
    head = (
        f'name={_attribute(suite.name)} tests="{len(suite.cases)}" failures="{suite.count("fail")}" '
        f'errors="{suite.count("inconclusive")}" skipped="{suite.count("skipped")}" time="{suite.seconds:.3f}" '
        f'timestamp="{suite.started_at.strftime("%Y-%m-%dT%H:%M:%S")}"'
    )
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        f"<testsuites><testsuite {head} hostname={_attribute(suite.context)}>\n{cases}</testsuite></testsuites>\n"
    )


def sarif(suite: Suite) -> str:
    """Return SARIF 2.1.0: a result for each case that is not well, at its file or by the name of what it is about."""
    found = [case for case in suite.cases if case.word in _SARIF_LEVELS]
    rules = [{"id": rule} for rule in sorted({harmless(case.group) for case in found})]
    run = {
        "tool": {"driver": {"name": "difyops", "version": __version__, "rules": rules}},
        "results": [_sarif_result(suite, case) for case in found],
    }
    return json.dumps({"$schema": _SARIF_SCHEMA, "version": "2.1.0", "runs": [run]}, ensure_ascii=False) + "\n"


def tap(suite: Suite) -> str:
    """Return TAP 13: what is inconclusive is not ok, with a diagnostic that says so."""
    lines = ["TAP version 13", f"1..{len(suite.cases)}"]
    for number, case in enumerate(suite.cases, 1):
        ok = "ok" if case.word in ("pass", "repaired", "warn", "skipped") else "not ok"
        name = harmless(f"{case.id} {case.title}").replace("\\", "\\\\").replace("#", "\\#")
        skip = f" # SKIP {harmless(case.text).replace('#', '')}" if case.word == "skipped" else ""
        lines.append(f"{ok} {number} - {name}{skip}")
        if case.word not in ("pass", "skipped"):
            lines.append(f"# {case.word}: {harmless(case.text)}")
    return "\n".join(lines) + "\n"


def nagios(suite: Suite) -> str:
    """Return one line for a monitoring plugin, with performance data after the bar."""
    _, word = NAGIOS[suite.verdict]
    named = [f"{case.title}: {case.text}" for case in suite.cases if case.word == suite.verdict != "pass"]
    said = "; ".join(named[:3]) or suite.said
    text = harmless(f"DIFYOPS {word} - {suite.name}: {said}").replace("|", "/")[:500]
    data = [item for case in suite.cases for value in case.measures if (item := _performance(case, value))]
    data.append(f"'seconds'={suite.seconds:.3f}s")
    return f"{text} | {' '.join(data)}\n"


def nagios_code(suite: Suite) -> int:
    """Return what a monitoring plugin exits with: 0 ok, 1 warning, 2 critical, 3 unknown."""
    return NAGIOS[suite.verdict][0]


def prometheus(suite: Suite) -> str:
    """Return a textfile for node_exporter: the state of each case, its values, when it ended."""
    one = "step" if suite.kind == "runbook" else "case"
    shared = {suite.kind: suite.name, "context": suite.context}
    metric = f"difyops_{suite.kind}"
    states = "0 pass or repaired, 1 warn, 2 fail, 3 inconclusive"
    values = [
        ({**shared, one: case.id, "name": value.name, "unit": value.unit}, value.value)
        for case in suite.cases
        for value in case.measures
        if _is_number(value.value)
    ]
    groups = [
        _metric(f"{metric}_state", states, [(shared, _LEVELS[suite.verdict])]),
        _metric(
            f"{metric}_ended_timestamp_seconds",
            "When the last run ended",
            [(shared, f"{suite.ended_at.timestamp():.3f}")],
        ),
        _metric(f"{metric}_duration_seconds", "How long it took", [(shared, f"{suite.seconds:.3f}")]),
        _metric(
            f"{metric}_{one}_state",
            f"{states}, 4 skipped",
            [({**shared, one: case.id, "check": case.group}, _LEVELS[case.word]) for case in suite.cases],
        ),
        _metric(f"{metric}_{one}_value", f"What a {one} measured", values),
    ]
    return "".join(groups)


def markdown(suite: Suite) -> str:
    """Return a job summary: the verdict, a table of what is not well, and how many are."""
    lines = [f"### {_cell(suite.name)}: {suite.verdict}", "", _cell(suite.said), ""]
    bad = sorted((case for case in suite.cases if case.word in _WORST_FIRST), key=lambda c: _WORST_FIRST.index(c.word))
    if bad:
        lines += ["| result | what | found |", "|---|---|---|"]
        lines += [f"| {case.word} | {_cell(case.title)} | {_cell(case.text)} |" for case in bad]
        lines.append("")
    words: tuple[Word, ...] = ("fail", "inconclusive", "repaired", "warn", "pass", "skipped")
    counts = ", ".join(f"{suite.count(word)} {word}" for word in words if suite.count(word))
    lines.append(f"{counts or 'nothing was judged'} on {_cell(suite.context)} in {suite.seconds:.1f} s")
    return "\n".join(lines) + "\n"


FORMATS: Mapping[str, Callable[[Suite], str]] = {
    "junit": junit,
    "sarif": sarif,
    "tap": tap,
    "nagios": nagios,
    "prometheus": prometheus,
    "markdown": markdown,
}


def _junit_case(suite: Suite, case: ReportCase) -> str:
    name, kind = _attribute(f"{case.id}: {case.title}"), _attribute(f"{suite.name}.{case.group}")
    message, body = _attribute(case.text), _escaped(harmless(_body(case)))
    match case.word:
        case "fail":
            inside = f"<failure message={message}>{body}</failure>"
        case "inconclusive":
            inside = f'<error type="inconclusive" message={message}>{body}</error>'
        case "skipped":
            inside = f"<skipped message={message}/>"
        case _:
            inside = f"<system-out>{_escaped(harmless(case.text))} {body}</system-out>"
    return f'<testcase name={name} classname={kind} time="{case.seconds:.3f}">{inside}</testcase>\n'


def _body(case: ReportCase) -> str:
    values = ", ".join(f"{value.name}={value.value}{value.unit}" for value in case.measures)
    return " | ".join(part for part in (values, case.body) if part)


def _sarif_result(suite: Suite, case: ReportCase) -> dict[str, object]:
    result: dict[str, object] = {
        "ruleId": harmless(case.group),
        "level": _SARIF_LEVELS[case.word],
        "message": {"text": harmless(f"{case.title}: {case.text}")},
    }
    about = {"name": harmless(case.title), "fullyQualifiedName": harmless(f"{suite.context}/{case.id}")}
    place: dict[str, object] = {"logicalLocations": [about]}
    if case.file is not None:
        region = {"startLine": max(1, case.line)}
        place["physicalLocation"] = {"artifactLocation": {"uri": harmless(case.file)}, "region": region}
    return {**result, "locations": [place]}


_MARKUP = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;"})
_IN_QUOTES = _MARKUP | str.maketrans({'"': "&quot;", "\n": "&#10;", "\r": "&#13;", "\t": "&#9;"})


def _escaped(text: str) -> str:  # xml.sax.saxutils has it, and loads what opens addresses
    return text.translate(_MARKUP)


def _attribute(text: object) -> str:
    return f'"{harmless(text).translate(_IN_QUOTES)}"'


def _cell(text: object) -> str:
    """Return text that stays in its cell of a Markdown table, and is no markup."""
    return re.sub(r"([\\`*_{}\[\]<>|#!~])", r"\\\1", harmless(text))


def _performance(case: ReportCase, value: Measure) -> str | None:
    if not _is_number(value.value) or case.word == "skipped":
        return None
    label = re.sub(r"[^\w.-]", "_", f"{case.id}.{value.name}")
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


def _metric(name: str, help_text: str, samples: Sequence[tuple[dict[str, str], object]]) -> str:
    lines = [f"# HELP {name} {help_text}", f"# TYPE {name} gauge"]
    for labels, value in samples:
        shown = ",".join(f'{key}="{_label(text)}"' for key, text in labels.items())
        lines.append(f"{name}{{{shown}}} {value}")
    return "\n".join(lines) + "\n"


def _label(text: object) -> str:
    return harmless(text).replace("\\", "\\\\").replace('"', '\\"')
