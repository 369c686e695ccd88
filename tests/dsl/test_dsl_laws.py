"""Laws that hold for every document, and the promise that no shape of server answer makes this room raise."""

from __future__ import annotations

import copy
import hashlib
import random
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from difyops.dsl import model
from difyops.dsl.canonical import canonical, same_meaning
from difyops.dsl.diff import cosmetic_only, describe, diff
from difyops.dsl.exports import ExportRead, Twin, redact_export
from difyops.dsl.load import dump_yaml, load_dsl
from difyops.dsl.portable import map_credentials, map_datasets, portable_dsl
from difyops.dsl.scan import scan
from difyops.dsl.secrets import MARKER, Location, locations, redact, reinject
from tests.dsl import dsl_samples
from tests.dsl.dsl_samples import env, node, workflow

Document = dict[str, Any]

names = st.text(max_size=6)
plain_text = st.text(alphabet="abc XYZ 019.:/\n{}#?=&-_\"'é*<>", max_size=30)
anything = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.floats(allow_nan=False, allow_infinity=False) | plain_text,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            names | st.sampled_from(["data", "id", "type", "value", "name", "api_key"]), inner, max_size=3
        )
    ),
    max_leaves=12,
)
PARTS = ["graph", "features", "environment_variables", "conversation_variables", "model_config", "dependencies"]
SECRET_CHARS = "ABCDEFGHJKLMNPQRSTUVWXYZ23456789"

secret = st.text(alphabet=SECRET_CHARS, min_size=12, max_size=30).map(lambda text: f"canary{text}")


@st.composite
def node_with_secrets(draw: st.DrawFn, index: int) -> Document:
    key, text = f"n{index}", draw(plain_text.filter(lambda value: MARKER not in value))
    value = draw(secret)
    return draw(
        st.sampled_from(
            [
                node(key, "http-request", headers=f"A:b\nAuthorization: Bearer {value} \nX-Token:{draw(secret)}"),
                node(key, "http-request", url=f"https://u:{value}@h.test/x?api_key={draw(secret)}&q=1"),
                node(key, "http-request", authorization={"config": {"api_key": value}}, headers=f"X-Text:{value}"),
                node(key, "http-request", body={"type": "json", "data": [{"value": f'{{"token": "{value}"}}'}]}),
                node(
                    key, "tool", tool_parameters={"api_key": {"type": "constant", "value": f" {value} "}, "text": text}
                ),
                node(key, "llm", prompt_template=[{"role": "system", "text": f"{text}{value}{text}{value}"}]),
                node(key, "trigger-webhook", webhook_url=f"https://h.test/{value}"),
                node(key, "code", code=text, secret=value),
            ]
        )
    )


@st.composite
def document_with_secrets(draw: st.DrawFn) -> Document:
    nodes = [draw(node_with_secrets(index)) for index in range(draw(st.integers(0, 4)))]
    shared = draw(secret)
    nodes.append(node("repeats", "llm", prompt_template=[{"text": f"first {shared}, then {shared}"}]))
    variables = [env("SHARED", shared), env("OTHER", draw(secret)), env("PLAIN", draw(plain_text), "string")]
    config = {"agent_mode": {"tools": [{"tool_parameters": {"password": draw(secret)}}]}}
    return workflow(*nodes, environment_variables=variables, model_config=config)


@settings(deadline=None)
@given(document_with_secrets())
def test_what_is_taken_out_goes_back_in_exactly(document: Document) -> None:
    redacted = redact(document)
    assert reinject(redacted.document, redacted.secrets) == (document, [])


@settings(deadline=None)
@given(document_with_secrets())
def test_no_secret_is_left_in_the_bytes_of_a_redacted_document(document: Document) -> None:
    redacted = redact(document)
    stored = canonical(redacted.document).decode()
    assert not [value for value in redacted.secrets.values() if value.reveal() in stored]
    assert "SHARED" in {location.place[0] for location in redacted.secrets}


