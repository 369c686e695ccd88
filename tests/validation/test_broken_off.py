"""Answers that break off, begin again, lead to another one that is not there, or were cut into lines by somebody."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator

import pytest

from difyops.validation import enforce
from difyops.validation.reading.model import Path
from difyops.validation.reading.places import paths_at, starts
from tests.validation.wild import documents

PERSON = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "age": {"type": "integer"}, "city": {"type": "string"}},
    "required": ["name", "age"],
}
PEOPLE = {"type": "array", "items": PERSON}
ANN = '{"name": "Ann", "age": 7}'


@pytest.mark.parametrize("behind", [
    "After:\n```json\n", "\nAfter:\n``", "\nHere is the corrected version:", "\nActually, let me f", "\nAfter:\n",
    "\nObservation: ok\nFinal A", "\n\nWait", "\n\n**Final answer:**\n",
])  # fmt: skip
def test_a_value_before_another_that_is_not_there_is_not_the_answer(behind: str) -> None:
    for made in (ANN + behind, f"Before:\n```json\n{ANN}\n```\n{behind}"):
        assert enforce(made, PERSON).error == "truncated", made


@pytest.mark.parametrize("behind", [
    "\nI corrected the age.", "\nI fixed it", "\nObservation:", "\nSorry for the wait, this took long.\n\nBye",
    "\nThis is the final version", "\nNote: x", "\n```", "\nHope this helps: Bob",
])  # fmt: skip
def test_words_that_only_speak_of_the_value_leave_it_the_answer(behind: str) -> None:
    text = ANN + behind if behind != "\n```" else f"```json\n{ANN}{behind}"
    assert enforce(text, PERSON).value == {"name": "Ann", "age": 7}


@pytest.mark.parametrize("text", [
    '[{"name": "Ann", "age": 47, [{"name": "Ann", "age": 47, "city": "Rome"}]',
    '[\n{"name": "Ann", "age": 1[\n{"name": "Ann", "age": 11, "city": "Rome"}]',
])  # fmt: skip
def test_an_answer_that_begins_again_in_its_middle_is_not_made_one_of_both(text: str) -> None:
    assert enforce(text, PEOPLE).error == "not_json"


def test_a_list_whose_bracket_stands_for_a_brace_is_cut_where_a_comma_ends_it() -> None:
    assert enforce('["name": "Ann", "age": 7,', PERSON).error == "truncated"
    assert enforce('{"name": "Ann", "age": 7:', PERSON).value == {"name": "Ann", "age": 7}
    assert enforce('["name": "Ann", "age": 7]', PERSON).value == {"name": "Ann", "age": 7}


def test_a_text_cut_into_lines_of_one_length_does_not_gain_their_line_breaks() -> None:
    whole = '{"name": "Ann of the green hills", "age": 7, "city": "Rome and Naples and Florence"}'
    for width in (12, 15, 19, 23):
        lines = [whole[at : at + width] for at in range(0, len(whole), width)]
        verdict = enforce("\n".join(lines), PERSON)
        assert not verdict.ok or verdict.value == json.loads(whole), width
    assert not enforce('{"na\nme": "x", "name": "Ann", "age": 7}', PERSON).ok
    kept = enforce('{"name": "Ann\nof the green hills,\nof Rome", "age": 7}', PERSON)
    assert kept.value == {"name": "Ann\nof the green hills,\nof Rome", "age": 7}


def test_the_place_of_an_edit_is_that_of_a_walk_over_the_whole_text() -> None:
    rng = random.Random(14)
    for item in documents()[::12]:
        text = json.dumps(item.value, indent=rng.choice([None, 2]))
        if len(text) > 4_000:
            continue
        known = starts(text)
        places = {at: path for path, at in known.items()}
        at = rng.sample(sorted(places), min(5, len(places)))
        assert dict(zip(at, paths_at(text, at), strict=True)) == {place: places[place] for place in at}
        assert set(_all_paths(item.value)) == set(known)


def _all_paths(value: object, path: Path = ()) -> Iterator[Path]:
    yield path
    members = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for step, member in members:
        yield from _all_paths(member, (*path, step))
