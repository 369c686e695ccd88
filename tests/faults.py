"""Servers on real loopback sockets that misbehave on purpose: down, silent, slow, cut off, garbled, storming.

Each runs in a thread of its own, so that tests with and without an event loop, and child processes, can call it. It
records what it was asked and how much was in flight at once.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import ssl
import struct
import subprocess
import threading
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One request as it came, and its number, counted from 1."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    number: int


Behaviour = Callable[[Asked, asyncio.StreamWriter], Awaitable[None]]


@dataclass(slots=True)
class Served:
    """A server that listens: where, what it was asked, the most requests it worked on at once."""

    url: str
    asked: list[Asked] = field(default_factory=list)
    now: int = 0
    most: int = 0

    def calls(self, method: str, path: str = "") -> int:
        """Count requests by method and the start of their path."""
        return sum(item.method == method and item.path.startswith(path) for item in list(self.asked))


def answer(status: int = 200, body: Any = None, **headers: str) -> Behaviour:
    """Answer every request alike; ``body`` is JSON unless it is bytes. ``retry_after`` becomes ``Retry-After``."""

    async def behave(asked: Asked, writer: asyncio.StreamWriter) -> None:
        writer.write(whole(status, body, **headers))

    return behave


def whole(status: int, body: Any = None, **headers: str) -> bytes:
    """Return the bytes of a complete answer."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    fields = {"content-type": "application/json", "content-length": str(len(content)), "connection": "close"}
    fields |= {"x-version": "1.13.0"}
    fields |= {name.replace("_", "-"): value for name, value in headers.items()}
    head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    return f"HTTP/1.1 {status} Said\r\n{head}\r\n".encode() + content


def in_turn(*behaviours: Behaviour) -> Behaviour:
    """Behave differently from request to request; the last behaviour stays."""

    async def behave(asked: Asked, writer: asyncio.StreamWriter) -> None:
        await behaviours[min(asked.number, len(behaviours)) - 1](asked, writer)

    return behave


def by_path(routes: dict[str, Behaviour], other: Behaviour) -> Behaviour:
    """Behave by the start of the path."""

    async def behave(asked: Asked, writer: asyncio.StreamWriter) -> None:
        found = next((item for path, item in routes.items() if asked.path.startswith(path)), other)
        await found(asked, writer)

    return behave


async def reset(asked: Asked, writer: asyncio.StreamWriter) -> None:
    """Drop the connection with a TCP reset instead of an answer."""
    taken: socket.socket = writer.get_extra_info("socket")
    taken.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


async def hang(asked: Asked, writer: asyncio.StreamWriter) -> None:
    """Say nothing for ten minutes."""
    await asyncio.sleep(600)


async def cut(asked: Asked, writer: asyncio.StreamWriter) -> None:
    """Promise a hundred bytes, send ten, hang up."""
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n" + b'{"data": 1')


async def drip(asked: Asked, writer: asyncio.StreamWriter) -> None:
    """Send a byte every twentieth of a second, for ever."""
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 100000\r\n\r\n")
    while True:
        writer.write(b" ")
        await writer.drain()
        await asyncio.sleep(0.05)


def after(seconds: float, behaviour: Behaviour) -> Behaviour:
    """Behave after a while."""

    async def behave(asked: Asked, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(seconds)
        await behaviour(asked, writer)

    return behave


def raw(content: bytes) -> Behaviour:
    """Send these bytes, whatever they are, and hang up."""

    async def behave(asked: Asked, writer: asyncio.StreamWriter) -> None:
        writer.write(content)

    return behave


@contextlib.contextmanager
def serving(behaviour: Behaviour, *, tls: ssl.SSLContext | None = None) -> Iterator[Served]:
    """Listen on a free loopback port and behave like that."""
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    served = Served(f"{'https' if tls else 'http'}://127.0.0.1:{port}")
    loop = asyncio.new_event_loop()
    ready = threading.Event()

    async def connection(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            with contextlib.suppress(OSError, asyncio.IncompleteReadError, ValueError, IndexError):
                await _one(served, behaviour, reader, writer)
        except asyncio.CancelledError:  # at the end: what was not sent is not waited for
            writer.transport.abort()
            raise
        with contextlib.suppress(OSError):
            writer.close()

    async def main() -> None:
        server = await asyncio.start_server(connection, sock=listener, ssl=tls)
        ready.set()
        with contextlib.suppress(asyncio.CancelledError):
            await stopped
        server.close()  # and no waiting: some connections stand still for ever

    stopped: asyncio.Future[None] = loop.create_future()
    loop.set_exception_handler(lambda _loop, _context: None)
    thread = threading.Thread(target=_drive, args=(loop, main()), daemon=True)
    thread.start()
    ready.wait(60)
    try:
        yield served
    finally:
        loop.call_soon_threadsafe(stopped.cancel)
        thread.join(60)


def _drive(loop: asyncio.AbstractEventLoop, main: Any) -> None:
    asyncio.set_event_loop(loop)
    try:
        loop.run_until_complete(main)
    finally:
        tasks = asyncio.all_tasks(loop)
        for task in tasks:
            task.cancel()
        loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
        loop.run_until_complete(asyncio.sleep(0.01))
        loop.close()


async def _one(
    served: Served, behaviour: Behaviour, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    start = await reader.readexactly(1)
    if start == b"\x16":  # the hello of a TLS client
        writer.write(whole(400, b"Bad Request", content_type="text/plain"))
        return
    head = (start + await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    first, *lines = head.strip().split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    asked = Asked(
        method=first.split()[0], path=first.split()[1], headers=headers, body=body, number=len(served.asked) + 1
    )
    served.asked.append(asked)
    served.now += 1
    served.most = max(served.most, served.now)
    try:
        await behaviour(asked, writer)
        if not writer.is_closing():
            await writer.drain()
    finally:
        served.now -= 1


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


def certificate(folder: Path, *, name: str = "IP:127.0.0.1", days: int = 2) -> tuple[Path, Path] | None:
    """Make a self-signed certificate with the ``openssl`` program: (certificate, key), or None without it."""
    cert, key = folder / "cert.pem", folder / "key.pem"
    words = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", str(key), "-out", str(cert)]
    words += ["-days", str(days), "-subj", "/CN=127.0.0.1", "-addext", f"subjectAltName={name}"]
    try:
        done = subprocess.run(words, capture_output=True, check=False, timeout=60)
    except FileNotFoundError:
        return None
    return (cert, key) if done.returncode == 0 else None


def tls_with(files: tuple[Path, Path]) -> ssl.SSLContext:
    """Return the server's side of TLS with this certificate and key."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*files)
    return context