def sealed(value: str) -> str:
    return f"<difyops:sealed:00000000:{hashlib.md5(value.encode()).hexdigest()}>"


@settings(deadline=None, max_examples=60)
@given(document_with_secrets(), document_with_secrets(), st.sampled_from(["same", "saved between", "none"]))
def test_an_export_is_cut_as_its_document_is_whatever_lies_beside_it(
    document: Document, other: Document, twin: str
) -> None:
    beside = other if twin == "saved between" else document
    known = redact(beside, mark=sealed)
    wanted = redact(document, known=[*known.secrets.values()], mark=sealed).document  # what lies beside may know more
    text = dump_yaml({"kind": "app", "workflow": document})
    given_twin = None if twin == "none" else Twin(document=beside, redacted=known)
    done = redact_export(ExportRead.of(text), known=[*known.secrets.values()], mark=sealed, twin=given_twin)
    assert load_dsl(done.text)["workflow"] == wanted
    assert not [value for value in done.secrets if value.reveal() in done.text]


def test_what_only_the_document_beside_knows_is_cut_as_well() -> None:
    """A save between two reads: the secret of one is a part of a text of the other."""
    document: Document = {"graph": {"nodes": [{"id": "n", "data": {"type": "llm", "title": "canary22x"}}], "edges": []}}
    beside: Document = {
        "graph": {"nodes": [], "edges": []},
        "environment_variables": [{"id": "a", "name": "A", "value": "canary22", "value_type": "secret"}],
    }
    known = redact(beside, mark=sealed)
    told = [*known.secrets.values()]
    text = dump_yaml({"kind": "app", "workflow": document})
    done = redact_export(ExportRead.of(text), known=told, mark=sealed, twin=Twin(document=beside, redacted=known))
    assert load_dsl(done.text)["workflow"] == redact(document, known=told, mark=sealed).document
    assert "canary22" not in done.text


@settings(deadline=None)
@given(document_with_secrets())
def test_redacting_twice_changes_nothing(document: Document) -> None:
    once = redact(document)
    twice = redact(once.document, is_marked=True)
    assert twice.document == once.document
    assert twice.secrets == {}


@settings(deadline=None)
@given(document_with_secrets())
def test_the_markers_of_a_document_are_the_locations_of_its_secrets(document: Document) -> None:
    redacted = redact(document)
    found = locations(redacted.document)
    assert set(found) == set(redacted.secrets)
    assert len(found) == len(set(found))
    assert [Location.parse(location.key) for location in found] == found


@settings(deadline=None)
@given(document_with_secrets(), st.randoms(use_true_random=False))
def test_secrets_find_their_place_after_nodes_were_moved(document: Document, chance: random.Random) -> None:
    moved = copy.deepcopy(document)
    chance.shuffle(moved["graph"]["nodes"])
    chance.shuffle(moved["environment_variables"])
    assert reinject(redact(moved).document, redact(document).secrets) == (moved, [])


@settings(deadline=None)
@given(document_with_secrets(), document_with_secrets())
def test_a_diff_shows_no_secret(before: Document, after: Document) -> None:
    shown = repr([(change, describe(change)) for change in diff(before, after)])
    for document in (before, after):
        assert not [value for value in redact(document).secrets.values() if value.reveal() in shown]


def samples() -> list[Callable[[], Document]]:
    return [dsl_samples.draft, dsl_samples.published, dsl_samples.chat]


@settings(deadline=None)
@given(document_with_secrets())
def test_a_document_does_not_differ_from_itself(document: Document) -> None:
    assert diff(document, copy.deepcopy(document)) == ()


@settings(deadline=None)
@given(st.randoms(use_true_random=False), plain_text)
def test_layout_and_order_are_never_a_difference(chance: random.Random, noise: str) -> None:
    before, after = dsl_samples.draft(), dsl_samples.draft()
    for part in (after["graph"]["nodes"], after["graph"]["edges"], after["environment_variables"]):
        chance.shuffle(part)
    for item in after["graph"]["nodes"]:
        item["position"] = {"x": chance.random(), "y": noise}
        item["selected"] = item["data"]["selected"] = chance.random() < 0.5
        item["data"]["_runtime"] = noise
    for edge in after["graph"]["edges"]:
        edge.update(id=noise, zIndex=chance.randint(0, 9))
    assert diff(before, after) == ()
    assert same_meaning(before, after)


