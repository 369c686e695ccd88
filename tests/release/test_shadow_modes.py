"""Every mode that answers a question stands in a shadow: what was asked is read from its log, copies answer it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from difyops.dsl.load import dump_yaml, load_dsl
from difyops.release.plan import Shadow
from tests.release.conftest import Rig

CALLS = 4


def other(dsl: dict[str, Any]) -> None:
    """An edit that any mode has a place for, and that changes no answer."""
    if "model_config" in dsl:
        dsl["model_config"]["opening_statement"] = "Hello there."
    else:
        dsl["workflow"]["features"]["opening_statement"] = "Hello there."


@pytest.mark.parametrize("name", ["chat-basic", "agent", "completion-basic", "flow-chat"])
async def test_what_was_asked_goes_through_both_copies(rig: Rig, tmp_path: Path, name: str) -> None:
    for number in range(CALLS):
        text = f"question {number} [[delay=0]]"
        assert await rig.ask(name, 1, said=text, **({"query": text} if name == "completion-basic" else {})) == 0
    apps, path = rig.names(), tmp_path / "next.yml"
    dsl = load_dsl(await rig.console.export(rig.app_id(name)))
    other(dsl)
    path.write_text(dump_yaml(dsl))
    plan = await rig.plan(name, source="file", word=str(path), shadow=Shadow(calls=CALLS, least=CALLS, at_once=2))
    found = await rig.apply(plan)
    assert found.shadow is not None
    assert (found.shadow["word"], found.shadow["pairs"]) == ("pass", CALLS), found
    assert found.shadow["used"] > 0
    assert found.state == "held"
    assert rig.names() == apps
