"""Reports for other programs: they parse, they count right, and no answer can break out of them."""

from __future__ import annotations

import json
from xml.etree import ElementTree

from difyops.validation import BatchTally, Judged, compile_schema, enforce
from difyops.validation.report import BatchReport, Junit, Sarif, nagios, nagios_code

SCHEMA = compile_schema({"type": "object", "properties": {"b": {"type": "integer"}}, "required": ["b"]})
NASTY = '{\n"b": "]]>\x1b[31m<x a=\\"1\\">&\u202e"}'
TEXTS = ('{"b": 1}', '{"b": 1,}', NASTY, "sorry, I cannot")
RESULTS = [Judged(id=f"q<{n}>", line=n, verdict=enforce(text, SCHEMA)) for n, text in enumerate(TEXTS, 1)]


def summary_of(results: list[Judged]) -> BatchTally:
    tally = BatchTally()
    for judged in results:
        tally.add(judged.verdict)
    return tally


def whole(report: BatchReport, results: list[Judged]) -> str:
    pieces = "".join(report.piece(judged) for judged in results)
    return report.head(summary_of(results).summary()) + pieces + report.tail()


def test_junit_has_a_case_for_each_answer_and_a_failure_for_each_bad_one() -> None:
    root = ElementTree.fromstring(whole(Junit('a "b" <c>'), RESULTS))
    suite = root[0]
    assert (suite.get("tests"), suite.get("failures")) == ("4", "2")
    assert [case.get("name") for case in suite] == ["q<1>", "q<2>", "q<3>", "q<4>"]
    assert [len(case.findall("failure")) for case in suite] == [0, 0, 1, 1]
    assert "trailing comma" in "".join(suite[1].itertext())
    assert "\x1b" not in whole(Junit(), RESULTS)


def test_sarif_names_rule_and_line() -> None:
    log = json.loads(whole(Sarif(uri="answers.ndjson", batch=True), RESULTS))
    results = log["runs"][0]["results"]
    places = [item["locations"][0]["physicalLocation"] for item in results]
    assert log["version"] == "2.1.0"
    assert [place["region"]["startLine"] for place in places] == [3, 4]
    assert {place["artifactLocation"]["uri"] for place in places} == {"answers.ndjson"}
    declared = {rule["id"] for rule in log["runs"][0]["tool"]["driver"]["rules"]}
    assert {item["ruleId"] for item in results} <= declared
    alone = [Judged(id="a", line=1, verdict=enforce('{\n\n"b": "x"}', SCHEMA))]
    (result,) = json.loads(whole(Sarif(uri="a.json"), alone))["runs"][0]["results"]
    assert result["locations"][0]["physicalLocation"]["region"]["startLine"] == 3


def test_nagios_is_one_line_with_performance_data() -> None:
    bad = summary_of(RESULTS).summary()
    line = nagios(bad, min_first_pass=0.98)
    assert line.count("\n") == 1
    assert line.startswith("DIFYOPS CRITICAL - 2 of 4 answers valid")
    assert "'first_pass'=0.2500;;0.98:;0;1" in line
    good = summary_of(RESULTS[:1]).summary()
    assert nagios(good).startswith("DIFYOPS OK")
    assert nagios(BatchTally().summary()).startswith("DIFYOPS UNKNOWN")
    assert [nagios_code(item) for item in (good, bad, BatchTally().summary())] == [0, 2, 3]
    assert nagios_code(bad, min_first_pass=0.25) == 0
