"""On a socket: loopback only, faults that need a connection, streams that arrive piece by piece."""

from __future__ import annotations

import time
from functools import partial
from typing import Any

import httpx
import pytest

from difyops.emulator import Emulator
from difyops.emulator.server import is_loopback
from difyops.errors import UsageError
from tests.waiting import let_pass, wait_until

get, post = partial(httpx.get, timeout=60), partial(httpx.post, timeout=60)


def headers(emulator: Emulator) -> dict[str, str]:
    return {"authorization": f"Bearer {emulator.admin_key}", "x-workspace-id": emulator.workspace_id}


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.1.4", "example.com", "::"])
def test_it_refuses_to_listen_anywhere_but_on_loopback(host: str):
    with pytest.raises(UsageError, match="loopback"):
        Emulator(basics=False).serve(host, 0)


@pytest.mark.parametrize(
    ("host", "answer"),
    [("127.0.0.1", True), ("[::1]", True), ("LOCALHOST", True), ("127.8.9.1", True), ("localhost.evil.example", False)],
)
def test_what_counts_as_loopback(host: str, answer: bool):
    assert is_loopback(host) is answer


def test_a_request_for_another_host_is_refused_so_that_no_web_page_can_reach_it():
    with Emulator(basics=False).listening() as url:
        assert get(f"{url}/health").status_code == 200
        assert get(f"{url}/health", headers={"host": "rebound.example:80"}).status_code == 403
        foreign = {"origin": "https://page.example"}
        assert post(f"{url}/_emulator/reset", headers=foreign).status_code == 403
        assert post(f"{url}/_emulator/reset", headers={"origin": url}).status_code == 200


@pytest.mark.parametrize("how", ["reset", "lost", "cut"])
def test_a_dropped_connection_looks_like_one(how: str):
    emulator = Emulator()
    with emulator.listening() as url:
        emulator.control.fail(path="/apps$", how=how)
        with pytest.raises(httpx.TransportError):
            get(f"{url}/console/api/apps", headers=headers(emulator))
        assert get(f"{url}/console/api/apps", headers=headers(emulator)).status_code == 200
        wait_until(lambda: emulator.control.in_flight == 0)


def test_a_stream_breaks_off_when_redis_is_down():
    emulator = Emulator()
    app = emulator.app_named("wf-echo")
    emulator.control.mood("redis_down")
    body = {"inputs": {"text": "x"}, "user": "u", "response_mode": "streaming"}
    with emulator.listening() as url, pytest.raises(httpx.RemoteProtocolError):
        post(f"{url}/v1/workflows/run", json=body, headers={"authorization": f"Bearer {app.key}"})


def test_garbage_is_200_and_no_json():
    emulator = Emulator(basics=False)
    with emulator.listening() as url:
        emulator.control.fail(path="/apps$", how="garbage")
        answer = get(f"{url}/console/api/apps", headers=headers(emulator))
        assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json")
        with pytest.raises(ValueError, match=r".*"):
            answer.json()


def test_a_hanging_call_runs_into_the_callers_time_out_and_a_slow_one_dribbles():
    emulator = Emulator(speed=100.0)
    with emulator.listening() as url:
        emulator.control.fail(path="/apps$", how="hang")
        with pytest.raises(httpx.ReadTimeout):
            get(f"{url}/console/api/apps", headers=headers(emulator), timeout=0.2)
        emulator.control.fail(path="/apps$", how="slow")
        began = time.monotonic()
        answer = get(f"{url}/console/api/apps", headers=headers(emulator))
        assert answer.json()["total"] == 8
        assert time.monotonic() - began > 0.08


def test_stream_events_arrive_while_the_run_goes_on():
    emulator = Emulator(speed=10.0)
    app = emulator.app_named("wf-echo")
    body = {"inputs": {"text": "x", "secs": 4}, "user": "u", "response_mode": "streaming"}
    how: dict[str, Any] = {"json": body, "headers": {"authorization": f"Bearer {app.key}"}}
    with emulator.listening() as url, httpx.stream("POST", f"{url}/v1/workflows/run", timeout=60, **how) as got:
        arrivals = [(time.monotonic(), line) for line in got.iter_lines() if line]
    assert arrivals[0][1] == "event: ping"
    assert arrivals[-1][0] - arrivals[0][0] > 0.3


def test_a_workflow_goes_on_when_its_client_leaves_and_a_chat_answer_does_not():
    emulator = Emulator(speed=10.0)
    flow, chat = emulator.app_named("wf-echo"), emulator.app_named("chat-basic")
    with emulator.listening() as url:
        _leave(url, flow.key, "/v1/workflows/run", {"inputs": {"text": "x", "secs": 3}})
        _leave(url, chat.key, "/v1/chat-messages", {"inputs": {}, "query": "hi [[delay=6]] [[chunks=10]]"})
        wait_until(lambda: flow.runs[0].status == "succeeded")
        let_pass(0.8)  # long enough for the chat answer to have come, had anybody waited
    message = next(iter(chat.conversations.values())).messages[0]
    assert (message.status, message.answer, message.answer_tokens) == ("normal", "", 0)


def _leave(url: str, key: str, path: str, body: dict[str, object]) -> None:
    auth = {"authorization": f"Bearer {key}"}
    whole = {**body, "user": "u", "response_mode": "streaming"}
    with httpx.stream("POST", f"{url}{path}", json=whole, headers=auth, timeout=60) as answer:
        next(answer.iter_lines())


def test_addresses_in_answers_are_those_it_listens_on():
    emulator = Emulator()
    app = emulator.app_named("wf-hook")
    with emulator.listening() as url:
        shown = get(
            f"{url}/console/api/apps/{app.id}/workflows/triggers/webhook?node_id=hook", headers=headers(emulator)
        ).json()
        assert shown["webhook_url"].startswith(f"{url}/triggers/webhook/")
        called = post(shown["webhook_url"], json={"message": "hi"})
        assert (called.status_code, called.json()) == (202, {"accepted": True})
        wait_until(lambda: app.runs and app.runs[0].status == "succeeded")
    assert [(run.triggered_from, run.outputs) for run in app.runs] == [("webhook", {"result": "got hi"})]
