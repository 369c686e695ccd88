"""The emulator on a socket: loopback only, and only for requests whose Host header is loopback too.

The second check, with one of the Origin header, keeps web pages in a browser from reaching it.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import socket
import threading
from collections.abc import Iterator

import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send

from difyops.emulator import shapes
from difyops.errors import UsageError

_START_SECONDS = 60.0


def is_loopback(host: str) -> bool:
    """Tell whether ``host`` (a name or an address, with or without brackets) is this machine."""
    name = host.strip("[]").lower()
    if name == "localhost":
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def check_loopback(host: str) -> None:
    """Refuse to listen anywhere but on loopback.

    Raises:
        UsageError: ``host`` is not loopback.
    """
    if not is_loopback(host):
        raise UsageError(f"The emulator listens on loopback only, not on {host}.", hint="Use 127.0.0.1 or ::1.")


def guarded(app: ASGIApp) -> ASGIApp:
    """Return ``app`` behind a check of Host and Origin: anything but loopback is 403."""

    async def guard(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and not _is_from_here(scope):
            body = {"code": "forbidden", "message": "The emulator answers loopback hosts only.", "status": 403}
            await shapes.answer(body, 403)(scope, receive, send)
            return
        await app(scope, receive, send)

    return guard


def _is_from_here(scope: Scope) -> bool:
    headers = {name: value.decode("latin-1") for name, value in scope["headers"]}
    origin = headers.get(b"origin")
    own = origin is None or is_loopback(_host_of(origin.partition("://")[2]))
    return own and is_loopback(_host_of(headers.get(b"host", "")))


def _host_of(text: str) -> str:
    return text if text.endswith("]") else text.rpartition(":")[0] or text


def _config(app: ASGIApp, host: str, port: int) -> uvicorn.Config:
    return uvicorn.Config(
        guarded(app), host=host, port=port, log_level="critical", access_log=False, lifespan="off", loop="asyncio",
        http="h11", timeout_graceful_shutdown=1, server_header=False,
        timeout_keep_alive=600,  # a busy client that comes back later must not find its connection closing
    )  # fmt: skip


def run(app: ASGIApp, host: str, port: int) -> None:
    """Listen until interrupted."""
    uvicorn.Server(_config(app, host, port)).run()


class _Server(uvicorn.Server):
    """A server in a thread that tells when it has started, and ends when it is told to, not when it next looks."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self._is_up = threading.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._is_told = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        # connections dropped on purpose are no news
        self._loop = asyncio.get_running_loop()
        self._loop.set_exception_handler(lambda _loop, _context: None)
        await super().startup(sockets)
        self._is_up.set()

    async def main_loop(self) -> None:
        while not await self.on_tick(0):
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._is_told.wait(), 1)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        for server in self.servers:
            server.close()
        for connection in list(self.server_state.connections):
            connection.shutdown()
        await asyncio.sleep(0)
        for connection in list(self.server_state.connections):  # it was in the middle of an answer
            connection.transport.abort()

    def await_start(self) -> None:
        if not self._is_up.wait(_START_SECONDS):
            raise RuntimeError("the emulator did not start")

    def end(self) -> None:
        self.should_exit = True
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):  # it has ended by itself
                self._loop.call_soon_threadsafe(self._is_told.set)


@contextlib.contextmanager
def in_thread(app: ASGIApp) -> Iterator[str]:
    """Listen on a free port of 127.0.0.1 in a thread of its own; yield the base URL.

    Raises:
        RuntimeError: the server did not start within a minute.
    """
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)  # asyncio looks here for nodelay
    listener.bind(("127.0.0.1", 0))
    server = _Server(_config(app, "127.0.0.1", 0))
    thread = threading.Thread(target=server.run, args=([listener],), daemon=True, name="emulator")
    thread.start()
    try:
        server.await_start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.end()
        thread.join(_START_SECONDS)
        listener.close()
