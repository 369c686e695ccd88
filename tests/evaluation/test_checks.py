"""Each check: what passes, what fails, what it refuses before anything is asked."""

from __future__ import annotations

import inspect
import json
from typing import Any

import pytest

from difyops.errors import DifyopsError, Refused, UsageError
from difyops.evaluation.cases import read_case, read_cases, write_cases
from difyops.evaluation.checks import CHECKS, FAIL, NOT_JUDGED, PASS, CheckFound, CheckInput
from difyops.evaluation.judging import place_in

KEY = "sk-proj-" + "Aq3xT9mLw7Zk2vBn8RcY5dPs"


async def nobody(app: str, question: str) -> str:
    raise DifyopsError(f"{app} is down")


async def look(check: str, said: Any, ask: Any = nobody, **parameters: Any) -> CheckFound:
    """Look at one answer, the parameters read as from a file."""
    line = json.dumps({"id": "one", "query": "why?", "expect": [{"check": check, **parameters}]})
    case = read_case(line.encode(), "here")
    text = said if isinstance(said, str) else json.dumps(said)
    given = CheckInput(value=said, text=text, query=case.query, ask=ask)
    module: Any = CHECKS.get(check).module
    found = module.check(given, **case.expect[0].parameters)
    answer = await found if inspect.isawaitable(found) else found
    assert isinstance(answer, CheckFound)
    return answer


@pytest.mark.parametrize(
    ("check", "answer", "parameters", "word"),
    [
        ("exact", "  Paris\n", {"value": "Paris"}, PASS),
        ("exact", "paris", {"value": "Paris"}, FAIL),
        ("exact", "paris", {"value": "Paris", "ignore_case": True}, PASS),
        ("exact", {"a": 1, "b": [True]}, {"value": {"b": [True], "a": 1.0}}, PASS),
        ("exact", {"a": True}, {"value": {"a": 1}}, FAIL),
        ("exact", '{"a": 1}', {"value": {"a": 1}}, PASS),
        ("exact", "no json", {"value": {"a": 1}}, FAIL),
        ("contains", "30 days to return", {"text": "30 days"}, PASS),
        ("contains", "THIRTY days", {"text": "thirty", "ignore_case": True}, PASS),
        ("contains", "a month", {"text": "30 days"}, FAIL),
        ("absent", "I am sorry", {"text": "guarantee"}, PASS),
        ("absent", "we guarantee it", {"text": "guarantee"}, FAIL),
        ("regex", "order A-123 is on its way", {"pattern": r"\b[A-Z]-\d{3}\b"}, PASS),
        ("regex", "ORDER", {"pattern": "^order$", "ignore_case": True}, PASS),
        ("regex", "order", {"pattern": "^rder"}, FAIL),
        ("regex", "foobar", {"pattern": "foo(?=bar)"}, PASS),
        ("schema", {"days": 3}, {"schema": {"type": "object", "required": ["days"]}}, PASS),
        ("schema", "Sure! {'days': 3}", {"schema": {"type": "object", "required": ["days"]}}, PASS),
        ("schema", "Sure! {'days': 3}", {"schema": {"type": "object", "required": ["days"]}, "strict": True}, FAIL),
        ("schema", "nothing", {"schema": {"type": "object", "required": ["days"]}}, FAIL),
        ("number", 42, {"value": 42}, PASS),
        ("number", "It is 41.9 degrees.", {"value": 42, "tolerance": 0.2}, PASS),
        ("number", "It is 40 degrees.", {"value": 42, "tolerance": 0.2}, FAIL),
        ("number", "1,234.5", {"value": 1234.5}, PASS),
        ("number", "-7", {"value": 7}, FAIL),
        ("number", "98", {"value": 100, "relative": 0.02}, PASS),
        ("number", "3 of 4", {"value": 3}, FAIL),
        ("number", "3,5", {"value": 3.5}, FAIL),
        ("number", True, {"value": 1}, FAIL),
    ],
)
async def test_checks(check: str, answer: Any, parameters: dict[str, Any], word: str) -> None:
    found = await look(check, answer, **parameters)
    assert found.word == word, found
    assert found.score == float(word == PASS)
    assert word == PASS or found.why


@pytest.mark.parametrize("pattern", ["(a+)+$", "(a|aa)+$", "(.*a){25}$", "(?=(a+))\\1+b"])
async def test_no_pattern_hangs_on_a_megabyte(pattern: str) -> None:
    found = await look("regex", "a" * 1_000_000 + "!", pattern=pattern)
    assert found.word in (FAIL, NOT_JUDGED)


