"""Verdicts in the words of other programs: JUnit, SARIF 2.1.0, Nagios. Pure, verdict to text, in pieces.

Remote text is data in each of these formats: it cannot end a line, an element or a string.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import Protocol
from xml.sax.saxutils import escape, quoteattr

from difyops.counting import counted
from difyops.validation.batch import BatchSummary, Judged
from difyops.validation.verdict import Verdict

# What XML 1.0 cannot hold, and what a terminal obeys.
_HARMFUL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ufffe\uffff\ud800-\udfff]")
_SARIF = "https://json.schemastore.org/sarif-2.1.0.json"


class BatchReport(Protocol):
    """A report that grows with the batch: one ``piece`` an answer, in order; head and tail when all are in.

    Nothing is held back but counts, so that whoever writes it decides where the pieces wait for the head.
    """

    def piece(self, judged: Judged) -> str:
        """Return what one answer adds; may be empty."""
        ...

    def head(self, summary: BatchSummary) -> str:
        """Return what stands before the pieces."""
        ...

    def tail(self) -> str:
        """Return what stands after the pieces."""
        ...


@dataclass(slots=True)
class Junit:
    """JUnit XML: one answer is one test case; a failure carries its violations."""

    name: str = "difyops validate"

    def piece(self, judged: Judged) -> str:
        """Return the test case of one answer."""
        return _case(judged, self.name)

    def head(self, summary: BatchSummary) -> str:
        """Return the start of the suite, with its counts."""
        counts = f'tests="{summary.total}" failures="{summary.total - summary.valid}" errors="0"'
        return (
            f'<?xml version="1.0" encoding="UTF-8"?>\n<testsuites><testsuite name={_attribute(self.name)} {counts}>\n'
        )

    def tail(self) -> str:
        """Close the suite."""
        return "</testsuite></testsuites>\n"


@dataclass(slots=True, kw_only=True)
class Sarif:
    """SARIF 2.1.0: one result for each violation, at its line of the file ``uri``.

    In a ``batch`` that is the line of the answer; else the line inside the answer, which is the file.
    """

    uri: str
    version: str = "0"
    batch: bool = False
    _rules: set[str] = field(default_factory=set)
    _began: bool = False

    def piece(self, judged: Judged) -> str:
        """Return the results of one answer."""
        if judged.verdict.ok:
            return ""
        found = _sarif_results(judged, self.uri, batch=self.batch)
        self._rules.update(str(item["ruleId"]) for item in found)
        comma, self._began = ("," if self._began else ""), True
        return comma + ",".join("\n" + json.dumps(item) for item in found)

    def head(self, summary: BatchSummary) -> str:
        """Return the log up to its results."""
        driver = {"name": "difyops", "version": self.version, "rules": [{"id": rule} for rule in sorted(self._rules)]}
        tool = json.dumps({"driver": driver})
        return f'{{"$schema": "{_SARIF}", "version": "2.1.0", "runs": [{{"tool": {tool}, "results": ['

    def tail(self) -> str:
        """Close the log."""
        return "]}]}\n"


@dataclass(slots=True, kw_only=True)
class Nagios:
    """One line for a monitoring plugin, with performance data after the bar."""

    min_first_pass: float | None = None

    def piece(self, judged: Judged) -> str:
        """Return nothing: the line counts."""
        return ""

    def head(self, summary: BatchSummary) -> str:
        """Return the line."""
        return nagios(summary, min_first_pass=self.min_first_pass)

    def tail(self) -> str:
        """Return nothing."""
        return ""


def nagios(summary: BatchSummary, *, min_first_pass: float | None = None) -> str:
    """Return one line for a monitoring plugin, with performance data after the bar."""
    word = ("OK", "WARNING", "CRITICAL", "UNKNOWN")[nagios_code(summary, min_first_pass=min_first_pass)]
    errors = ", ".join(f"{count} {code}" for code, count in list(summary.errors.items())[:5])
    said = f"{summary.valid} of {counted(summary.total, 'answer')} valid" + (f" ({errors})" if errors else "")
    rate = "U" if summary.first_pass_rate is None else f"{summary.first_pass_rate:.4f}"
    bound = "" if min_first_pass is None else f"{min_first_pass:g}:"
    return (
        f"DIFYOPS {word} - {said} | 'valid'={summary.valid};;;0;{summary.total} "
        f"'first_pass'={rate};;{bound};0;1 'failed'={summary.total - summary.valid};;;0;{summary.total}\n"
    )


def nagios_code(summary: BatchSummary, *, min_first_pass: float | None = None) -> int:
    """Return what a monitoring plugin exits with: 0 ok, 2 critical, 3 when nothing was judged."""
    if not summary.total:
        return 3
    if min_first_pass is not None:
        return 2 if summary.gate(min_first_pass) else 0
    return 0 if summary.valid == summary.total else 2


def _case(judged: Judged, suite: str) -> str:
    head = f"<testcase classname={_attribute(suite)} name={_attribute(str(judged.id))}"
    verdict = judged.verdict
    if verdict.ok:
        return f"{head}/>\n" if not verdict.edits else f"{head}><system-out>{_edits(verdict)}</system-out></testcase>\n"
    lines = [_told(item.line, item.pointer, item.message) for item in verdict.violations]
    body = escape(harmless("\n".join(lines) or verdict.message or ""))
    return (
        f"{head}><failure type={_attribute(verdict.error or '')} message={_attribute(verdict.message or '')}>"
        f"{body}</failure></testcase>\n"
    )


def _edits(verdict: Verdict) -> str:
    lines = [f"{edit.pointer or '/'}: {edit.reason}: {edit.before!r} -> {edit.after!r}" for edit in verdict.edits]
    return escape(harmless("\n".join(lines)))


def _told(line: int | None, pointer: str, message: str) -> str:
    return f"{f'line {line}: ' if line else ''}{pointer or '/'}: {message}"


def _sarif_results(judged: Judged, uri: str, *, batch: bool) -> list[dict[str, object]]:
    verdict = judged.verdict
    if not verdict.violations:
        return [_sarif_result(verdict.error or "violates", verdict.message or "", uri, judged.line)]
    return [
        _sarif_result(
            item.expected.split(":", 1)[0],
            f"{item.pointer or '/'}: {item.message}",
            uri,
            (None if batch else item.line) or judged.line,
        )
        for item in verdict.violations
    ]


def _sarif_result(rule: str, message: str, uri: str, line: int) -> dict[str, object]:
    place = {"artifactLocation": {"uri": uri}, "region": {"startLine": max(1, line)}}
    return {
        "ruleId": rule,
        "level": "error",
        "message": {"text": harmless(message)},
        "locations": [{"physicalLocation": place}],
    }


def _attribute(text: str) -> str:
    return quoteattr(harmless(text).replace("\n", " ")[:500])


def harmless(text: str) -> str:
    """Return text without what XML cannot hold and a terminal would obey."""
    return _HARMFUL.sub("\ufffd", text)
