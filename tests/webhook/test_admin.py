"""Status, metrics and the page: on loopback, for this machine's own names, the page behind its token."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from tests.conftest import Cli
from tests.waiting import until
from tests.webhook.rig import receiving, serving


def rules(url: str) -> dict[str, Any]:
    return {
        "admin_token": "env:PAGE",
        "sources": {"orders": {"secrets": ["env:HOOK_SECRET"], "to": ["there"]}},
        "destinations": {"there": {"url": url}},
    }


async def test_the_page_wants_the_token_and_shows_what_came(url: str, tmp_path: Path) -> None:
    async with receiving() as receiver, serving(url, tmp_path, rules(receiver.url)) as served:
        await served.send("orders", b'{"type": "<script>alert(1)</script>"}')
        await until(lambda: receiver.took)
        closed = await served.http.get(served.admin)
        assert (closed.status_code, "orders" in closed.text) == (401, False)
        assert (await served.http.post(f"{served.admin}/login", data={"token": "wrong"})).status_code == 401
        assert (await served.http.post(f"{served.admin}/replay", data={"id": "x"})).status_code == 401
        opened = await served.http.post(f"{served.admin}/login", data={"token": "page-canary-1"})
        assert opened.status_code == 303
        cookie = opened.headers["set-cookie"]
        assert "HttpOnly" in cookie
        assert "SameSite=strict" in cookie
        page = await served.http.get(served.admin)
        assert page.status_code == 200
        assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page.text
        assert "<script" not in page.text
        assert "default-src 'none'" in page.headers["content-security-policy"]
        which = re.search(r'name="id" value="(evt_[0-9a-f]+)"', page.text)
        assert which
        again = await served.http.post(f"{served.admin}/replay", data={"id": which[1]})
        assert again.status_code == 303
        await until(lambda: len(receiver.took) == 2)
        assert len(set(receiver.ids)) == 1


async def test_status_and_metrics(url: str, tmp_path: Path) -> None:
    async with receiving() as receiver, serving(url, tmp_path, rules(receiver.url)) as served:
        await served.send("orders", b"{}")
        await served.http.post(f"{served.url}/in/orders", content=b"{}")
        await until(lambda: receiver.took)
        status = (await served.http.get(f"{served.admin}/status")).json()
        assert status["ok"] is True
        metrics = (await served.http.get(f"{served.admin}/metrics")).text
        assert 'difyops_webhook_answers_total{path="/in",status="200"} 1' in metrics
        assert 'difyops_webhook_answers_total{path="/in",status="401"} 1' in metrics
        for line in metrics.splitlines():
            assert re.fullmatch(r'# TYPE \w+ \w+|\w+(\{(\w+="[^"]*",?)+\})? [0-9.]+', line), line


async def test_a_name_that_leads_here_is_not_answered(url: str, tmp_path: Path) -> None:
    async with receiving() as receiver, serving(url, tmp_path, rules(receiver.url)) as served:
        for path in ("/", "/status", "/metrics"):
            answer = await served.http.get(f"{served.admin}{path}", headers={"host": "rebound.example:8098"})
            assert answer.status_code == 403


async def test_without_a_token_there_is_no_page(url: str, tmp_path: Path) -> None:
    async with receiving() as receiver:
        section = rules(receiver.url)
        del section["admin_token"]
        async with serving(url, tmp_path, section) as served:
            assert (await served.http.get(served.admin)).status_code == 404
            assert (await served.http.get(f"{served.admin}/status")).status_code == 200


def test_a_found_file_that_nobody_trusted_says_nothing(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "difyops.yaml").write_text(
        "webhook:\n  sources: {a: {secrets: 'cmd:touch ran', to: d}}\n  destinations: {d: {command: [touch, ran]}}\n"
    )
    for words in (("check",), ("serve",), ("reload",), ("test", "a")):
        ran = cli("webhook", *words)
        assert ran.code == 8, ran
        assert "touch ran" in ran.err + ran.out or "difyops trust" in ran.err
    assert not (tmp_path / "ran").exists()


def test_what_is_not_there_is_said(cli: Cli, tmp_path: Path) -> None:
    assert cli("webhook", "check").code == 2
    assert cli("webhook", "list").code == 2
    assert cli("webhook", "show", "evt_1").code == 2
    assert cli("webhook", "status").code == 5
    (tmp_path / "rules.yaml").write_text("webhook: {sources: {a: {secrets: text, to: d}}}\n")
    wrong = cli("webhook", "check", "--config", str(tmp_path / "rules.yaml"))
    assert wrong.code == 2
    assert "webhook.sources.a.secrets: expected a reference" in wrong.err


def test_the_note_of_a_server_that_was_killed_is_no_server(tmp_path: Path) -> None:
    import json
    import os

    from difyops.webhook.serve import RUNNING_FILE, running_in

    note = {"pid": os.getpid(), "listen": "x", "admin": None, "rules": "x", "since": 1.0}
    (tmp_path / RUNNING_FILE).write_text(json.dumps(note))
    assert running_in(tmp_path) is None