async def test_a_judge_says_pass_or_fail_or_has_not_judged() -> None:
    asked: list[str] = []

    def saying(text: str) -> Any:
        async def ask(app: str, question: str) -> str:
            asked.append(question)
            return text

        return ask

    for said, word, score in (
        ('{"pass": true, "score": 0.8, "reason": "good"}', PASS, 0.8),
        ('```json\n{"pass": false, "score": 0.1, "reason": "wrong"}\n```', FAIL, 0.1),
        ("Yes.", PASS, 1.0),
        ("fail", FAIL, 0.0),
        ('{"pass": "true"}', NOT_JUDGED, None),
        ("I would say it passes, mostly", NOT_JUDGED, None),
        ("", NOT_JUDGED, None),
        ('{"pass": true, "score": 7}', PASS, 1.0),
    ):
        found = await look("judge", "an answer", saying(said), app="jury")
        assert (found.word, found.score) == (word, score), said
    assert (await look("judge", "x", saying('{"pass": true, "score": 0.5}'), app="jury", least=0.7)).word == FAIL
    down = await look("judge", "an answer", app="jury")
    assert down.word == NOT_JUDGED
    assert "jury is down" in down.why
    assert "why?" in asked[0]
    assert "an answer" in asked[0]
    marks = {question.split("begin with ")[1].split()[0] for question in asked}
    assert len(marks) == len(asked)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("nope", "not JSON"),
        ("[]", "must be a mapping"),
        ('{"query": "x"}', "id: this field is required"),
        ('{"id": "a"}', "asks something"),
        ('{"id": "a", "query": 3}', "query: expected text"),
        ('{"id": "a", "query": "x", "inputs": []}', "inputs: must be"),
        ('{"id": "a", "query": "x", "wanted": 1}', "unknown field 'wanted'"),
        ('{"id": "a", "query": "x", "expect": {}}', "expect: a check is an object"),
        ('{"id": "a", "query": "x", "expect": ["hi"]}', "a check is an object"),
        ('{"id": "a", "query": "x", "expect": [{"contain": "x"}]}', "'contain' is not"),
        ('{"id": "a", "query": "x", "expect": [{"contains": "x", "exact": "y"}]}', "one check an object"),
        ('{"id": "a", "query": "x", "expect": [{"contains": 3}]}', "text must be text"),
        ('{"id": "a", "query": "x", "expect": [{"contains": ""}]}', "blank text"),
        ('{"id": "a", "query": "x", "expect": [{"check": "number"}]}', "number wants value"),
        ('{"id": "a", "query": "x", "expect": [{"check": "number", "value": true}]}', "value must be a number"),
        ('{"id": "a", "query": "x", "expect": [{"check": "number", "value": 1, "tolerance": -1}]}', "below zero"),
        ('{"id": "a", "query": "x", "expect": [{"regex": "("}]}', "regex"),
        ('{"id": "a", "query": "x", "expect": [{"check": "regex", "pattern": "a)(b", "ignore_case": true}]}', "regex"),
        ('{"id": "a", "query": "x", "expect": [{"schema": {"type": "nonsense"}}]}', "schema"),
        ('{"id": "a", "query": "x", "expect": [{"check": "exact", "value": 1, "vlaue": 2}]}', "no parameter 'vlaue'"),
    ],
)
def test_a_bad_line_is_named(line: str, said: str) -> None:
    with pytest.raises(UsageError) as raised:
        read_case(line.encode(), "cases.jsonl", 3)
    assert raised.value.message.startswith("cases.jsonl:3: ")
    assert said in raised.value.message


@pytest.mark.parametrize(
    "case",
    [
        {"query": f"my key is {KEY}"},
        {"inputs": {"deep": [{"text": KEY}]}, "query": "x"},
        {"query": "x", "expect": [{"contains": KEY}]},
        {"query": "x", "reference": f"use {KEY}"},
        {"query": "x", "inputs": {"password": "tr0ub4dor&3x"}},
    ],
)
def test_cases_with_secrets_are_refused(case: dict[str, Any], tmp_path: Any) -> None:
    file = tmp_path / "cases.jsonl"
    file.write_text(json.dumps({"id": "fine", "query": "x"}) + "\n" + json.dumps({"id": "bad", **case}) + "\n")
    with pytest.raises(Refused) as raised:
        read_cases(file)
    assert raised.value.exit_code == 8
    assert f"{file}:2" in raised.value.message
    assert KEY not in raised.value.message


def test_cases_come_back_as_they_were_written(tmp_path: Any) -> None:
    line = {"id": "é", "query": "x\u2028y", "inputs": {"n": 1}, "cluster": "c", "source": "s", "reference": "r",
            "expect": [{"check": "number", "value": 3, "at": "a.b"},
                       {"check": "exact", "value": {"at": 1}}]}  # fmt: skip
    case = read_case(json.dumps(line).encode(), "here")
    file = tmp_path / "cases.jsonl"
    write_cases(file, [case])
    assert read_cases(file) == (case,)
    assert file.stat().st_mode & 0o077 == 0
    with pytest.raises(Refused):
        write_cases(file, [case])
    write_cases(file, [read_case(b'{"id": "two", "query": "x"}', "here"), case], more=True)
    assert [item.id for item in read_cases(file)] == ["é", "two"]
    file.write_text('{"id": "a", "query": "x"}\n{"id": "a", "query": "y"}\n')
    with pytest.raises(UsageError, match="stands above already"):
        read_cases(file)
    file.write_text("\n")
    with pytest.raises(UsageError, match="holds no case"):
        read_cases(file)


def test_places_in_outputs() -> None:
    outputs = {"result": '{"items": [{"name": "x"}]}', "n": 1}
    assert place_in(outputs, "result.items.0.name") == "x"
    assert place_in(outputs, "n") == 1
    for at in ("m", "result.items.1", "result.items.name", "n.x"):
        assert place_in(outputs, at) is not None
        assert not isinstance(place_in(outputs, at), str | int)


def test_every_check_has_a_test_and_is_a_whole_plugin() -> None:
    assert set(CHECKS.all()) == {"absent", "contains", "exact", "judge", "number", "regex", "schema"}
    assert CHECKS.problems() == []
