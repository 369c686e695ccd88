"""Batches: one verdict a line, in order, counted; a bad line is a failed line, not the end."""

from __future__ import annotations

import io
import json
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import pytest

from difyops.cli.validate_reports import Reports
from difyops.validation import BatchTally, compile_schema, judge_all
from difyops.validation.sources import from_document, from_lines, read_lines

SCHEMA = compile_schema({"type": "object", "properties": {"b": {"type": "integer"}}, "required": ["b"]})


def test_each_line_gives_one_verdict_in_input_order() -> None:
    lines = [
        json.dumps('{"b": 1}'),
        "",
        json.dumps({"id": "q7", "answer": "```json\n{'b': 2}\n```"}),
        json.dumps({"id": 0, "answer": '{"b": "x"}'}),
        "not json",
        "[1]",
        json.dumps({"answer": {"b": 3}}),
    ]
    judged = list(judge_all(from_lines(lines), SCHEMA))
    assert [item.id for item in judged] == [1, "q7", 0, 5, 6, 7]
    assert [item.verdict.rung for item in judged] == ["strict", "repair", "failed", "failed", "failed", "strict"]
    assert [item.verdict.error for item in judged][2:5] == ["violates", "bad_line", "bad_line"]
    assert list(judged[0].as_dict()) == ["id", "ok", "rung", "value", "edits", "violations", "error", "message"]


def test_bytes_that_are_not_text_and_lines_too_long_fail_alone() -> None:
    stream = io.BytesIO(b'"{\\"b\\": 1}"\n\xff\xfe\n"' + b"x" * 5_000 + b'"\n"{\\"b\\": 2}"')
    judged = list(judge_all(from_lines(read_lines(stream, limit=1_000)), SCHEMA))
    assert [item.verdict.error for item in judged] == [None, "not_text", "too_large", None]
    assert [item.line for item in judged] == [1, 2, 3, 4]


def test_rates_and_repairs_are_counted() -> None:
    tally = BatchTally()
    lines = [json.dumps(text) for text in ('{"b": 1}', '{"b": 1,}', '{"b": 2,}', "{'b': 1,}", "sorry, I cannot")]
    for _ in judge_all(from_lines(lines), SCHEMA, tally=tally):
        pass
    summary = tally.summary()
    assert (summary.total, summary.valid, summary.first_pass) == (5, 4, 1)
    assert (summary.first_pass_rate, summary.valid_rate) == (0.2, 0.8)
    assert summary.repairs == {"trailing comma": 3, "wrong quotes": 1}
    assert summary.as_dict()["repairs"] == {
        "trailing comma": {"answers": 3, "rate": 0.6},
        "wrong quotes": {"answers": 1, "rate": 0.2},
    }
    assert sum(summary.errors.values()) == 1


def test_the_gate_holds_a_rate_and_an_empty_batch_does_not_pass() -> None:
    tally = BatchTally()
    list(judge_all(from_lines([json.dumps('{"b": 1}'), json.dumps('{"b": 1,}')]), SCHEMA, tally=tally))
    assert tally.summary().gate(0.5) is None
    refused = tally.summary().gate(0.98)
    assert refused is not None
    assert refused.exit_code == 5
    nothing = BatchTally().summary()
    assert nothing.first_pass_rate is None
    empty = nothing.gate(0.0)
    assert empty is not None
    assert empty.exit_code == 5
    assert nothing.as_dict()["repairs"] == {}


def test_a_batch_is_judged_in_constant_memory() -> None:
    line = json.dumps({"answer": json.dumps({"b": 1, "text": "x" * 10_000})}).encode() + b"\n"

    def lines(count: int) -> Iterator[bytes]:
        for _ in range(count):
            yield line

    def peak(count: int) -> int:
        tracemalloc.start()
        for _ in judge_all(from_lines(lines(count)), SCHEMA, tally=BatchTally()):
            pass
        used = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return used

    peak(10)
    assert peak(1_000) < peak(50) + 200_000


@pytest.mark.long
def test_reports_of_a_batch_take_constant_memory_too(tmp_path: Path) -> None:
    bad = json.dumps({"answer": json.dumps({"b": "x" * 1_000})}).encode() + b"\n"

    def peak(count: int) -> int:
        formats = (("junit", tmp_path / "j.xml"), ("sarif", tmp_path / "s.sarif"), ("nagios", tmp_path / "n.txt"))
        tracemalloc.start()
        reports, tally = Reports.of(formats, "answers", batch=True), BatchTally()
        for judged in judge_all(from_lines(bad for _ in range(count)), SCHEMA, tally=tally):
            reports.add(judged)
        reports.write(tally.summary())
        used = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return used

    peak(10)
    assert peak(5_000) < 3_500_000  # two spools of a million bytes; the reports have more than twice that
    assert (tmp_path / "j.xml").stat().st_size > 1_500_000
    assert len(json.loads((tmp_path / "s.sarif").read_text())["runs"][0]["results"]) == 5_000


@pytest.mark.parametrize(
    ("document", "field", "text"),
    [
        ("plain", None, "plain"),
        ({"event": "message", "answer": "the text", "message_id": "m1"}, None, "the text"),
        ({"data": {"status": "succeeded", "outputs": {"result": "R"}}, "workflow_run_id": "r1"}, None, "R"),
        ({"data": {"outputs": {"a": "A", "b": 2}}}, None, '{"a": "A", "b": 2}'),
        ({"data": {"outputs": {"a": "A", "b": {"c": 1}}}}, "b", '{"c": 1}'),
        ({"target": "ctx/app", "status": "answered", "text": "T", "outputs": {}}, None, "T"),
    ],
)
def test_results_of_runs_are_understood(document: object, field: str | None, text: str) -> None:
    assert from_document(document, field=field).text == text


def test_a_saved_broadcast_is_a_batch() -> None:
    lines = [
        json.dumps({"format": "difyops.broadcast/v1", "question": "q", "user": "u"}),
        json.dumps({"target": "ctx/1", "status": "answered", "text": '{"b": 1}', "outputs": {}}),
        json.dumps({"target": "ctx/2", "status": "failed", "text": "", "outputs": {}}),
    ]
    judged = list(judge_all(from_lines(lines), SCHEMA))
    assert [(item.id, item.verdict.error) for item in judged] == [("ctx/1", None), ("ctx/2", "no_answer")]


def test_a_bare_object_is_the_answer_and_a_bad_line_is_told_the_form() -> None:
    good, bad = judge_all(from_lines(['{"b": 1}', "[1]"]), SCHEMA)
    assert (good.verdict.rung, good.verdict.value) == ("strict", {"b": 1})
    assert '"answer"' in str(bad.as_dict()["message"])


def test_what_is_no_answer_is_a_bad_line() -> None:
    assert from_document([1]).error == "bad_line"
    assert from_document({"x": 1}).error == "bad_line"
    assert from_document({"data": {"outputs": {"a": "A"}}}, field="b").error == "bad_line"
