"""Laws that hold for all inputs: dataset ids, versions, variables, the comparison of shapes, the import rule."""

from __future__ import annotations

import ast
import uuid
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import difyops.emulator
from difyops.emulator import Emulator
from difyops.emulator.dsl_text import encrypted_id, readable_id
from difyops.emulator.imports import version_status
from difyops.emulator.providers import mask, tool_mask
from difyops.emulator.publishing import read_variables
from difyops.emulator.store import HIDDEN, STARS, draft_hash
from tests.emulator.replay import compare

ids = st.uuids().map(str)
names = st.text(alphabet="abcdefghij_", min_size=1, max_size=8)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3),
    max_leaves=12,
)
EMULATOR = Emulator(basics=False)


@given(tenant=ids, dataset=ids, other=ids)
def test_an_encrypted_dataset_id_is_readable_in_its_workspace_only(tenant: str, dataset: str, other: str):
    text = encrypted_id(tenant, dataset)
    assert text == encrypted_id(tenant, dataset)
    assert len(text) == 64
    assert readable_id(tenant, text) == dataset
    if other != tenant:
        assert readable_id(other, text) is None


@given(tenant=ids, text=st.text(max_size=80))
def test_any_text_can_be_tried_as_a_dataset_id(tenant: str, text: str):
    found = readable_id(tenant, text)
    assert found is None or str(uuid.UUID(found)) == found


@given(parts=st.tuples(st.integers(0, 3), st.integers(0, 9), st.integers(0, 9)))
def test_a_newer_dsl_is_pending_even_by_its_patch_number(parts: tuple[int, int, int]):
    status = version_status(".".join(map(str, parts)), "0.6.0")
    if parts > (0, 6, 0):
        assert status == "pending"
    else:
        assert status == ("completed" if parts[1] == 6 else "completed-with-warnings")


@given(text=st.text(alphabet="abcx.-", min_size=1, max_size=6))
def test_an_unreadable_version_fails(text: str):
    assert version_status(text, "0.6.0") == "failed"


@given(stored=st.dictionaries(ids, st.text(min_size=1, max_size=9), min_size=1, max_size=4), keep=st.booleans())
def test_the_marker_with_its_id_always_keeps_the_secret(stored: dict[str, str], keep: bool):
    known = [{"id": key, "value": value} for key, value in stored.items()]
    wanted = [{"id": key, "name": "N", "value_type": "secret", "value": HIDDEN} for key in stored]
    read = read_variables(EMULATOR.instance, wanted, known, stars_keep=keep)
    assert {item["id"]: item["value"] for item in read} == stored


@given(keep=st.booleans(), value=st.sampled_from([STARS, HIDDEN]))
def test_without_an_id_a_mask_is_stored_as_it_is_or_as_the_marker(keep: bool, value: str):
    wanted = [{"name": "N", "value_type": "secret", "value": value}]
    (read,) = read_variables(EMULATOR.instance, wanted, [{"id": "x", "value": "secret"}], stars_keep=keep)
    assert read["value"] == (HIDDEN if keep or value == HIDDEN else STARS)


@given(graph=st.dictionaries(names, json_values, max_size=4), features=st.dictionaries(names, json_values, max_size=3))
def test_the_hash_does_not_depend_on_the_order_of_keys(graph: dict[str, Any], features: dict[str, Any]):
    backwards = dict(reversed(graph.items()))
    assert draft_hash(graph, features) == draft_hash(backwards, features)


@given(secret=st.text(alphabet="abcdef0123456789", min_size=10, max_size=40))
def test_masks_never_show_the_middle_of_a_secret(secret: str):
    assert secret not in mask(secret)
    assert secret not in tool_mask(secret)
    assert (mask(secret)[:6], mask(secret)[-2:]) == (secret[:6], secret[-2:])


@given(value=json_values)
def test_a_value_has_its_own_shape(value: Any):
    assert compare(value, value, "", ()) == []


@pytest.mark.parametrize(
    ("theirs", "mine"),
    [
        ({"a": 1}, {}),
        ({"a": 1}, {"a": 1, "b": 2}),
        ({"a": 1}, {"a": "1"}),
        ({"a": None}, {"a": {}}),
        ([{"a": 1}], [{"b": 1}]),
        ([1], []),
        (True, 1),
        ({"data": "a: 1\n"}, {"data": "a: x\n"}),
    ],
)
def test_a_different_shape_is_noticed(theirs: Any, mine: Any):
    assert compare(theirs, mine, "", ())


def test_the_emulator_imports_nothing_of_the_client():
    folder = Path(difyops.emulator.__file__).parent
    ground = {"errors", "clock", "atomic_file", "secret_text", "emulator"}
    for path in folder.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("difyops."):
                assert (node.module or "").split(".")[1] in ground, f"{path.name} imports {node.module}"
