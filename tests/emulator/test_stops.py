"""Stopping a stream looks as it was recorded: the events up to the last one, and the row that stays behind."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from difyops.emulator.events import Channel
from tests.emulator.door import Door, events
from tests.emulator.replay import compare, load
from tests.waiting import until

CHAT, FLOW = "/chat-messages", "/workflows/run"
STOPS = (
    ("stop-wf-stream", "wf-echo", FLOW, "run-detail-after-stop-wf"),
    ("stop-wf-llm-stream", "wf-llm", FLOW, "run-detail-after-stop-wf-llm"),
    ("stop-other-user-stream", "wf-llm", FLOW, None),
    ("stop-flow-stream", "flow-chat", CHAT, "run-detail-after-stop-flow"),
    ("stop-chat-stream", "chat-basic", CHAT, None),
)
RECORDINGS = {name for stop in STOPS for name in (stop[0], stop[3]) if name}


@pytest.mark.parametrize(("name", "app_name", "path", "row"), STOPS, ids=[stop[0] for stop in STOPS])
async def test_a_stopped_stream_looks_as_recorded(
    name: str, app_name: str, path: str, row: str | None, monkeypatch: pytest.MonkeyPatch
):
    said: list[object] = []
    put = Channel.put

    def heard(channel: Channel, event: dict[str, Any]) -> None:
        said.append(event)
        put(channel, event)

    monkeypatch.setattr(Channel, "put", heard)
    door = Door(speed=4.0)
    app = door.emulator.app_named(app_name)
    recorded = load("1.13.0", name)
    running = asyncio.create_task(door.service(app.key, "POST", path, recorded["request"]["json"]))
    if app_name == "chat-basic":
        await until(lambda: said)  # half way: there are more pieces to come
    else:
        await until(lambda: app.runs and app.runs[0].nodes and app.runs[0].nodes[-1].node_type in ("code", "llm"))
    task = next(iter(door.emulator.instance.tasks))
    place = "/workflows/tasks" if path == FLOW else path
    stopped = await door.service(app.key, "POST", f"{place}/{task}/stop", {"user": "somebody-else"})
    assert stopped.json() == {"result": "success"}
    mine = events(await running)
    theirs = events_of(recorded)
    assert [event["event"] for event in short(mine)] == [event["event"] for event in short(theirs)]
    assert compare(theirs[-1], mine[-1], "", (".*/error",)) == []
    if row is not None:
        await _compare_row(door, app.id, row)


async def _compare_row(door: Door, app_id: str, name: str) -> None:
    run = door.emulator.instance.apps[app_id].runs[0]
    theirs = load("1.13.0", name)["response"]["body"]
    mine = (await door.console("GET", f"/apps/{app_id}/workflow-runs/{run.id}")).json()
    assert compare(theirs, mine, "", ()) == []
    assert (mine["status"], mine["error"]) == (theirs["status"], theirs["error"])


def events_of(recording: dict[str, Any]) -> list[dict[str, Any]]:
    lines = recording["response"]["lines"]
    return [json.loads(line[6:]) for line in lines if line.startswith("data: ")]


def short(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Leave out repetitions of the same event."""
    return [event for at, event in enumerate(found) if at == 0 or found[at - 1]["event"] != event["event"]]
