"""A server on a real socket whose agents behave as their keys say: ``app-good-7``, ``app-hang-1``, ``app-half-2``."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from difyops.api.model import App
from difyops.api.run_transport import RunTransport, run_transport
from difyops.broadcast.engine import AnswerEnded, EngineOptions, Event, broadcast
from difyops.broadcast.plan import BroadcastPlan, Member, Wishes, make_plan
from difyops.broadcast.runner import Reach, RunOptions
from difyops.config import Context
from difyops.errors import CredentialError
from difyops.fanout import Halt
from difyops.secret_text import SecretText

TEXT_FORM = [{"paragraph": {"variable": "text", "label": "text", "required": True}}]
REFUSALS = {
    "limit": (400, "invalid_param", "Too many requests. The current maximum concurrent requests allowed for app is 1."),
    "auth": (400, "completion_request_error", "Incorrect API key provided"),
    "rate": (400, "completion_request_error", "[openai] Rate Limit Error, Error code: 429 - rate_limit_exceeded"),
    "quota": (400, "provider_quota_exceeded", "Your quota for Dify Hosted Provider has been exhausted."),
    "input": (400, "invalid_param", "text is required in input form"),
    "unpublished": (400, "invalid_param", "Workflow not published"),
    "provider": (400, "provider_not_initialize", "Model provider credentials is not initialized."),
    "daemon": (400, "invalid_param", "Failed to request plugin daemon, url: plugin/x"),
    "nokey": (401, "unauthorized", "Access token is invalid"),
    "disabled": (403, "forbidden", "The API service has been disabled"),
    "busy": (503, "busy", "no"),
    "always429": (429, "too_many_requests", "slow down"),
}  # fmt: skip
BIG = "x" * 5_000_000
NASTY = "\x1b[31mred\x1b[0m [bold]not bold[/bold] \u2028 line \u202e back"


def event(name: str, **more: Any) -> bytes:
    """Return one line of a stream."""
    return b"data: " + json.dumps({"event": name, **more}, ensure_ascii=False).encode() + b"\n\n"


@dataclass
class AgentServer:
    """What happened: runs per key, stopped task ids, runs in flight and the most at once."""

    delay: float = 0.05
    runs: Counter[str] = field(default_factory=Counter)
    stopped: list[str] = field(default_factory=list)
    bodies: list[dict[str, Any]] = field(default_factory=list)
    forms: Counter[str] = field(default_factory=Counter)
    form: list[dict[str, Any]] = field(default_factory=lambda: list(TEXT_FORM))
    now: int = 0
    most: int = 0
    url: str = ""
    open: set[asyncio.StreamWriter] = field(default_factory=set, repr=False)

    @contextlib.asynccontextmanager
    async def listening(self) -> AsyncIterator[AgentServer]:
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0, backlog=2048)
        self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        try:
            yield self
        finally:
            server.close()
            for writer in self.open:
                writer.transport.abort()
            await asyncio.sleep(0)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.open.add(writer)
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            while head := await _head(reader):
                length = re.search(rb"content-length: (\d+)", head, re.IGNORECASE)
                body = await reader.readexactly(int(length[1])) if length else b""
                await self._answer(head.decode(), body, reader, writer)
        self.open.discard(writer)
        writer.close()

    async def _answer(self, head: str, body: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        line = head.split("\r\n")[0]
        found = re.search(r"authorization: bearer (\S+)", head, re.IGNORECASE)
        key = found[1] if found else ""
        if stop := re.search(r"/([^/]+)/stop ", line):
            self.stopped.append(stop[1])
            _whole(writer, 200, {"result": "success"})
        elif "/v1/parameters" in line:
            self.forms[key] += 1
            _whole(writer, 200, {"user_input_form": self.form})
        elif "/files/upload" in line:
            _whole(writer, 201, {"id": f"file-{len(body)}"})
        else:
            self.runs[key] += 1
            self.bodies.append(json.loads(body))
            self.now += 1
            self.most = max(self.most, self.now)
            try:
                await self._run(key, reader, writer)
            finally:
                self.now -= 1
        await writer.drain()

    async def _run(self, key: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        kind = key.split("-")[1]
        if kind in REFUSALS:
            status, code, message = REFUSALS[kind]
            _whole(writer, status, {"code": code, "message": message, "status": status})
            return
        if kind == "later" and self.runs[key] == 1:
            _whole(writer, 429, {"code": "too_many_requests", "message": "later"}, more="Retry-After: 0\r\n")
            return
        behave: Callable[..., Awaitable[None]] = getattr(self, f"_do_{kind}")
        await behave(key, reader, writer)

    async def _do_good(self, key: str, _: Any, writer: asyncio.StreamWriter, text: str = "fine") -> None:
        _open(writer)
        _send(writer, b"event: ping\n\n" + event("workflow_started", task_id=f"task-{key}", workflow_run_id="r"))
        await writer.drain()
        await asyncio.sleep(self.delay)
        _send(writer, event("text_chunk", task_id=f"task-{key}", data={"text": text[:50]}))
        done = {"status": "succeeded", "outputs": {"answer": text}, "total_tokens": 10}
        _send(writer, event("workflow_finished", task_id=f"task-{key}", data=done))
        writer.write(b"0\r\n\r\n")

    _do_later = _do_good

    async def _do_big(self, key: str, reader: Any, writer: asyncio.StreamWriter) -> None:
        await self._do_good(key, reader, writer, BIG)

    async def _do_nasty(self, key: str, reader: Any, writer: asyncio.StreamWriter) -> None:
        await self._do_good(key, reader, writer, NASTY)

    async def _do_slow(self, key: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Start, say a word, then work until the client goes away or ten seconds are over."""
        _open(writer)
        _send(writer, event("workflow_started", task_id=f"task-{key}") + event("text_chunk", data={"text": "half an "}))
        await writer.drain()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(reader.read(1), 10)
        raise ConnectionResetError

    async def _do_once(self, key: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await (self._do_slow if self.runs[key] == 1 else self._do_good)(key, reader, writer)

    async def _do_hang(self, _: str, reader: asyncio.StreamReader, __: Any) -> None:
        await reader.read(1)
        raise ConnectionResetError

    async def _do_silent(self, key: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        _open(writer)
        _send(writer, b"event: ping\n\n" + event("workflow_started", task_id=f"task-{key}"))
        await self._do_hang(key, reader, writer)

    async def _do_reset(self, _: str, __: Any, writer: asyncio.StreamWriter) -> None:
        writer.transport.abort()
        raise ConnectionResetError

    async def _do_half(self, key: str, _: Any, writer: asyncio.StreamWriter) -> None:
        _open(writer)
        _send(writer, event("workflow_started", task_id=f"task-{key}") + event("text_chunk", data={"text": "half an "}))
        _send(writer, event("workflow_finished", data={"status": "succeeded"})[:30])
        await writer.drain()
        raise ConnectionResetError

    async def _do_early(self, key: str, _: Any, writer: asyncio.StreamWriter) -> None:
        """End in good order, without a result."""
        _open(writer)
        _send(writer, event("workflow_started", task_id=f"task-{key}"))
        writer.write(b"0\r\n\r\n")

    async def _do_garbage(self, _: str, __: Any, writer: asyncio.StreamWriter) -> None:
        _open(writer)
        _send(writer, b"data: <<<not json>>>\n\n")
        writer.write(b"0\r\n\r\n")

    async def _do_html(self, _: str, __: Any, writer: asyncio.StreamWriter) -> None:
        page = b"<html>welcome</html>"
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: %d\r\n\r\n%s" % (len(page), page))

    async def _do_failing(self, key: str, _: Any, writer: asyncio.StreamWriter) -> None:
        _open(writer)
        message = "[openai] Server Unavailable Error, Error code: 503"
        _send(writer, event("error", task_id=f"task-{key}", code="completion_request_error", message=message))
        writer.write(b"0\r\n\r\n")


async def _head(reader: asyncio.StreamReader) -> bytes:
    try:
        return await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError:
        return b""


def _open(writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n")


def _send(writer: asyncio.StreamWriter, content: bytes) -> None:
    writer.write(b"%x\r\n%s\r\n" % (len(content), content))


def _whole(writer: asyncio.StreamWriter, status: int, body: Any, more: str = "") -> None:
    content = json.dumps(body).encode()
    head = f"HTTP/1.1 {status} X\r\ncontent-type: application/json\r\ncontent-length: {len(content)}\r\n{more}\r\n"
    writer.write(head.encode() + content)


def plan_for(kinds: Sequence[str], *, question: str = "Are you well?", repeatable: bool = False) -> BroadcastPlan:
    """Return a plan with one workflow app per kind: ``["good", "hang"]``."""
    apps = [App(id=f"app-{kind}-{number}", name=f"{kind} {number}", mode="workflow", live_version="v")
            for number, kind in enumerate(kinds)]  # fmt: skip
    return make_plan(question, [Member(selector="all")], {"here": apps}, Wishes(repeatable=repeatable))


def options(
    *,
    silence: float = 5.0,
    tries: int = 3,
    hedge_after: float | None = None,
    max_in_flight: int = 1000,
    timeout: float = 5.0,
    deadline: float | None = None,
    wait: int | None = None,
    max_tokens: int | None = None,
) -> EngineOptions:
    """Return engine options with short times."""
    return EngineOptions(
        run=RunOptions(user="tester", silence=silence, tries=tries, hedge_after=hedge_after),
        max_in_flight=max_in_flight,
        start=max_in_flight,
        timeout=timeout,
        deadline=deadline,
        wait=wait,
        max_tokens=max_tokens,
    )


async def key_of(app: App) -> SecretText:
    """Return the app's id as its key; an app called ``keyless`` has none."""
    if app.name.startswith("keyless"):
        raise CredentialError("The app has no API key.")
    return SecretText(app.id)


@contextlib.asynccontextmanager
async def reach(url: str, silence: float = 5.0) -> AsyncIterator[dict[str, Reach]]:
    """Hand out the way to the server, as context ``here``."""
    transport: RunTransport = run_transport(Context(name="here", url=url), limit=2100, silence=silence)
    try:
        yield {"here": Reach(transport=transport, key_of=key_of)}
    finally:
        await transport.close()


async def ask(
    server: AgentServer, plan: BroadcastPlan, engine: EngineOptions | None = None, halt: Halt | None = None
) -> list[Event]:
    """Carry out a plan and return all events."""
    engine = engine or options()
    async with reach(server.url, engine.run.silence) as reaches:
        return [item async for item in broadcast(plan, reaches, engine, halt=halt)]


def ends(events: Sequence[Event]) -> dict[str, Any]:
    """Return the answers by the kind of their agent; kinds must be unique."""
    return {item.answer.app.split()[0]: item.answer for item in events if isinstance(item, AnswerEnded)}
