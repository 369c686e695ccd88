"""Sticky notes are decoration: every version takes them on import and on save, beside node types it refuses."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from difyops.emulator.versions import VERSIONS, release_named
from tests.emulator.door import Door

_NOTE = {"id": "n", "type": "custom-note", "position": {"x": 0, "y": 0}, "data": {"type": "", "text": "remember"}}


async def _with_node(door: Door, node: dict[str, Any]) -> str:
    document = yaml.safe_load(await door.export(door.emulator.app_named("wf-echo")))
    document["workflow"]["graph"]["nodes"].append(node)
    document["app"]["name"] = "noted"
    return yaml.safe_dump(document)


@pytest.mark.exhaustive(3)
@pytest.mark.parametrize("version", VERSIONS)
async def test_an_import_keeps_a_sticky_note(version: str) -> None:
    door = Door(version)
    answer = await door.load(await _with_node(door, _NOTE))
    assert (answer.status_code, answer.json()["status"]) == (200, "completed")
    draft = await door.draft(door.emulator.app_named("noted"))
    assert _NOTE["id"] in [node["id"] for node in draft["graph"]["nodes"]]


@pytest.mark.parametrize("version", [name for name in VERSIONS if release_named(name).rejects_unknown_node_types])
@pytest.mark.parametrize("kind", ["nope", ""])
async def test_an_import_of_an_unknown_node_type_fails(version: str, kind: str) -> None:
    door = Door(version)
    answer = await door.load(await _with_node(door, {**_NOTE, "type": "custom", "data": {"type": kind}}))
    assert (answer.status_code, answer.json()["error"]) == (400, f"'{kind}' is not a valid NodeType")