def leaves(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    if not isinstance(value, (dict, list)):
        return [path]
    items = value.items() if isinstance(value, dict) else enumerate(value)
    return [found for key, inner in items for found in leaves(inner, (*path, key))]


@pytest.mark.parametrize("sample", samples())
def test_every_change_of_a_meaningful_field_is_seen(sample: Callable[[], Document]) -> None:
    paths = [path for path in leaves(sample()) if is_meaningful(path) and value_at(sample(), path) not in ("", None)]
    assert len(paths) > 10
    for path in paths:
        after = sample()
        value_at(after, path[:-1])[path[-1]] = "something else"
        assert diff(sample(), after), path
        assert not same_meaning(sample(), after), path


def is_meaningful(path: tuple[Any, ...]) -> bool:
    match path:
        case ("graph", "nodes", _, "data", name, *_):
            return bool(name != "selected")
        case ("graph", "edges", _, name):
            return name in ("source", "sourceHandle", "target", "targetHandle")
        case ("features", *_):
            return True
        case ("environment_variables", index, ("value" | "description" | "value_type")):
            return bool(index > 0)
        case ("model_config", name, *_):
            return name not in ("created_by", "created_at", "updated_by", "updated_at")
        case _:
            return False


def value_at(value: Any, path: tuple[Any, ...]) -> Any:
    for step in path:
        value = value[step]
    return value


@st.composite
def broken_document(draw: st.DrawFn) -> Document:
    """A real document in which arbitrary JSON stands where something else should be."""
    document = draw(st.sampled_from(samples()))()
    for part in draw(st.lists(st.sampled_from(PARTS), max_size=2)):
        document[part] = draw(anything)
    if isinstance(document.get("graph"), dict) and isinstance(document["graph"].get("nodes"), list):
        document["graph"]["nodes"].append(draw(anything))
        document["graph"]["nodes"].append({"id": draw(anything), "data": draw(anything)})
        kind = st.sampled_from(["http-request", "tool", "agent", "trigger-webhook", "llm"])
        keys = st.sampled_from(
            ["headers", "url", "body", "authorization", "tool_parameters", "agent_parameters", "model"]
        )
        data = {"type": draw(kind), draw(keys): draw(anything), draw(keys): draw(anything)}
        document["graph"]["nodes"].append({"id": "x", "data": data})
        document["graph"]["edges"] = draw(anything)
    return document


def read_in_every_way(first: Document, second: Document) -> None:
    for read in (model.node_types, model.datasets, model.tools, model.models, model.env_variables, model.trigger_nodes):
        read(first)
    redacted = redact(first)
    assert redact(redacted.document, is_marked=True).document == redacted.document
    reinject(redacted.document, redacted.secrets)
    for location in locations(first):
        assert Location.parse(location.key) == location
    scan(first)
    map_datasets(first, {})
    map_credentials(first, {})
    portable_dsl({"mode": "workflow"}, first, dsl_version="0.6.0", dependencies=[])
    for change in diff(first, second):
        assert "\n" not in describe(change)
    assert diff(first, first) == ()
    cosmetic_only(first, second)
    if same_meaning(redacted.document, redact(second).document):
        assert diff(redacted.document, redact(second).document) == ()


@settings(max_examples=20, deadline=None)
@given(broken_document(), broken_document())
def test_no_shape_of_document_makes_anything_raise(first: Document, second: Document) -> None:
    read_in_every_way(first, second)


@pytest.mark.long
@settings(max_examples=2_000, deadline=None)
@given(broken_document(), broken_document())
def test_no_shape_of_document_makes_anything_raise_in_many_rounds(first: Document, second: Document) -> None:
    read_in_every_way(first, second)
