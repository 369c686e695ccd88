"""``/run``: what Dify takes is taken, the caller gets the stream, and whoever stays, one signed call tells the end."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
from pathlib import Path
from typing import Any

import httpx
import pytest
from aiohttp import web

from difyops import signing_keys
from difyops.emulator import Emulator, humans
from difyops.secret_text import SecretText
from difyops.webhook import ladder, reading, running
from difyops.webhook.signing import Received, SignatureCheck, sign_standard
from tests.emulator.humans import with_person
from tests.waiting import until
from tests.webhook.flask_receiver import Recipe, flask_receiving
from tests.webhook.rig import SECRET, Receiver, Served, gate_to, receiving, recipes_receiver, serving

RUNS = r"/v1/(workflows/run|chat-messages)$"


def rules(receiver: Receiver, **more: Any) -> dict[str, Any]:
    return {
        "apps": {"llm": {"app": "wf-llm"}, "chat": {"app": "flow-chat"}, "plain": {"app": "chat-basic"}},
        "callbacks": {"allow": [receiver.url], "secrets": ["env:HOOK_SECRET"]},
        **more,
    }


def recipe(receiver: Receiver, query: str = "hello", **more: Any) -> dict[str, Any]:
    """Return the request of the known recipe."""
    return {
        "inputs": {},
        "query": query,
        "session_id": "session-7",
        "metadata": {"callback_url": f"{receiver.url}/done", "order": 17},
        **more,
    }


def told(receiver: Receiver) -> list[dict[str, Any]]:
    return [json.loads(body) for _, body in receiver.took]


@pytest.mark.parametrize("name", ["llm", "chat"])
async def test_the_recipe_works(both: tuple[Emulator, str], tmp_path: Path, name: str) -> None:
    emulator, url = both
    async with receiving() as receiver, serving(url, tmp_path, rules(receiver)) as served:
        key = emulator.app_named({"llm": "wf-llm", "chat": "flow-chat"}[name]).key
        answer = await served.run(name, key, **recipe(receiver))
        lines = [line for line in answer.text.splitlines() if line.startswith("data: ")]
        assert json.loads(lines[-1][6:])["event"] == "workflow_finished"
        await until(lambda: receiver.took)
        headers, body = receiver.took[0]
        assert recipes_receiver(SECRET, headers, body)
        check = SignatureCheck(scheme="standard", secrets=[SecretText(SECRET)])
        now = float(headers["webhook-timestamp"])
        assert check.verify(Received(headers=headers, body=body, now=now)).key == headers["webhook-id"]
        said = json.loads(body)
        assert (said["type"], said["event"]) == ("run.succeeded", "run.succeeded")
        assert said["data"]["session_id"] == "session-7"
        assert said["data"]["metadata"] == {"order": 17}
        assert said["data"]["id"] == answer.headers["x-difyops-run"]
        assert "hello" in said["data"]["answer"]
        assert said["data"]["run_id"] == emulator.app_named({"llm": "wf-llm", "chat": "flow-chat"}[name]).runs[0].id


async def test_the_flask_receiver_and_the_sender_of_the_recipe_know_nothing_of_us(
    emulator: Emulator, url: str, tmp_path: Path
) -> None:
    with flask_receiving(SECRET) as receiver:
        allowed = {"allow": [receiver.url], "secrets": ["env:HOOK_SECRET"]}
        async with serving(url, tmp_path, {"apps": {"chat": {"app": "flow-chat"}}, "callbacks": allowed}) as served:
            key, callback = emulator.app_named("flow-chat").key, f"{receiver.url}/done"
            asked = Recipe(base_url=f"{served.url}/run/chat", key=key, callback=callback, path="/v1/chat-messages")
            lines = await asyncio.to_thread(asked.send, {})
            await until(lambda: receiver.events)
    assert (receiver.refused, [item["event"] for item in receiver.events]) == (0, ["run.succeeded"])
    assert "message_end" in lines[-1] or "workflow_finished" in lines[-1]


async def test_who_trusts_no_shared_secret_verifies_with_a_public_key(
    emulator: Emulator, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pair = SecretText("whsk_" + "C2FVsBQIhrscChlQIMV+b5sSYspob7oD" + "A" * 11 + "=")
    monkeypatch.setenv("CALLBACK_PAIR", pair.reveal())
    async with receiving() as receiver:
        allowed = {"allow": [receiver.url], "secrets": ["env:CALLBACK_PAIR", "env:HOOK_SECRET"]}
        async with serving(url, tmp_path, rules(receiver, callbacks=allowed)) as served:
            await _called(served, emulator, receiver)
            await until(lambda: receiver.took)
    headers, body = receiver.took[0]
    assert recipes_receiver(SECRET, headers, body)
    for secret in (signing_keys.public_text(pair), SECRET):
        check = SignatureCheck(scheme="standard", secrets=[SecretText(secret)])
        assert check.verify(Received(headers=headers, body=body, now=float(headers["webhook-timestamp"])))


async def test_blocking_and_async_callers_get_what_they_ask_for(emulator: Emulator, url: str, tmp_path: Path) -> None:
    async with receiving() as receiver, serving(url, tmp_path, rules(receiver)) as served:
        key = emulator.app_named("wf-llm").key
        whole = await served.run("llm", key, **recipe(receiver, response_mode="blocking"))
        assert whole.json()["data"]["status"] == "succeeded"
        assert "hello" in whole.json()["data"]["outputs"]["result"]
        at_once = await served.run("llm", key, **recipe(receiver, response_mode="async"))
        assert at_once.status_code == 202
        await until(lambda: len(receiver.took) == 2)
        assert {item["data"]["id"] for item in told(receiver)} >= {at_once.json()["id"]}
        chat = await served.run(
            "plain", emulator.app_named("chat-basic").key, **recipe(receiver, response_mode="blocking")
        )
        assert "hello" in chat.json()["answer"]
        await until(lambda: len(receiver.took) == 3)
        assert told(receiver)[-1]["type"] == "run.succeeded"


async def test_a_caller_who_leaves_is_called_back(emulator: Emulator, url: str, tmp_path: Path) -> None:
    async with receiving() as receiver, serving(url, tmp_path, rules(receiver)) as served:
        body = recipe(receiver, "slow [[delay=20]]")
        head = {"authorization": f"Bearer {emulator.app_named('wf-llm').key}"}
        async with served.http.stream("POST", f"{served.url}/run/llm", json=body, headers=head) as answer:
            async for line in answer.aiter_lines():
                if "workflow_started" in line:
                    break
        await until(lambda: receiver.took)
        assert told(receiver)[0]["type"] == "run.succeeded"


@pytest.mark.parametrize("pieces", [2, 4])
async def test_when_dify_leaves_caller_and_receiver_still_hear_the_end(
    both: tuple[Emulator, str], tmp_path: Path, pieces: int
) -> None:
    emulator, url = both
    async with receiving() as receiver, serving(url, tmp_path, rules(receiver)) as served:
        emulator.control.fail(method="POST", path=RUNS, how=f"after:{pieces}")
        answer = await served.run("llm", emulator.app_named("wf-llm").key, **recipe(receiver))
        last = json.loads([line for line in answer.text.splitlines() if line.startswith("data: ")][-1][6:])
        assert (last["event"], last["data"]["status"]) == ("workflow_finished", "succeeded")
        await until(lambda: receiver.took)
        assert told(receiver)[0]["type"] == "run.succeeded"
        assert len(emulator.app_named("wf-llm").runs) == 1


@pytest.fixture
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running, "_SEARCHES", (0.0, 0.1))


@pytest.mark.parametrize("name", ["llm", "chat"])
async def test_a_run_whose_id_was_not_seen_is_found_in_the_log(
    both: tuple[Emulator, str], tmp_path: Path, soon: None, name: str
) -> None:
    emulator, url = both
    app = emulator.app_named({"llm": "wf-llm", "chat": "flow-chat"}[name])
    async with receiving() as receiver, serving(url, tmp_path, rules(receiver)) as served:
        await served.run(name, app.key, **recipe(receiver, "another one"))
        emulator.control.fail(method="POST", path=RUNS, how="after:1")
        answer = await served.run(name, app.key, **recipe(receiver, "this one"))
        assert "workflow_finished" in answer.text
        await until(lambda: len(receiver.took) == 2)
        assert [item["type"] for item in told(receiver)] == ["run.succeeded"] * 2
        assert "this one" in told(receiver)[1]["data"]["answer"]
        assert {item["data"]["run_id"] for item in told(receiver)} == {run.id for run in app.runs}


async def test_a_run_is_looked_for_until_it_can_be_read(
    emulator: Emulator, url: str, tmp_path: Path, soon: None
) -> None:
    app = emulator.app_named("wf-llm")
    async with receiving() as receiver, serving(url, tmp_path, rules(receiver)) as served:
        emulator.control.fail(method="GET", path=r"/v1/workflows/run/", how="status:503", times=4)
        emulator.control.fail(method="POST", path=RUNS, how="after:1")
        await served.run("llm", app.key, **recipe(receiver))
        await until(lambda: receiver.took)
    assert [item["type"] for item in told(receiver)] == ["run.succeeded"]
    assert told(receiver)[0]["data"]["run_id"] == app.runs[0].id


async def test_what_nobody_knows_is_told_as_unknown(
    emulator: Emulator, url: str, tmp_path: Path, soon: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LLM_KEY", emulator.app_named("wf-llm").key)
    async with receiving() as receiver:
        section = rules(receiver)
        section["apps"]["llm"]["key"] = "env:LLM_KEY"
        async with serving(url, tmp_path, section) as served:
            emulator.control.fail(method="POST", path=RUNS, how="after:1")
            answer = await served.run("llm", emulator.app_named("wf-llm").key, **recipe(receiver))
            assert '"event":"error"' in answer.text
            await until(lambda: receiver.took)
            assert told(receiver)[0]["type"] == "run.unknown"


async def test_a_gate_that_gives_up_waiting_says_nothing_about_the_run(
    emulator: Emulator, url: str, tmp_path: Path, soon: None
) -> None:
    async with receiving() as receiver, serving(url, tmp_path, rules(receiver)) as served:
        emulator.control.fail(method="POST", path=RUNS, how="status:504")
        answer = await served.run("llm", emulator.app_named("wf-llm").key, **recipe(receiver))
        assert answer.status_code == 502
        await until(lambda: receiver.took)
        assert told(receiver)[0]["type"] == "run.unknown"


@pytest.mark.parametrize("mode", ["async", "streaming"])
async def test_an_app_that_cannot_be_reached_is_asked_again_for_a_while(
    emulator: Emulator, url: str, tmp_path: Path, mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(running, "_BEGIN", {"async": 90.0, "": 90.0})
    async with receiving() as receiver, gate_to(url) as gate:
        async with serving(gate.url, tmp_path, rules(receiver)) as served:
            key = emulator.app_named("wf-llm").key
            assert (await served.run("llm", key, **recipe(receiver))).status_code == 200
            await gate.close()
            asked = asyncio.create_task(served.run("llm", key, **recipe(receiver, "again", response_mode=mode)))
            await until(lambda: _runs_here(tmp_path) == 2)
            await gate.open()
            assert (await asked).status_code == (202 if mode == "async" else 200)
            await until(lambda: len(receiver.took) == 2)
        assert [item["type"] for item in told(receiver)] == ["run.succeeded"] * 2
        assert len(emulator.app_named("wf-llm").runs) == 2


def _runs_here(state: Path) -> int:
    return int(reading.KeptEvent(state).read("SELECT count(*) AS n FROM run")[0]["n"])


async def test_what_fails_is_told_as_failed(emulator: Emulator, url: str, tmp_path: Path) -> None:
    async with receiving() as receiver, serving(url, tmp_path, rules(receiver)) as served:
        failing = await served.run("llm", emulator.app_named("wf-llm").key, **recipe(receiver, "[[fail=auth]]"))
        assert '"failed"' in failing.text
        await until(lambda: receiver.took)
        assert told(receiver)[0]["type"] == "run.failed"


async def test_a_server_that_stops_in_the_middle_tells_the_end_after_its_next_start(
    both: tuple[Emulator, str], tmp_path: Path
) -> None:
    emulator, url = both
    async with receiving() as receiver:
        section = rules(receiver, drain="100ms")
        async with serving(url, tmp_path, section) as served:
            started = await served.run(
                "llm", emulator.app_named("wf-llm").key, **recipe(receiver, "slow [[delay=60]]", response_mode="async")
            )
            await until(lambda: _state(tmp_path, started) == "running")
        assert receiver.took == []
        async with serving(url, tmp_path, section):
            await until(lambda: receiver.took)
        (said,) = told(receiver)
        assert (said["type"], said["data"]["id"]) == ("run.succeeded", started.json()["id"])
        assert len(emulator.app_named("wf-llm").runs) == 1


def _state(state: Path, started: httpx.Response) -> Any:
    return reading.show(reading.KeptEvent(state), started.json()["id"]).facts["state"]


@pytest.mark.parametrize("notes", ["none", "of this start", "of another start", "spoiled"])
async def test_after_a_kill_it_is_known_which_runs_were_never_asked(
    emulator: Emulator, url: str, tmp_path: Path, soon: None, notes: str
) -> None:
    from difyops.webhook import asked, outbox
    from difyops.webhook.database import FILE, WebhookDatabase

    async with receiving() as receiver:
        database = WebhookDatabase(tmp_path / FILE)
        database.open()
        for name, mode in (("asked", "async"), ("async", "async"), ("waiting", "streaming")):
            request = {"inputs": {"query": name}, "mode": mode}
            callback = f"{receiver.url}/x"
            row = outbox.RunRow(
                id=f"run_{name}", app="llm", via="run", accepted=1.0, user="u", request=request, callback=callback
            )  # fmt: skip
            await database.write(outbox.accept(row))
        await database.close()
        boot = "another" if notes == "of another start" else asked.AskedRuns(tmp_path / "x").boot
        if notes != "none":
            half = "\nrun_wai" if notes == "spoiled" else ""  # the disk was full in the middle of it
            (tmp_path / asked.FILE).write_text(f"{boot}{half}\nrun_asked")
        async with serving(url, tmp_path, rules(receiver)):
            await until(lambda: len(receiver.took) == 3)
        kinds = {item["data"]["id"]: item["type"] for item in told(receiver)}
        known = {"run_asked": "run.unknown", "run_async": "run.succeeded", "run_waiting": "run.failed"}
        assert kinds == (known if notes in ("of this start", "spoiled") else dict.fromkeys(known, "run.unknown"))
        assert len(emulator.app_named("wf-llm").runs) == sum(kind == "run.succeeded" for kind in kinds.values())


async def test_a_run_is_noted_before_it_is_asked_and_not_asked_when_it_cannot_be_noted(
    emulator: Emulator, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from difyops.webhook import asked

    async with receiving() as receiver, serving(url, tmp_path, rules(receiver)) as served:
        key = emulator.app_named("wf-llm").key
        first = await served.run("llm", key, **recipe(receiver))
        assert (tmp_path / asked.FILE).read_text().split("\n")[1:] == [first.headers["x-difyops-run"]]

        def full(_: int, __: bytes) -> int:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(os, "write", full)
        await served.run("llm", key, **recipe(receiver))
        monkeypatch.undo()
        await until(lambda: len(receiver.took) == 2)
        assert told(receiver)[1]["type"] == "run.failed"
        assert len(emulator.app_named("wf-llm").runs) == 1


async def test_nobody_runs_an_app_without_a_key_of_it(emulator: Emulator, url: str, tmp_path: Path) -> None:
    async with receiving() as receiver:
        section = rules(receiver)
        section["apps"]["llm"]["callers"] = ["env:CALLER_TOKEN"]
        async with serving(url, tmp_path, section) as served:
            for key in ("app-wrong", emulator.app_named("wf-echo").key, "é"):
                answer = await served.http.post(
                    f"{served.url}/run/llm", json={}, headers={b"authorization": f"Bearer {key}".encode()}
                )
                assert answer.status_code == 401
            assert (await served.run("llm", "caller-token-canary", **recipe(receiver))).status_code == 200
            assert (await served.run("llm/v1/workflows/run", "caller-token-canary", query="x")).status_code == 200
            assert (await served.run("llm/v1/other", "caller-token-canary")).status_code == 404
            assert (await served.run("nothing", "caller-token-canary")).status_code == 404


async def test_what_the_app_would_not_take_is_refused_before_it_is_accepted(
    emulator: Emulator, url: str, tmp_path: Path
) -> None:
    async with receiving() as receiver, serving(url, tmp_path, rules(receiver)) as served:
        key = emulator.app_named("wf-llm").key
        bodies: list[dict[str, Any]] = [{"inputs": {}}, {"inputs": [], "query": "x"}, {"response_mode": "no"}]
        for body in bodies:
            assert (await served.run("llm", key, **body)).status_code == 400
        emulator.control.fail(method="POST", path=RUNS, how="status:429")
        assert (await served.run("llm", key, query="x")).status_code == 429
        assert emulator.app_named("wf-llm").runs == []


NOWHERE = [
    "http://evil.example/x",
    "http://127.0.0.1:1/x",
    "{receiver}@evil.example/x",
    "http://evil.example#{receiver}",
    "file:///etc/passwd",
    "{receiver}/x\r\nHost: evil",
    "http://2130706433/",
    "//evil.example",
]


async def test_calls_go_only_where_they_may(emulator: Emulator, url: str, tmp_path: Path) -> None:
    async with receiving() as receiver, serving(url, tmp_path, rules(receiver)) as served:
        for text in NOWHERE:
            body = {"query": "x", "metadata": {"callback_url": text.replace("{receiver}", receiver.url)}}
            answer = await served.run("llm", emulator.app_named("wf-llm").key, **body)
            assert (answer.status_code, answer.json()["code"]) == (400, "callback_refused"), text
        assert emulator.app_named("wf-llm").runs == []


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ladder.next_try, "__defaults__", (None, (0.0, 0.02, 0.02, 0.02)))


async def _called(served: Served, emulator: Emulator, receiver: Receiver) -> str:
    started = await served.run("llm", emulator.app_named("wf-llm").key, **recipe(receiver, response_mode="async"))
    return str(started.json()["id"])


async def test_a_receiver_that_fails_is_called_again_under_the_same_id(
    emulator: Emulator, url: str, tmp_path: Path, quick: None
) -> None:
    async with receiving() as receiver, serving(url, tmp_path, rules(receiver)) as served:
        receiver.answers += [web.Response(status=500), web.Response(status=302, headers={"location": "/other"})]
        await _called(served, emulator, receiver)
        await until(lambda: len(receiver.took) == 3)
        assert len(set(receiver.ids)) == 1
        assert len({body for _, body in receiver.took}) == 1
        kept = reading.KeptEvent(tmp_path)
        await until(lambda: reading.messages(kept, limit=1)[0].state == "delivered")


async def test_what_fails_to_the_end_is_a_dead_letter_and_can_be_sent_again(
    emulator: Emulator, url: str, tmp_path: Path, quick: None
) -> None:
    async with receiving() as receiver, serving(url, tmp_path, rules(receiver)) as served:
        receiver.answers += [web.Response(status=500) for _ in range(4)]
        await _called(served, emulator, receiver)
        kept = reading.KeptEvent(tmp_path)
        await until(lambda: reading.messages(kept, limit=1, state="dead"))
        (dead,) = reading.messages(kept, limit=1)
        assert (dead.attempts, dead.said) == (4, "HTTP 500")
        kept.replay([dead.id])
        await until(lambda: reading.messages(kept, limit=1)[0].state == "delivered")
        assert len(set(receiver.ids)) == 1


async def test_a_receiver_that_is_gone_is_called_no_more(
    emulator: Emulator, url: str, tmp_path: Path, quick: None
) -> None:
    async with receiving() as receiver, serving(url, tmp_path, rules(receiver)) as served:
        kept = reading.KeptEvent(tmp_path)
        receiver.answers += [web.Response(status=400, headers={"webhook-delivery": "abort-message"})]
        await _called(served, emulator, receiver)
        await until(lambda: reading.messages(kept, limit=1, state="dead"))
        receiver.answers += [web.Response(status=410)]
        await _called(served, emulator, receiver)
        await until(lambda: len(reading.messages(kept, limit=9, state="dead")) == 2)
        await _called(served, emulator, receiver)
        await until(lambda: len(reading.messages(kept, limit=9, state="dead")) == 3)
        assert len(receiver.took) == 2


async def test_a_wish_for_later_is_heard(emulator: Emulator, url: str, tmp_path: Path, quick: None) -> None:
    async with receiving() as receiver, serving(url, tmp_path, rules(receiver)) as served:
        receiver.answers += [web.Response(status=503, headers={"retry-after": "3600"})]
        await _called(served, emulator, receiver)
        kept = reading.KeptEvent(tmp_path)
        await until(lambda: reading.messages(kept, limit=1) and reading.messages(kept, limit=1)[0].attempts == 1)
        (row,) = kept.read("SELECT made, due FROM message")
        assert row["due"] - row["made"] > 3500
        assert len(receiver.took) == 1


async def test_a_name_that_leads_home_is_not_followed(
    emulator: Emulator, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loop = asyncio.get_running_loop()
    real, asked = loop.getaddrinfo, []

    async def rebinding(host: Any, port: Any, **more: Any) -> Any:
        if host != "hooks.example.com":
            return await real(host, port, **more)
        asked.append(host)
        return await real("127.0.0.1", port, **more)

    monkeypatch.setattr(loop, "getaddrinfo", rebinding)
    async with receiving() as receiver:
        port = receiver.url.rpartition(":")[2]
        section = rules(receiver)
        section["callbacks"]["allow"] = [f"http://hooks.example.com:{port}"]
        async with serving(url, tmp_path, section) as served:
            body = {"query": "x", "metadata": {"callback_url": f"http://hooks.example.com:{port}/x"}}
            await served.run("llm", emulator.app_named("wf-llm").key, **body, response_mode="async")
            kept = reading.KeptEvent(tmp_path)
            await until(lambda: reading.messages(kept, limit=1) and reading.messages(kept, limit=1)[0].attempts)
            assert "may not be called" in str(reading.messages(kept, limit=1)[0].said)
        assert receiver.took == []
        assert asked


async def test_the_same_request_twice_is_one_run(emulator: Emulator, url: str, tmp_path: Path) -> None:
    async with receiving() as receiver, serving(url, tmp_path, rules(receiver)) as served:
        key = emulator.app_named("wf-llm").key
        head = {"authorization": f"Bearer {key}", "idempotency-key": "one"}
        body = recipe(receiver, response_mode="async")
        answers = [await served.http.post(f"{served.url}/run/llm", json=body, headers=head) for _ in range(3)]
        assert len({answer.json()["id"] for answer in answers}) == 1
        await until(lambda: receiver.took)
        assert len(emulator.app_named("wf-llm").runs) == 1


async def test_while_a_secret_is_replaced_old_and_new_receivers_believe_the_call(
    emulator: Emulator, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from difyops import twin_secrets
    from difyops.webhook import serving as module

    monkeypatch.setattr(module, "_FOLLOW", 0.02)
    place = tmp_path / "callback.secret"
    place.write_text(SECRET)
    place.chmod(0o600)
    reference, new = f"file:{place}", SecretText("whsec_" + "bmV3" * 8)
    async with receiving() as receiver:
        section = rules(receiver)
        section["callbacks"]["secrets"] = [reference]
        async with serving(url, tmp_path, section) as served:

            async def by_new() -> tuple[bool, bool]:
                """Say whether a receiver with the new secret believes the next call, and one with the old one."""
                receiver.took.clear()
                await _called(served, emulator, receiver)
                await until(lambda: receiver.took)
                headers, body = receiver.took[0]
                signatures = headers["webhook-signature"].split(" ")
                at, one = int(headers["webhook-timestamp"]), headers["webhook-id"]
                return tuple(sign_standard([key], one, at, body) in signatures for key in (new, SecretText(SECRET)))  # type: ignore[return-value]

            assert await by_new() == (False, True)
            twin_secrets.put(reference, twin_secrets.NEXT, new)
            while await by_new() != (True, True):
                pass
            assert recipes_receiver(SECRET, *receiver.took[0])
            twin_secrets.put(reference, twin_secrets.LAST, SecretText(SECRET))
            place.write_text(new.reveal())
            twin_secrets.drop(reference, twin_secrets.NEXT)
            while not recipes_receiver(new.reveal(), *receiver.took[0]):
                assert await by_new() == (True, True)
            twin_secrets.drop(reference, twin_secrets.LAST)
            while await by_new() != (True, False):
                pass


@pytest.mark.parametrize("restarts", [False, True])
async def test_a_run_that_waits_for_a_person_is_told_twice(
    emulator: Emulator, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, restarts: bool
) -> None:
    monkeypatch.setattr(running, "_PAUSED_LOOK", 0.1)
    app = with_person(emulator)
    async with receiving() as receiver, contextlib.AsyncExitStack() as stack:
        section = rules(receiver, apps={"ask": {"app": "wf-echo"}}, drain="0s")
        first = serving(url, tmp_path, section)
        served = await first.__aenter__()
        started = await served.run("ask", app.key, **recipe(receiver, inputs={"text": "go"}))
        assert "workflow_paused" in started.text
        await until(lambda: receiver.took)
        if restarts:
            await first.__aexit__(None, None, None)
            await stack.enter_async_context(serving(url, tmp_path, section))
        else:
            stack.push_async_exit(first)
        (token,) = emulator.instance.forms
        await humans.submit(emulator.instance, token, {"note": "fine"}, "ok")
        await until(lambda: len(receiver.took) == 2)
    assert told(receiver)[0]["type"] == "run.paused"
    assert told(receiver)[1]["type"] in ("run.succeeded", "run.stopped")
    assert len(set(receiver.ids)) == 2
    assert {item["data"]["run_id"] for item in told(receiver)} == {app.runs[-1].id}
