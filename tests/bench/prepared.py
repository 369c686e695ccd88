"""Instances that cost nearly nothing: every answer is asked of an emulator once, kept as bytes, and sent after a delay.

``python -m tests.bench.prepared INSTANCES APPS SECONDS`` runs all of them in one process, each on a port of its own. It
prints where they are and how to log in, and ends with its input. ``/__counts`` of any port tells what was asked.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import subprocess
import sys
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from difyops.emulator import Emulator

ROOT = Path(__file__).parents[2]
_KEPT = frozenset({b"content-type", b"set-cookie", b"x-version"})


class Prepared:
    """One instance: what it answers to each request, and how often each was asked."""

    def __init__(self, apps: int, seed: int) -> None:
        self.emulator = Emulator(apps=apps, seed=seed)
        self.emulator.warm()
        self.answers: dict[bytes, bytes] = {}
        self.asked: Counter[str] = Counter()

    async def answer(self, head: bytes, body: bytes) -> bytes:
        """Return the whole answer to a request; what is read is computed once, and so is a login."""
        line, _, rest = head.partition(b"\r\n")
        method, path, _ = line.split(b" ", 2)
        self.asked[f"{method.decode()} {path.decode()}"] += 1
        key = line + body
        found = self.answers.get(key)
        if found is None:
            found = await self._of_emulator(method, path, rest, body)
            if found.startswith(b"HTTP/1.1 2") and (method == b"GET" or path.endswith(b"/login")):
                self.answers[key] = found
        return found

    async def _of_emulator(self, method: bytes, path: bytes, rest: bytes, body: bytes) -> bytes:
        target, _, query = path.partition(b"?")
        headers = [(name.lower(), value) for name, _, value in (line.partition(b": ") for line in rest.split(b"\r\n"))]
        scope = {
            "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": method.decode(),
            "scheme": "http", "path": target.decode(), "raw_path": target, "query_string": query, "root_path": "",
            "headers": headers, "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 80),
        }  # fmt: skip
        sent: list[dict[str, Any]] = []

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message: Any) -> None:
            sent.append(message)

        await self.emulator.app(scope, receive, send)
        content = b"".join(message.get("body", b"") for message in sent)
        kept = b"".join(b"%s: %s\r\n" % pair for pair in sent[0]["headers"] if pair[0].lower() in _KEPT)
        return b"HTTP/1.1 %d OK\r\n%scontent-length: %d\r\n\r\n%s" % (sent[0]["status"], kept, len(content), content)


class Connection(asyncio.Protocol):
    """One connection to one instance."""

    def __init__(self, prepared: Prepared, delay: float, everything: list[Prepared]) -> None:
        self.prepared, self.delay, self.everything = prepared, delay, everything
        self.buffer = b""
        self.transport: asyncio.Transport | None = None
        self.at_work: set[asyncio.Task[None]] = set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def connection_lost(self, _: Exception | None) -> None:
        self.transport = None

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        head, end, rest = self.buffer.partition(b"\r\n\r\n")
        if not end:
            return
        lines = head.lower().split(b"\r\n")
        length = next((int(line[15:]) for line in lines if line.startswith(b"content-length:")), 0)
        if len(rest) < length:
            return
        self.buffer = rest[length:]
        if head.startswith(b"GET /__counts"):
            counts = [item.asked for item in self.everything]
            body = json.dumps({"cpu": time.process_time(), "asked": counts}).encode()
            self.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%s" % (len(body), body))
            return
        task = asyncio.ensure_future(self.serve(head, rest[:length]))
        self.at_work.add(task)
        task.add_done_callback(self.at_work.discard)

    async def serve(self, head: bytes, body: bytes) -> None:
        answer = await self.prepared.answer(head, body)
        asyncio.get_running_loop().call_later(self.delay, self.write, answer)

    def write(self, content: bytes) -> None:
        if self.transport is not None:
            self.transport.write(content)


async def serve(instances: int, apps: int, delay: float) -> None:
    """Listen on a port each until the input ends."""
    loop = asyncio.get_running_loop()
    everything = [Prepared(apps, seed + 1) for seed in range(instances)]
    where = []
    for item in everything:

        def connected(item: Prepared = item) -> Connection:
            return Connection(item, delay, everything)

        server = await loop.create_server(connected, "127.0.0.1", 0, backlog=256)
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        item.emulator.instance.base_url = url
        where.append({"url": url, "email": item.emulator.email, "password": item.emulator.password})
    print(json.dumps(where), flush=True)
    await loop.run_in_executor(None, sys.stdin.read)


@contextlib.contextmanager
def prepared(instances: int, apps: int, delay: float) -> Iterator[list[dict[str, str]]]:
    """Run them in a process of its own; yield where each is and how to log in."""
    words = [sys.executable, "-m", "tests.bench.prepared", str(instances), str(apps), str(delay)]
    process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT)
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        yield json.loads(process.stdout.readline())
    finally:
        process.stdin.close()
        process.wait(60)


def counted(url: str) -> tuple[float, list[Counter[str]]]:
    """Return the CPU seconds of the process so far, and what each instance was asked, how often."""
    with urllib.request.urlopen(f"{url}/__counts", timeout=60) as answer:
        found = json.load(answer)
    return float(found["cpu"]), [Counter(item) for item in found["asked"]]


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])))
