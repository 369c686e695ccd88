"""What commands print fits the schema of its kind, and damaged it does not: for every command that looks."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import jsonschema_rs
import pytest

from difyops.cli.schema import data_of, envelope_of, kinds
from difyops.cli.table import CommandEntry
from tests.conftest import Cli
from tests.contract.lines import ENTRIES, bare, examples, reading

READING = [entry for entry in ENTRIES if reading(entry)]
OTHER_TYPES: tuple[tuple[str, Any], ...] = (("object", {}), ("array", []), ("string", "x"))


def is_closed(schema: dict[str, Any]) -> bool:
    return schema.get("additionalProperties") is False


def damaged(schema: dict[str, Any], value: Any, place: str = "data") -> Iterator[tuple[str, Any]]:
    """Yield what a value may not become, each with its place: a field lost, one too many, one of another type."""
    if isinstance(value, list) and value and "items" in schema:
        for where, other in damaged(schema["items"], value[0], f"{place}[]"):
            yield where, [other, *value[1:]]
    if not isinstance(value, dict) or not is_closed(schema):
        return
    yield f"{place} has one field more", {**value, "surplus": 1}
    for name in schema["required"]:
        yield f"{place}.{name} is gone", {key: item for key, item in value.items() if key != name}
    for name, item in value.items():
        below = schema["properties"][name]
        types = below.get("type", [])
        wrong = [other for kind, other in OTHER_TYPES if types and kind not in types]
        if wrong:
            yield f"{place}.{name} is of another type", {**value, name: wrong[0]}
        for where, other in damaged(below, item, f"{place}.{name}"):
            yield where, {**value, name: other}


def name_of(entry: CommandEntry) -> str:
    return entry.name


@pytest.mark.parametrize("entry", READING, ids=name_of)
@pytest.mark.usefixtures("still_world")
def test_what_is_printed_fits_and_damaged_it_does_not(cli: Cli, entry: CommandEntry) -> None:
    for words in examples(entry):
        ran = cli(*bare(words), "-o", "json")
        if ran.code in (0, 5):
            document = ran.json
            schema, check = data_of(document["kind"]), jsonschema_rs.validator_for(envelope_of(document["kind"]))
            check.validate(document)
            wrong = damaged(schema, document["data"])
            assert [where for where, other in wrong if check.is_valid({**document, "data": other})] == []


def objects(schema: dict[str, Any], place: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield every object of a schema that has fields, with its place."""
    if "properties" in schema:
        yield place, schema
    for name, below in schema.get("properties", {}).items():
        yield from objects(below, f"{place}.{name}")
    for word, sign in (("items", "[]"), ("additionalProperties", ".*")):
        if isinstance(schema.get(word), dict):
            yield from objects(schema[word], f"{place}{sign}")


def test_nearly_every_object_says_which_fields_it_has_and_which_are_always_there() -> None:
    found = [(place, schema) for kind in kinds() for place, schema in objects(data_of(kind), kind)]
    vague = [place for place, schema in found if not is_closed(schema)]
    assert all(schema["required"] for _, schema in found if is_closed(schema))
    assert len(vague) < 0.1 * len(found), vague  # the tests have seen these less than three times


FLAT = ("perf", "cost", "cache", "slo", "history", "eval", "drill", "trigger audit", "runbook", "fleet")
"""Figures leave ``-o ndjson`` as flat rows, as ``-o csv`` has them; a runbook's steps, and what every context said."""


@pytest.mark.parametrize("entry", [entry for entry in READING if not entry.name.startswith(FLAT)], ids=name_of)
@pytest.mark.usefixtures("still_world")
def test_lines_are_the_rows_of_the_document(cli: Cli, entry: CommandEntry) -> None:
    words = bare(examples(entry)[0])
    whole, lines = cli(*words, "-o", "json"), cli(*words, "-o", "ndjson")
    if whole.code == lines.code and (data := whole.json["data"]) is not None:
        rows = [json.loads(line) for line in lines.out.splitlines()]
        lists = (
            [data] if isinstance(data, list) else [[data], *(item for item in data.values() if isinstance(item, list))]
        )
        assert shapes(rows) in map(shapes, lists)  # not their values: an age grows from one to the other


def shapes(rows: list[Any]) -> list[Any]:
    return [sorted(row) if isinstance(row, dict) else type(row) for row in rows]
