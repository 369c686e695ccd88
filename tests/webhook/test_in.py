"""``/in``: verified, told apart, on disk before it is acknowledged, and taken to where it goes."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

from difyops.emulator import Emulator
from difyops.webhook import reading
from tests.waiting import until
from tests.webhook.rig import Receiver, receiving, serving


def rules(receiver: Receiver, **more: Any) -> dict[str, Any]:
    return {
        "sources": {"orders": {"secrets": ["env:HOOK_SECRET"], "to": ["there"], **more}},
        "destinations": {"there": {"url": f"{receiver.url}/there"}},
    }


async def test_an_event_is_kept_and_taken_on_once(url: str, tmp_path: Path) -> None:
    async with receiving() as receiver, serving(url, tmp_path, rules(receiver)) as served:
        body = b'{"type": "order.paid", "n": 1}'
        first = await served.send("orders", body, webhook_id="msg_1")
        assert first.status_code == 401  # the id is signed
        first = await served.send("orders", body)
        assert first.status_code == 200
        await until(lambda: receiver.took)
        (row,) = reading.events(reading.KeptEvent(tmp_path), limit=10)
        assert (row.id, row.kind, row.source) == (first.json()["id"], "order.paid", "orders")
        assert receiver.took[0][1] == body
        assert receiver.ids == [row.id]


async def test_a_doublet_is_acknowledged_and_not_taken_twice(url: str, tmp_path: Path) -> None:
    rule = {
        "sources": {"hub": {"scheme": "github", "secrets": ["env:HOOK_SECRET"], "to": ["there"]}},
    }
    async with receiving() as receiver:
        section = rule | {"destinations": {"there": {"url": receiver.url}}}
        async with serving(url, tmp_path, section) as served:
            answers = await asyncio.gather(
                *(served.send("hub", b'{"n": 1}', "github", x_github_delivery=str(n)) for n in range(10))
            )
            assert {answer.status_code for answer in answers} == {200}
            assert len({answer.json()["id"] for answer in answers}) == 1
        async with serving(url, tmp_path, section) as served:
            assert (await served.send("hub", b'{"n": 1}', "github")).json()["duplicate"] is True
        assert len(receiver.took) == 1


async def test_who_does_not_sign_is_turned_away(url: str, tmp_path: Path) -> None:
    async with receiving() as receiver, serving(url, tmp_path, rules(receiver)) as served:
        answer = await served.http.post(f"{served.url}/in/orders", content=b"{}")
        assert (answer.status_code, answer.json()["code"]) == (401, "bad_signature")
        assert (await served.http.post(f"{served.url}/in/nothing", content=b"{}")).status_code == 404
        assert (await served.http.get(f"{served.url}/in/orders")).status_code == 405
        assert reading.events(reading.KeptEvent(tmp_path), limit=10) == []


async def test_an_event_becomes_a_run_of_an_app(emulator: Emulator, url: str, tmp_path: Path) -> None:
    section = {
        "sources": {"orders": {"secrets": ["env:HOOK_SECRET"], "to": ["triage"]}},
        "destinations": {"triage": {"app": "wf-echo", "inputs": {"text": "$body.issue.title"}}},
    }
    async with serving(url, tmp_path, section) as served:
        await served.send("orders", json.dumps({"issue": {"title": "it is broken"}}).encode())
        kept = reading.KeptEvent(tmp_path)
        await until(lambda: [row for row in reading.events(kept, limit=1) if row.state == "done"])
        (run,) = emulator.app_named("wf-echo").runs
        assert run.inputs["text"] == "it is broken"
        await served.send("orders", b'{"issue": {}}')
        await until(lambda: [row for row in reading.events(kept, limit=1) if row.state == "dead"])
        assert "'text' is required" in str(reading.events(kept, limit=1)[0].said)


async def test_what_fails_is_tried_again_and_order_is_kept(url: str, tmp_path: Path, monkeypatch: Any) -> None:
    from aiohttp import web

    from difyops.webhook import ladder

    monkeypatch.setattr(ladder.next_try, "__defaults__", (None, (0.0, 0.05, 0.05, 0.05)))
    async with receiving() as receiver, serving(url, tmp_path, rules(receiver, ordered=True)) as served:
        receiver.answers += [web.Response(status=500), web.Response(status=302, headers={"location": "/other"})]
        for n in range(3):
            await served.send("orders", json.dumps({"n": n}).encode())
        await until(lambda: len(receiver.took) == 5)
        assert [json.loads(body)["n"] for _, body in receiver.took] == [0, 0, 0, 1, 2]


async def test_a_command_gets_the_body_and_no_secret(url: str, tmp_path: Path) -> None:
    script = "import os,sys,json; open('out.json','w').write(json.dumps([sys.stdin.read(), dict(os.environ)]))"
    import sys

    section = {
        "sources": {"orders": {"secrets": ["env:HOOK_SECRET"], "to": ["program"]}},
        "destinations": {"program": {"command": [sys.executable, "-c", script]}},
    }
    async with serving(url, tmp_path, section) as served:
        sent = await served.send("orders", b"plain text")
        kept = reading.KeptEvent(tmp_path)
        await until(lambda: [row for row in reading.events(kept, limit=1) if row.state == "done"])
        said, environment = json.loads(Path("out.json").read_text())
        assert said == "plain text"
        assert environment["DIFYOPS_EVENT_ID"] == sent.json()["id"]
        assert "HOOK_SECRET" not in environment


async def test_what_goes_round_in_a_circle_is_stopped(url: str, tmp_path: Path) -> None:
    async with receiving() as receiver:
        section = rules(receiver)
        async with serving(url, tmp_path, section) as served:
            assert (await served.send("orders", b"{}", difyops_hops="3")).status_code == 200
            assert (await served.send("orders", b"{ }", difyops_hops="4")).status_code == 508
            assert (await served.send("orders", b"{  }", difyops_hops="x")).status_code == 508
            await until(lambda: receiver.took)
            assert receiver.took[0][0]["difyops-hops"] == "4"


async def test_a_paused_destination_waits_and_rates_are_kept(url: str, tmp_path: Path) -> None:
    async with receiving() as receiver:
        section = rules(receiver)
        section["destinations"]["there"] |= {"paused": True}
        async with serving(url, tmp_path, section) as served:
            assert (await served.send("orders", b"{}")).status_code == 200
        assert receiver.took == []
        section["destinations"]["there"] = {"url": receiver.url, "rate": 1000}
        async with serving(url, tmp_path, section):
            await until(lambda: receiver.took)


async def test_slack_is_answered_its_challenge(url: str, tmp_path: Path) -> None:
    async with receiving() as receiver, serving(url, tmp_path, rules(receiver, scheme="slack")) as served:
        body = b'{"type": "url_verification", "challenge": "3eZbrw1aBm2rZgRNFdxV2595E9CY3gmdALWMmHkvFXO7tYXAYM8P"}'
        answer = await served.send("orders", body, "slack")
        assert answer.text.startswith("3eZbrw1a")
