"""A server that costs nearly nothing: answers runs with a short stream after a delay, counts what is in flight.

Run as ``python raw_server.py [SECONDS]``; it prints its port. A broken target is one whose key says how it breaks:
``app-reset-1``, ``app-hang-1``, ``app-fail-1`` (400), ``app-error-1`` (503), ``app-half-1``.
"""

from __future__ import annotations

import asyncio
import json
import sys

DELAY = 0.2
FORM = json.dumps(
    {"user_input_form": [{"paragraph": {"variable": "text", "label": "text", "required": True}}]}
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


class Counts:
    """Runs seen, in flight now, and the most at once."""

    runs = 0
    now = 0
    most = 0


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
            body = json.dumps({"runs": Counts.runs, "now": Counts.now, "most": Counts.most}).encode()
            Counts.runs = Counts.most = 0
            self.transport.write(_plain(b"200 OK", body))
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
    asyncio.run(main(float(sys.argv[1]) if len(sys.argv) > 1 else DELAY))
