"""A webhook server on free ports in the test's own loop, the instance behind it, and a receiver of its calls."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import hmac
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from aiohttp import web

from difyops.api.instance import ConnectOptions, Instance, connect
from difyops.config import Context
from difyops.secret_text import SecretText
from difyops.webhook.reaching import Instances
from difyops.webhook.rules import EventSource, WebhookRules, rules_of
from difyops.webhook.serve import Request, Running, serve
from difyops.webhook.testing import signed

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
SECRETS = {"HOOK_SECRET": SECRET, "RIGHT": "Passw0rd!1", "CALLER_TOKEN": "caller-token-canary", "PAGE": "page-canary-1"}


@dataclass
class Served:
    """A server that runs: where it is, and its file."""

    url: str
    admin: str
    state: Path
    http: httpx.AsyncClient
    task: asyncio.Task[int]

    async def send(self, source: str, body: bytes, scheme: str = "standard", **headers: str) -> httpx.Response:
        """Send one signed event."""
        made = EventSource(name=source, scheme=scheme, secrets=("env:HOOK_SECRET",), to=("x",))
        head = dict(signed(made, SecretText(SECRET), body)) | {name.replace("_", "-"): v for name, v in headers.items()}
        return await self.http.post(f"{self.url}/in/{source}", content=body, headers=head)

    async def run(self, app: str, key: str, **body: Any) -> httpx.Response:
        """Run an app and read the whole answer."""
        head = {"authorization": f"Bearer {key}"}
        return await self.http.post(f"{self.url}/run/{app}", json=body, headers=head, timeout=60)


def contexts(url: str) -> Callable[[str | None], Context]:
    """Return what names the one instance."""
    return lambda _: Context(name="t", url=url, email="admin@example.com", password="env:RIGHT")


def instances(url: str, state: Path) -> Instances:
    """Return the connections to an instance."""
    context = contexts(url)

    @asynccontextmanager
    async def opened(name: str | None) -> AsyncIterator[Instance]:
        instance = await connect(context(name), ConnectOptions(state=state))
        try:
            yield instance
        finally:
            await instance.close()

    return Instances(open=opened, context=context, most=50)


@asynccontextmanager
async def serving(
    url: str, state: Path, section: dict[str, Any] | Callable[[], WebhookRules], behind: Instances | None = None
) -> AsyncIterator[Served]:
    """Serve the rules; the ports are free ones. ``behind``: another instance than the emulator at ``url``."""
    ready: asyncio.Future[Running] = asyncio.get_running_loop().create_future()

    def read() -> WebhookRules:
        if callable(section):
            return section()
        return rules_of({"listen": "127.0.0.1:0", "admin": "127.0.0.1:0", "drain": "1s", **section})

    request = Request(state=state, read=read, instances=behind or instances(url, state), ready=ready.set_result)
    task = asyncio.create_task(serve(request))
    await asyncio.wait([task, ready], return_when=asyncio.FIRST_COMPLETED)  # type: ignore[type-var]
    if task.done():
        task.result()
    running = await ready
    async with httpx.AsyncClient(timeout=30) as http:
        try:
            yield Served(running.listen, running.admin or "", state, http, task)
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task


@dataclass
class Receiver:
    """Takes calls back as people's receivers do. ``answers`` are given one after the other, then 200."""

    url: str = ""
    answers: list[web.Response] = field(default_factory=list)
    took: list[tuple[dict[str, str], bytes]] = field(default_factory=list)

    async def take(self, request: web.Request) -> web.StreamResponse:
        self.took.append(({name.lower(): value for name, value in request.headers.items()}, await request.read()))
        return self.answers.pop(0) if self.answers else web.Response(text="ok")

    @property
    def ids(self) -> list[str]:
        return [head["webhook-id"] for head, _ in self.took]


@asynccontextmanager
async def receiving() -> AsyncIterator[Receiver]:
    """Listen for calls back."""
    receiver = Receiver()
    application = web.Application()
    application.router.add_post("/{rest:.*}", receiver.take)
    runner = web.AppRunner(application)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    receiver.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield receiver
    finally:
        await runner.cleanup()


def recipes_receiver(secret: str, headers: dict[str, str], body: bytes) -> bool:
    """Do what the known Flask recipe does with a call."""
    wanted = "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    return hmac.compare_digest(wanted, headers.get("dify-signature", ""))


class Gate:
    """A way to another server that can be closed, and opened again at the same address."""

    def __init__(self, url: str) -> None:
        self._port, self._own = int(url.rpartition(":")[2]), 0
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._own}"

    async def open(self) -> None:
        self._server = await asyncio.start_server(self._passed, "127.0.0.1", self._own)
        self._own = self._server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        if self._server is not None:
            self._server.close()
        for writer in self._writers:
            writer.transport.abort()
        await asyncio.sleep(0)

    async def _passed(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, onward = await asyncio.open_connection("127.0.0.1", self._port)
        self._writers |= {writer, onward}
        await asyncio.gather(self._pumped(reader, onward), self._pumped(there, writer))

    async def _pumped(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while piece := await reader.read(65536):
                writer.write(piece)
        writer.close()


@asynccontextmanager
async def gate_to(url: str) -> AsyncIterator[Gate]:
    """Open a way to a server."""
    gate = Gate(url)
    await gate.open()
    try:
        yield gate
    finally:
        await gate.close()
