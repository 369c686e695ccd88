"""The page in headless Chromium, without JavaScript: the token is typed, what came is seen and sent again."""

from __future__ import annotations

import asyncio
import itertools
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.waiting import until
from tests.webhook.rig import receiving, serving

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
EVIL = "<script>document.title=1</script>" + "a-very-long-kind-" * 5


class Browser:
    """One page of a browser, held by its debugging protocol."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.socket = socket
        self.numbers = itertools.count(1)
        self.console: list[str] = []

    async def call(self, method: str, **params: Any) -> dict[str, Any]:
        number = next(self.numbers)
        await self.socket.send_json({"id": number, "method": method, "params": params})
        while True:
            said = await self.socket.receive_json(timeout=60)
            if said.get("method") in ("Log.entryAdded", "Runtime.exceptionThrown"):
                entry = said["params"].get("entry", {})
                if entry.get("source") not in ("network", "recommendation"):  # the first answer is 401
                    self.console.append(str(said["params"]))
            if said.get("id") == number:
                return dict(said.get("result") or {"error": said.get("error")})

    async def html(self) -> str:
        root = (await self.call("DOM.getDocument", depth=0))["root"]["nodeId"]
        return str((await self.call("DOM.getOuterHTML", nodeId=root)).get("outerHTML", ""))

    async def shows(self, text: str) -> str:
        """Wait until the page shows a text, and return all of it."""
        for _ in range(600):
            if text in (found := await self.html()):
                return found
            await asyncio.sleep(0.1)
        raise AssertionError(f"{text} is not shown: {found[:2000]}")

    async def type_and_enter(self, text: str) -> None:
        await self.call("Input.insertText", text=text)
        for kind in ("keyDown", "keyUp"):
            await self.call("Input.dispatchKeyEvent", type=kind, key="Enter", windowsVirtualKeyCode=13, text="\r")


@asynccontextmanager
async def browser(home: Path) -> AsyncIterator[Browser]:
    assert CHROMIUM is not None
    process = await asyncio.create_subprocess_exec(
        CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
        "--disable-extensions", "--disable-background-networking", f"--user-data-dir={home / 'profile'}",
        "--remote-debugging-port=0", "about:blank",
        stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    try:
        note = home / "profile" / "DevToolsActivePort"
        await until(lambda: note.exists() and note.read_text().strip(), "the browser")
        port = note.read_text().splitlines()[0]
        async with aiohttp.ClientSession() as http:
            async with http.get(f"http://127.0.0.1:{port}/json/list") as answer:
                (page,) = [item for item in await answer.json() if item["type"] == "page"]
            async with http.ws_connect(page["webSocketDebuggerUrl"], max_msg_size=0) as socket:
                yield Browser(socket)
    finally:
        process.kill()
        await process.wait()


@pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")
async def test_the_page_in_a_browser_without_javascript(url: str, tmp_path: Path) -> None:
    async with receiving() as receiver:
        section = {
            "admin_token": "env:PAGE",
            "sources": {"orders": {"scheme": "github", "secrets": ["env:HOOK_SECRET"], "to": ["there"]}},
            "destinations": {"there": {"url": receiver.url}},
        }
        async with serving(url, tmp_path, section) as served, browser(tmp_path) as page:
            await served.send("orders", b"{}", "github", x_github_event=EVIL)
            await until(lambda: receiver.took)
            for domain in ("Page", "DOM", "Log"):
                await page.call(f"{domain}.enable")
            await page.call("Emulation.setScriptExecutionDisabled", value=True)
            await page.call(
                "Emulation.setDeviceMetricsOverride", width=400, height=800, deviceScaleFactor=1, mobile=False
            )  # fmt: skip
            await page.call("Page.navigate", url=f"{served.admin}/")
            assert "orders" not in await page.shows('name="token"')
            await page.type_and_enter("page-canary-1")
            shown = await page.shows("orders")
            assert "&lt;script&gt;" in shown
            size = (await page.call("Page.getLayoutMetrics"))["cssContentSize"]
            assert size["width"] <= 400
            root = (await page.call("DOM.getDocument", depth=0))["root"]["nodeId"]
            button = (await page.call("DOM.querySelector", nodeId=root, selector="table button"))["nodeId"]
            await page.call("DOM.focus", nodeId=button)
            await page.type_and_enter("")
            await until(lambda: len(receiver.took) == 2, "the second delivery")
            assert page.console == []
