"""Lists of runs, conversations and messages that contradict themselves, runs that are not there, absurd numbers."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from difyops.api import run_feed
from difyops.api.human_input import form_of
from difyops.api.instance import ConnectOptions, Instance, connect
from difyops.api.model import App
from difyops.api.run_records import LoggedRun, MessageRecord, NodeRecord
from difyops.api.shapes import moment, number
from difyops.clock import from_unix
from difyops.config import Context
from difyops.errors import NotFound, UnreadableAnswer
from difyops.history.pace import Pace
from difyops.history.talks import changed_since, messages
from difyops.secret_text import SecretText
from tests.api.frozen import FrozenClock

RECORDINGS = Path(__file__).parents[1] / "recordings"
WORKSPACE = "00000000-0000-4000-8000-000000000001"
VAST = 10**400
RUN = {"id": "r1", "status": "succeeded", "created_at": 1_795_000_000}
LOG = {"id": "l1", "created_at": 1_795_000_000, "workflow_run": RUN}
TALK = {"id": "c1", "created_at": 1_795_000_000, "updated_at": 1_795_000_001}
MESSAGE = {"id": "m1", "created_at": 1_795_000_000}
NODE = {"id": "e1", "node_id": "n", "node_type": "llm", "status": "succeeded"}
FLOW, CHAT = (App.of({"id": "a", "name": "a", "mode": mode}) for mode in ("workflow", "chat"))
Read = Callable[[Instance], Awaitable[Any]]


async def instance_that_answers(body: Any, state: Path, monkeypatch: pytest.MonkeyPatch) -> Instance:
    def answer(request: httpx.Request) -> httpx.Response:
        is_setup = request.url.path.endswith("/setup")
        content = json.dumps({"step": "finished"} if is_setup else body)  # NaN and Infinity as they are
        return httpx.Response(200, content=content, headers={"x-version": "1.13.0", "content-type": "application/json"})

    monkeypatch.setenv("KEY", "k")
    context = Context(name="t", url="http://server.test", admin_key="env:KEY", workspace_id=WORKSPACE)
    return await connect(context, ConnectOptions(state=state, carrier=httpx.MockTransport(answer), clock=FrozenClock()))


def logs(instance: Instance) -> Awaitable[Any]:
    return run_feed.log_page(instance, "a", page=1, after=0.0, before=1.0)


def runs(instance: Instance) -> Awaitable[Any]:
    return run_feed.runs_page(instance, FLOW, source="app-run", last_id=None)


def talks(instance: Instance) -> Awaitable[Any]:
    return run_feed.conversations_page(instance, CHAT, page=1)


def told(instance: Instance) -> Awaitable[Any]:
    return run_feed.messages_page(instance, CHAT, "c1", first_id=None)


def nodes(instance: Instance) -> Awaitable[Any]:
    return run_feed.node_rows(instance, "a", "r1")


def detail(instance: Instance) -> Awaitable[Any]:
    return run_feed.run_detail(instance, "a", "r1")


def form(instance: Instance) -> Awaitable[Any]:
    return form_of(instance, SecretText("t"))


def page(row: Any, **other: Any) -> dict[str, Any]:
    return {"data": [row], "has_more": False, "total": 1, **other}


NOTHING: list[Any] = [[], {}, {"data": None}, {"data": [None]}]
BROKEN: list[tuple[Read, Any]] = [
    *((read, body) for read in (logs, runs, talks, told, nodes) for body in NOTHING),
    *(
        (read, page(row, **wrong))
        for read, row in ((logs, LOG), (runs, RUN), (talks, TALK), (told, MESSAGE))
        for wrong in (
            {"has_more": None},
            {"has_more": "no"},
            {"has_more": True, "data": []},
            {"data": [{**row, "id": ""}]},
        )
    ),
    *(
        (read, page({**row, "created_at": when}))
        for read, row in ((logs, LOG), (runs, RUN), (talks, TALK), (told, MESSAGE))
        for when in (None, "7", True, VAST, float("inf"), 1e12, -1)
    ),
    (logs, page(LOG, total=None)),
    (logs, page(LOG, total="1")),
    (logs, page(LOG, has_more=True)),
    (talks, page(TALK, has_more=True)),
    (nodes, {"data": [{**NODE, "node_id": None}]}),
    (detail, {"id": "another", "status": "succeeded"}),
    (detail, {}),
    (detail, {"id": None}),
    (detail, {"id": None, "status": "succeeded"}),
    (form, {}),
    (form, {"inputs": [], "user_actions": None}),
    (form, {"inputs": [None], "user_actions": []}),
]


@pytest.mark.parametrize(("read", "body"), BROKEN)
async def test_what_contradicts_itself_is_unreadable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, read: Read, body: Any
) -> None:
    instance = await instance_that_answers(body, tmp_path, monkeypatch)
    with pytest.raises(UnreadableAnswer):
        await read(instance)
    await instance.close()


@pytest.mark.parametrize(
    ("read", "body"),
    [
        (logs, page(LOG)),
        (runs, {"data": [RUN], "has_more": True, "limit": 100}),
        (talks, page(TALK)),
        (told, {"data": [], "has_more": False}),
        (nodes, {"data": [NODE]}),
        (detail, {**RUN, "outputs": None}),
        (form, {"inputs": [], "user_actions": [{"id": "ok"}], "expiration_time": VAST}),
    ],
)
async def test_what_is_whole_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, read: Read, body: Any) -> None:
    instance = await instance_that_answers(body, tmp_path, monkeypatch)
    await read(instance)
    await instance.close()


async def test_a_run_whose_fields_are_all_blank_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    body = json.loads((RECORDINGS / "1.13.0" / "run-detail-404.json").read_text())["response"]["body"]
    instance = await instance_that_answers(body, tmp_path, monkeypatch)
    with pytest.raises(NotFound):
        await detail(instance)
    await instance.close()


async def test_a_list_that_sends_the_same_again_does_not_count_as_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pace = Pace(clock=FrozenClock(), max_calls=10)
    instance = await instance_that_answers(page(TALK, has_more=True, total=500), tmp_path, monkeypatch)
    with pytest.raises(UnreadableAnswer, match="the same again"):
        await changed_since(instance, CHAT, pace, 0.0)
    await instance.close()
    instance = await instance_that_answers({"data": [MESSAGE], "has_more": True}, tmp_path, monkeypatch)
    with pytest.raises(UnreadableAnswer, match="the same again"):
        _ = [record async for record in messages(instance, CHAT, pace, "c1", 0.0)]
    await instance.close()
    assert pace.calls == 4


@pytest.mark.parametrize(
    "value", [VAST, -VAST, 1e308, float("nan"), float("inf"), "1e999", str(VAST), True, None, [], {}]
)
def test_absurd_numbers_are_none(value: Any) -> None:
    assert from_unix(moment(value)) is None
    assert number(value) is None or isinstance(value, int)
    fields = ("created_at", "finished_at", "elapsed_time", "total_tokens", "total_steps", "exceptions_count", "index",
              "retry_index", "message_tokens", "answer_tokens", "provider_response_latency")  # fmt: skip
    row = {
        **RUN,
        **dict.fromkeys(fields, value),
        "execution_metadata": {"total_tokens": value, "iteration_id": "i", "iteration_index": value},
    }
    run, node, message = LoggedRun.of_run(row, "app-run"), NodeRecord.of(row), MessageRecord.of(row)
    assert (run.started, run.finished, run.tokens, run.steps) == (0.0, None, 0, 0)
    assert (node.started, node.round, node.tokens, node.attempt) == (0.0, None, 0, 0)
    assert (message.started, message.prompt_tokens) == (0.0, 0)
