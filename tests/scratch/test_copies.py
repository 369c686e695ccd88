"""Copies that stand for a while: what is in them, what they answer, and that none is left."""

from __future__ import annotations

import pytest

from difyops.dsl.canonical import same_meaning
from difyops.publishing.content import version_content
from difyops.replay import RecordedInput
from difyops.scratch.copies import make_copy, without_triggers
from tests.drill.conftest import Killed, counting, killing
from tests.scratch.conftest import Rig

ASKED = RecordedInput(id="1", inputs={"query": "hi", "text": "hi", "nothing": "of the app"}, query="hi")


async def document_of(rig: Rig, name: str) -> dict:
    console = rig.workspace.instance.console
    app = await console.app(rig.app_id(name))
    if not app.has_workflow:
        return {"model_config": app.model_config}
    live = await console.published(app.id)
    assert live is not None
    return (await version_content(console, app.id, live)).document


def secrets_in(document: dict) -> list[str]:
    return [item["value"] for item in document["environment_variables"] if item["value_type"] == "secret"]


@pytest.mark.parametrize("name", ["wf-llm", "flow-chat", "chat-basic", "completion-basic"])
async def test_a_copy_holds_the_same_answers_and_is_gone_afterwards(rig: Rig, name: str) -> None:
    before, console = rig.names(), rig.workspace.instance.console
    scratches, document = rig.begin(), await document_of(rig, name)
    app = await console.app(rig.app_id(name))
    copy = await make_copy(scratches, 1, app, document, f"new {name}")
    assert copy.app.enable_site is False
    if app.has_workflow:
        live = await console.published(copy.app.id)
        assert live is not None
        now = await version_content(console, copy.app.id, live)
        assert same_meaning(now.document, document)
        assert secrets_in(now.document) == secrets_in(document)
    told = await copy.ask(ASKED)
    assert told.outcome == "good", told
    assert told.text
    assert (await scratches.sweep()).left == ()
    assert rig.names() == before


async def test_a_failure_is_told_by_the_node_that_failed(rig: Rig) -> None:
    console = rig.workspace.instance.console
    scratches = rig.begin()
    app = await console.app(rig.app_id("wf-llm"))
    copy = await make_copy(scratches, 1, app, await document_of(rig, "wf-llm"), "copy")
    rig.emulator.control.mood("provider_down")
    told = await copy.ask(ASKED)
    assert (told.outcome, told.run_id is not None) == ("provider", True), told
    rig.emulator.control.mood("happy")
    rig.emulator.instance.provider.credentials.clear()
    rig.emulator.instance.provider.use(None)
    assert (await copy.ask(ASKED)).outcome == "ours"
    await scratches.sweep()


def test_a_copy_has_no_triggers() -> None:
    kinds = {"t": "trigger-schedule", "s": "start", "e": "end"}
    nodes = [{"id": name, "data": {"type": kind}} for name, kind in kinds.items()]
    edges = [{"source": "t", "target": "e"}, {"source": "s", "target": "e"}]
    plain = without_triggers({"graph": {"nodes": nodes, "edges": edges}})
    assert [node["id"] for node in plain["graph"]["nodes"]] == ["s", "e"]
    assert plain["graph"]["edges"] == [edges[1]]


async def test_killed_at_every_step_nothing_is_left(rig: Rig) -> None:
    before, console = rig.names(), rig.workspace.instance.console
    app, document = await console.app(rig.app_id("wf-llm")), await document_of(rig, "wf-llm")
    checkpoint, count = counting()
    scratches = rig.begin(checkpoint)
    await make_copy(scratches, 1, app, document, "copy")
    await scratches.sweep()
    assert count() > 12
    killed = 0
    for step in range(1, count() + 1):
        scratches = rig.begin(killing(step))
        try:
            await make_copy(scratches, 1, app, document, "copy")
            await scratches.sweep()
        except Killed:
            killed += 1
        swept = await rig.again(scratches).sweep()
        assert swept.left == ()
        assert rig.names() == before, step
    assert killed == count()
