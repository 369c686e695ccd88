from __future__ import annotations

import itertools
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from difyops.dsl.load import LoadLimits, dump_yaml, load_dsl, load_yaml, load_yaml_with_lines
from difyops.dsl.model import DslError
from tests.dsl import dsl_samples

EXPORTS = ["export.yml", "export-with-secret.yml", "export-knowledge.yml", "export-webhook.yml", "export-chat.yml"]

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=20,
)


@pytest.mark.parametrize("name", [*EXPORTS, "flow-chat.yml", "agent.yml"])
def test_an_export_reads_as_the_platform_itself_would_read_it(name: str) -> None:
    text = dsl_samples.text(name)
    assert load_dsl(text) == yaml.safe_load(text)


@pytest.mark.parametrize("name", EXPORTS)
def test_an_export_written_again_is_the_same_text(name: str) -> None:
    text = dsl_samples.text(name)
    assert dump_yaml(load_dsl(text)) == text


@settings(deadline=None)
@given(json_values)
def test_what_is_written_reads_back_in_both_ways_of_reading(value: Any) -> None:
    text = dump_yaml({"value": value})
    assert load_dsl(text) == {"value": value}
    assert load_yaml(text) == {"value": value}


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("no", "no"),
        ("on", "on"),
        ("012", "012"),
        ("0x1f", "0x1f"),
        ("1:30", "1:30"),
        ("1_000", "1_000"),
        ("12e03", "12e03"),
        ("2026-11-20", "2026-11-20"),
        ("2026-11-20 06:03:14", "2026-11-20 06:03:14"),
        (".inf", ".inf"),
        ("true", True),
        ("FALSE", False),
        ("~", None),
        ("", None),
        ("-7", -7),
        ("1.50", 1.5),
        ("!!str 5", "5"),
        ("!!float 5", 5.0),
        ("'5'", "5"),
        ("9" * 5000, "9" * 5000),
    ],
)
def test_a_configuration_file_holds_only_json_types(written: str, meant: object) -> None:
    assert load_yaml(f"field: {written}\n") == {"field": meant}


@pytest.mark.parametrize(
    ("written", "meant"),
    [("no", False), ("012", 10), ("0x1f", 31), ("1:30", 90), ("1_000", 1000), ("2026-11-20", "2026-11-20")],
)
def test_a_dsl_is_read_with_the_rules_of_yaml_1_1_and_dates_stay_text(written: str, meant: object) -> None:
    assert load_dsl(f"field: {written}\n") == {"field": meant}


def test_keys_are_always_text() -> None:
    assert load_yaml("1: a\ntrue: b\nnull: c\n") == {"1": "a", "true": "b", "null": "c"}


@pytest.mark.parametrize(
    ("text", "place", "reason"),
    [
        ("a: 1\nb:\n  c: 1\n  c: 2\n", "line 4, column 3", "'c' is there twice"),
        ("a: [1\n", "line 2, column 1", "expected"),
        ("a: b: c\n", "line 1, column 5", "not allowed"),
        ("a: *nobody\n", "line 1, column 4", "no anchor"),
        ("a: &self [*self]\n", "line 1, column 11", "holds itself"),
        ("a: !!python/object:os.system x\n", "line 1, column 4", "not supported"),
        ("a: !custom x\n", "line 1, column 4", "not supported"),
        ("base: &b {x: 1}\nmore:\n  <<: *b\n", "line 3, column 3", "merge keys"),
        ("a: 1\n---\nb: 1\n", "line 2, column 1", "second document"),
        ("? [x]\n: 1\n", "line 1, column 3", "key must be text"),
        ("a: 1\nb: \x07\n", "line 2", "not allow"),
    ],
)
def test_a_bad_file_is_one_sentence_with_line_and_column(text: str, place: str, reason: str) -> None:
    with pytest.raises(DslError) as raised:
        load_yaml(text, what="difyops.yaml")
    message = str(raised.value)
    assert message.startswith("difyops.yaml: ")
    assert place in message
    assert reason in message
    assert "\n" not in message
    assert raised.value.exit_code == 2


def test_bytes_that_are_not_utf_8_are_refused_with_their_place() -> None:
    with pytest.raises(DslError, match="line 2, column 4: not valid UTF-8"):
        load_yaml(b"a: 1\nb: \xff\n")


def test_a_byte_order_mark_is_not_part_of_the_first_key() -> None:
    assert load_yaml(b"\xef\xbb\xbfa: 1\n") == {"a": 1}


def test_an_alias_bomb_is_refused_before_it_costs_anything() -> None:
    names = "abcdefghij"
    lines = ["a: &a [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"{new}: &{new} [{', '.join([f'*{old}'] * 10)}]" for old, new in itertools.pairwise(names)]
    with pytest.raises(DslError, match="aliases repeat more than"):
        load_yaml("\n".join(lines))


@pytest.mark.parametrize("opening", ["[", "- ", "{a: "])
def test_endless_nesting_is_refused_and_does_not_crash(opening: str) -> None:
    with pytest.raises(DslError, match="nested deeper than 100 levels"):
        load_yaml(opening * 101)
    with pytest.raises(DslError, match=r"^the file: line 1, column \d+: "):  # libyaml may stop first, in its own words
        load_yaml(opening * 100_000)


def test_a_file_above_the_size_limit_is_refused() -> None:
    with pytest.raises(DslError, match="larger than 10 bytes"):
        load_yaml("a: 12345678901", limits=LoadLimits(size=10))


def test_an_alias_gives_each_place_its_own_copy() -> None:
    value = load_yaml("first: &x {n: [1]}\nsecond: *x\n")
    value["first"]["n"].append(2)
    assert value["second"] == {"n": [1]}


@pytest.mark.parametrize("text", ["", "- a\n", "just text", "5"])
def test_a_dsl_that_is_no_mapping_is_refused(text: str) -> None:
    with pytest.raises(DslError, match="expected a mapping"):
        load_dsl(text)


def test_every_field_knows_its_line() -> None:
    text = "contexts:\n  prod:\n    url: https://x\n\n    tags:\n      - one\n      - name: two\n        n: 3\n"
    _, lines = load_yaml_with_lines(text)
    assert lines.at(("contexts", "prod", "url")) == 3
    assert lines.at(("contexts", "prod", "tags", 0)) == 6
    assert lines.at(("contexts", "prod", "tags", 1, "n")) == 8


def test_the_line_of_a_missing_field_is_that_of_its_parent() -> None:
    _, lines = load_yaml_with_lines("a: 1\nb:\n  c: 2\n")
    assert lines.at(("b", "missing", "deeper")) == 2
    assert lines.at(("nowhere",)) == 1


def test_what_json_cannot_hold_cannot_be_written() -> None:
    with pytest.raises(DslError):
        dump_yaml({"x": object()})
