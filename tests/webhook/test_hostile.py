"""Callers who are slow, large, unclear or gone, a full disk, and rules that change under load."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import json
import sqlite3
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from difyops.emulator import Emulator
from difyops.errors import StoreError
from difyops.webhook import inbox, outbox, reading
from difyops.webhook.database import FILE, WebhookDatabase
from difyops.webhook.rules import rules_of
from tests.waiting import until
from tests.webhook.rig import SECRET, Served, receiving, serving

LIMITS = {"body": "64KB", "head_seconds": 0.3, "body_seconds": 0.5, "streams": 3}


def rules(**more: Any) -> dict[str, Any]:
    return {
        "sources": {"orders": {"secrets": ["env:HOOK_SECRET"], "to": ["there"]}},
        "destinations": {"there": {"url": "http://127.0.0.1:9/", "paused": True}},
        "limits": LIMITS,
        **more,
    }


async def raw(served: Served, content: bytes, *, ends: bool = False) -> bytes:
    """Send bytes as they are and return all that comes back before the connection is closed."""
    host, _, port = served.url.rpartition("/")[2].partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        writer.write(content)
        await writer.drain()
        if ends:
            writer.write_eof()
        async with asyncio.timeout(30):
            return await reader.read()
    finally:
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


HEAD = b"POST /in/orders HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"


UNCLEAR = [
    (HEAD + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", b"400"),
    (HEAD + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}", b"400"),
    (HEAD + b"Host: y\r\nContent-Length: 2\r\n\r\n{}", b"400"),
    (HEAD + b"Webhook-Id: a\r\nwebhook-id: b\r\nContent-Length: 2\r\n\r\n{}", b"400"),
    (HEAD + b"X: a\r\n\tb\r\nContent-Length: 2\r\n\r\n{}", b"40"),
    (HEAD + b"X : a\r\nContent-Length: 2\r\n\r\n{}", b"400"),
    (HEAD + b"X: a\x00b\r\nContent-Length: 2\r\n\r\n{}", b"400"),
    (HEAD + b"Transfer-Encoding: chunked, identity\r\n\r\n", b"400"),
    (HEAD + b"Content-Length: 104857600\r\n\r\n{}", b"413"),
    (HEAD + b"Content-Encoding: gzip\r\nContent-Length: 2\r\n\r\n{}", b"415"),
    (b"GET /in/orders HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", b"405"),
    (b"POST /in/../in/orders HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", b"404"),
    (b"\x16\x03\x01\x02\x00", b"400"),
]


async def test_what_two_readers_could_read_differently_is_refused(url: str, tmp_path: Path) -> None:
    async with serving(url, tmp_path, rules()) as served:
        for sent, status in UNCLEAR:
            answer = await raw(served, sent)
            assert answer.split(b" ")[1].startswith(status), (sent, answer[:200])
        assert reading.events(reading.KeptEvent(tmp_path), limit=9) == []


async def test_chunked_bodies_are_taken_and_large_ones_stopped(url: str, tmp_path: Path) -> None:
    async with serving(url, tmp_path, rules()) as served:

        async def pieces(count: int) -> Any:
            for _ in range(count):
                yield b"x" * 10_000

        answer = await served.http.post(f"{served.url}/in/orders", content=pieces(2))
        assert answer.json()["code"] == "bad_signature"
        with contextlib.suppress(Exception):  # whether the answer is read before the line breaks is the client's luck
            answer = await served.http.post(f"{served.url}/in/orders", content=pieces(10_000))
            assert answer.status_code == 413
        assert (await served.send("orders", b"{}")).status_code == 200


async def test_who_sends_slowly_does_not_hold_a_place(url: str, tmp_path: Path) -> None:
    async with serving(url, tmp_path, rules()) as served:
        assert await raw(served, b"POST /in/orders HTTP/1.1\r\nHost: x\r\n") == b""
        assert await raw(served, b"") == b""
        slow = await raw(served, HEAD + b"Content-Length: 20\r\n\r\n{")
        assert b" 408 " in slow.split(b"\r\n")[0]
        again = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\nPOST /in"  # a second head that never ends
        assert (await raw(served, again)).count(b"HTTP/1.1") == 1


async def test_a_compressed_body_is_no_way_around_the_signature(url: str, tmp_path: Path) -> None:
    async with serving(url, tmp_path, rules()) as served:
        answer = await served.send("orders", gzip.compress(b"{}" * 1000), content_encoding="gzip")
        assert answer.status_code == 415


async def test_what_is_not_flushed_is_in_the_file_and_goes_along_with_the_next_that_is(tmp_path: Path) -> None:
    database = WebhookDatabase(tmp_path / FILE)
    database.open()
    writer, levels = database._writer, []
    assert writer is not None
    for run, flushed in (("a", False), ("b", True), ("c", False)):
        row = outbox.RunRow(id=run, app="llm", via="run", accepted=1.0, user="u", request={})
        await database.write(outbox.accept(row), flushed=flushed)
        assert [found["id"] for found in reading.KeptEvent(tmp_path).read("SELECT id FROM run")][-1] == run
        levels += writer.execute("PRAGMA synchronous").fetchone()
    both = database.write(lambda _: None), database.write(lambda _: None, flushed=False)
    await asyncio.gather(*both)
    levels += writer.execute("PRAGMA synchronous").fetchone()
    assert levels == [1, 2, 1, 2]  # 1: NORMAL, 2: FULL
    await database.close()


async def test_a_full_disk_acknowledges_nothing(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with serving(url, tmp_path, rules()) as served:
        assert (await served.send("orders", b'{"n": 1}')).status_code == 200
        full = reading.KeptEvent(tmp_path).read("PRAGMA page_count")[0][0]
        monkeypatch.setattr(inbox, "keep", _on_a_full_disk(inbox.keep, full))
        answers = await asyncio.gather(*(served.send("orders", json.dumps({"n": n}).encode()) for n in range(2, 6)))
        assert {answer.status_code for answer in answers} == {503}
        assert {answer.headers["retry-after"] for answer in answers} == {"5"}
        monkeypatch.undo()
        kept = reading.events(reading.KeptEvent(tmp_path), limit=9)
        assert len(kept) == 1


def _inserted(query: str, value: object, connection: sqlite3.Connection) -> None:
    connection.execute(query, (value,))


def _differs(path: Path, before: str) -> bool:
    return path.read_text() != before


def _on_a_full_disk(keep: Any, pages: int) -> Any:
    """Let the file grow no more, and every event need more than there is."""

    def kept(connection: sqlite3.Connection, items: Any) -> Any:
        connection.execute(f"PRAGMA max_page_count = {pages}")
        connection.execute("INSERT INTO endpoint (url) VALUES (hex(zeroblob(200000)))")
        return keep(connection, items)

    return kept


async def test_one_bad_write_takes_no_other_with_it(tmp_path: Path) -> None:
    database = WebhookDatabase(tmp_path / FILE)
    database.open()
    query = "INSERT INTO endpoint (url) VALUES (?)"
    good = [database.write(partial(_inserted, query, n)) for n in range(5)]
    bad = database.write(lambda c: c.execute("INSERT INTO endpoint (url) VALUES (0)"))
    worse = database.write(lambda c: 1 / 0)
    await asyncio.wait(good)
    with pytest.raises(StoreError):
        await bad
    with pytest.raises(ZeroDivisionError):
        await worse
    assert [row[0] for row in database.read("SELECT count(*) FROM endpoint")] == [5]
    await database.close()


async def test_a_slow_reader_is_let_go_and_the_run_goes_on(emulator: Emulator, url: str, tmp_path: Path) -> None:
    from difyops.webhook import listening

    listener = listening.Listener()
    listener.take("x" * 3_000_000, None)
    listener.take("y", None)
    assert listener.left
    async with receiving() as receiver:
        section = {
            "apps": {"llm": {"app": "wf-llm"}},
            "callbacks": {"allow": [receiver.url], "secrets": ["env:HOOK_SECRET"]},
        }
        async with serving(url, tmp_path, section) as served:
            body = json.dumps({"query": "hello", "metadata": {"callback_url": receiver.url + "/x"}}).encode()
            key = emulator.app_named("wf-llm").key.encode()
            head = b"POST /run/llm HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " + key
            host, _, port = served.url.rpartition("/")[2].partition(":")
            _, writer = await asyncio.open_connection(host, int(port))  # and never reads
            writer.write(head + f"\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)
            await until(lambda: receiver.took)
            writer.close()


async def test_there_are_only_so_many_streams(emulator: Emulator, url: str, tmp_path: Path) -> None:
    async with serving(url, tmp_path, {"apps": {"llm": {"app": "wf-llm"}}, "limits": LIMITS, "drain": "0s"}) as served:
        key = emulator.app_named("wf-llm").key
        slow = {"query": "slow [[delay=60]]", "response_mode": "async"}
        codes = [(await served.run("llm", key, **slow)).status_code for _ in range(5)]
        assert codes == [202, 202, 202, 503, 503]


async def test_new_rules_under_load_lose_nothing(url: str, tmp_path: Path) -> None:
    import os
    import signal

    now = rules()

    def read() -> Any:
        return rules_of({"listen": listen[0], "admin": False, "drain": "1s", **now})

    listen = ["127.0.0.1:0"]
    async with serving(url, tmp_path, read) as served:
        answers: list[int] = []

        async def load() -> None:
            for n in range(40):
                answers.append((await served.send("orders", json.dumps({"n": n, "at": n}).encode())).status_code)

        async def change() -> None:
            for n in range(5):
                now["sources"] = {**now["sources"], f"new-{n}": {"secrets": ["env:HOOK_SECRET"], "to": ["there"]}}
                before = (tmp_path / "webhook.json").read_text()
                os.kill(os.getpid(), signal.SIGHUP)
                await until(partial(_differs, tmp_path / "webhook.json", before))

        await asyncio.gather(load(), load(), change())
        assert set(answers) == {200}
        assert (await served.send("new-4", b"{}")).status_code == 200
        now["sources"] = {"orders": {"to": []}}
        before = (tmp_path / "webhook.json").read_text()
        os.kill(os.getpid(), signal.SIGHUP)
        await until(lambda: (tmp_path / "webhook.json").read_text() != before)
        assert (
            "orders.secrets: this field is required" in json.loads((tmp_path / "webhook.json").read_text())["problem"]
        )
        assert (await served.send("orders", b'{"still": 1}')).status_code == 200


async def test_a_clock_that_goes_back_holds_nothing_up(url: str, tmp_path: Path) -> None:
    async with receiving() as receiver:
        section = rules(destinations={"there": {"url": receiver.url}})
        database = WebhookDatabase(tmp_path / FILE)
        database.open()
        source = rules_of(section).sources["orders"]
        ahead = 4_000_000_000.0  # received when the clock was far ahead
        event = inbox.InboxEvent(
            id="evt_1", source="orders", dedupe="d", received=ahead, sent=None, hops=0, kind="", content_type="",
            body=b"1",
        )  # fmt: skip
        await database.add(inbox.keep, (event, source))
        await database.close()
        async with serving(url, tmp_path, section):
            await until(lambda: receiver.took)


async def test_no_secret_shows(url: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with serving(url, tmp_path, rules(admin_token="env:PAGE")) as served:
        await served.send("orders", b"{}")
        await served.http.post(f"{served.url}/in/orders", content=b"{}", headers={"webhook-id": "x"})
        shown = (await served.http.get(f"{served.admin}/metrics")).text
        shown += (await served.http.get(f"{served.admin}/status")).text
        shown += (await served.http.get(f"{served.admin}/")).text
    files = b"".join(path.read_bytes() for path in tmp_path.rglob("webhook*") if path.is_file())
    for secret in (SECRET, SECRET.removeprefix("whsec_"), "page-canary-1"):
        assert secret not in shown
        assert secret not in caplog.text
        assert secret.encode() not in files
