"""A server that costs nearly nothing: answers runs with a short stream after a delay, counts what is in flight.

Run as ``python raw_server.py [SECONDS [APPS]]``; it prints its port. A broken target is one whose key says how it
breaks: ``app-reset-1``, ``app-hang-1``, ``app-fail-1`` (400), ``app-error-1`` (503), ``app-half-1``. With APPS it has a
console, too: the list of so many workflow apps and one key for each, answered at once.
"""

from __future__ import annotations

import asyncio
import json
import re
import sys
import time

DELAY = 0.2
FORM = json.dumps(
    {"user_input_form": [{"paragraph": {"variable": "text", "label": "text", "required": True}}]}
).encode()

NOTHING = b'{"data": []}'
DOCUMENT = json.dumps(
    {
        "id": "00000000-0000-4000-8000-000000000001",
        "graph": {
            "nodes": [
                {"id": str(number), "data": {"type": kind, "title": kind, "text": "The question is answered. " * 20}}
                for number, kind in enumerate(("start", "llm", "http-request", "end"))
            ],
            "edges": [{"source": str(number), "target": str(number + 1)} for number in range(3)],
        },
        "features": {},
        "hash": "0" * 64,
        "version": "2026-01-01 00:00:00",
        "environment_variables": [{"id": "1", "name": "API_TOKEN", "value_type": "secret", "value": "[__HIDDEN__]"}],
        "conversation_variables": [],
        "created_at": 1_700_000_000,
    }
).encode()


def _event(name: str, **more: object) -> bytes:
    return (
        b"data: " + json.dumps({"event": name, "task_id": "t-1", "workflow_run_id": "r-1", **more}).encode() + b"\n\n"
    )


FIRST = b"event: ping\n\n" + _event("workflow_started", data={"id": "r-1"})
LAST = _event("text_chunk", data={"text": "Four agents are well."}) + _event(
    "workflow_finished",
    data={"status": "succeeded", "outputs": {"answer": "Four agents are well."}, "total_tokens": 12},
)
HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"


def _chunk(content: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(content), content)


def _plain(status: bytes, content: bytes) -> bytes:
    return b"HTTP/1.1 %s\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%s" % (
        status,
        len(content),
        content,
    )


class Fleet:
    """The apps of the console: their rows in pages of a hundred, and the place of each by its id."""

    rows: tuple[dict[str, object], ...] = ()
    keys: dict[bytes, bytes] = {}  # noqa: RUF012 - filled once, before anybody calls

    @classmethod
    def fill(cls, apps: int) -> None:
        ids = [f"{number:08x}-0000-4000-8000-000000000000" for number in range(apps)]
        cls.rows = tuple(
            {
                "id": one,
                "name": f"agent {number}",
                "description": "",
                "mode": "workflow",
                "tags": [],
                "workflow": {"id": one},
                "created_at": 1_700_000_000,
                "updated_at": 1_700_000_000,
            }
            for number, one in enumerate(ids)
        )
        for number, one in enumerate(ids):
            row = {"id": one, "type": "app", "token": f"app-{number:024d}", "last_used_at": None, "created_at": 1}
            cls.keys[one.encode()] = json.dumps({"data": [row]}).encode()

    @classmethod
    def page(cls, number: int, limit: int) -> bytes:
        start = (number - 1) * limit
        found = cls.rows[start : start + limit]
        more = start + limit < len(cls.rows)
        return json.dumps(
            {"page": number, "limit": limit, "total": len(cls.rows), "has_more": more, "data": found}
        ).encode()


class Counts:
    """Runs and calls seen, runs in flight now, and the most at once."""

    runs = 0
    calls = 0
    now = 0
    most = 0


def _counted() -> bytes:
    """Return the counts since the last look, and the CPU seconds of this process."""
    body = {"runs": Counts.runs, "calls": Counts.calls, "now": Counts.now, "most": Counts.most}
    Counts.runs = Counts.most = Counts.calls = 0
    return json.dumps({**body, "cpu": time.process_time()}).encode()


def _console(path: bytes) -> bytes:
    """Return what the console answers to a GET."""
    if path.endswith(b"/api-keys"):
        return Fleet.keys.get(path.split(b"/")[-2], NOTHING)
    if path.endswith(b"/workflows/publish"):
        return DOCUMENT
    if path.endswith(b"/model-providers"):
        return NOTHING
    if path.endswith(b"/tool-providers"):
        return b"[]"
    if path.startswith(b"/console/api/apps"):
        query = {name: int(value) for name, value in re.findall(rb"(page|limit)=(\d+)", path)}
        return Fleet.page(query.get(b"page", 1), query.get(b"limit", 20))
    return b'{"step": "finished", "setup_at": "2026-01-01T00:00:00"}'


class Raw(asyncio.Protocol):
    """One connection."""

    def __init__(self, delay: float) -> None:
        self.delay = delay
        self.buffer = b""
        self.flying = False
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def connection_lost(self, _: Exception | None) -> None:
        self.land()
        self.transport = None

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        while b"\r\n\r\n" in self.buffer:
            head, _, rest = self.buffer.partition(b"\r\n\r\n")
            length = next(
                (int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")), 0
            )
            if len(rest) < length:
                return
            self.buffer = rest[length:]
            self.serve(head)

    def serve(self, head: bytes) -> None:
        assert self.transport is not None
        if head.startswith(b"GET /__counts"):
            self.transport.write(_plain(b"200 OK", _counted()))
            return
        Counts.calls += 1
        if head.startswith(b"GET /console/api/"):
            self.transport.write(_plain(b"200 OK", _console(head.split(b" ", 2)[1])))
        elif head.startswith(b"GET"):
            self.transport.write(_plain(b"200 OK", FORM))
        elif b"/stop" in head.split(b"\r\n", 1)[0]:
            self.transport.write(_plain(b"200 OK", b'{"result":"success"}'))
        else:
            self.run(head)

    def run(self, head: bytes) -> None:
        assert self.transport is not None
        Counts.runs += 1
        Counts.now += 1
        Counts.most = max(Counts.most, Counts.now)
        self.flying = True
        if b"app-reset" in head:
            self.transport.abort()
        elif b"app-fail" in head:
            self.land()
            self.transport.write(_plain(b"400 BAD REQUEST", b'{"code":"invalid_param","message":"no","status":400}'))
        elif b"app-error" in head:
            self.land()
            self.transport.write(_plain(b"503 Busy", b'{"code":"busy","message":"no","status":503}'))
        elif b"app-hang" not in head:
            self.transport.write(HEAD + _chunk(FIRST))
            asyncio.get_running_loop().call_later(self.delay, self.finish, b"app-half" in head)

    def finish(self, half: bool) -> None:
        self.land()
        if self.transport is not None:
            self.transport.write(_chunk(LAST[: len(LAST) // 2]) if half else _chunk(LAST) + b"0\r\n\r\n")
            if half:
                self.transport.close()

    def land(self) -> None:
        if self.flying:
            Counts.now -= 1
            self.flying = False


async def main(delay: float) -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Raw(delay), "127.0.0.1", 0, backlog=4096)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    Fleet.fill(int(sys.argv[2]) if len(sys.argv) > 2 else 0)
    asyncio.run(main(float(sys.argv[1]) if len(sys.argv) > 1 else DELAY))
