"""Requests from outside, read with care: their size, their time, headers that two readers could read differently."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from typing import Any

import orjson
import uvicorn
from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from difyops.webhook.rules import WebhookLimits
from difyops.webhook.signing import SIGNED_HEADERS

HOPS = "difyops-hops"
_MOST_HOPS = 4
_ONCE = SIGNED_HEADERS | {"host", "content-length", "content-type", "authorization", HOPS, "idempotency-key"}


class JsonAnswer:
    """A short answer in JSON, sent as it is: one event costs no more than it must."""

    __slots__ = ("body", "headers", "status_code")

    def __init__(self, body: object, status: int = 200, headers: Mapping[str, str] = {}) -> None:
        self.status_code = status
        self.body = orjson.dumps(body)
        self.headers = headers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it."""
        head = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(self.body))]
        if self.headers:
            head += [(name.encode("latin-1"), value.encode("latin-1")) for name, value in self.headers.items()]
        await send({"type": "http.response.start", "status": self.status_code, "headers": head})
        await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else self.body})


class Turned(Exception):
    """A request is not taken; carries the answer."""

    def __init__(self, status: int, code: str, message: str, retry_after: int | None = None) -> None:
        super().__init__(message)
        headers = {"retry-after": str(retry_after)} if retry_after else {}
        if status in (400, 408, 413):
            headers["connection"] = "close"  # what is left of the body is not read
        self.status = status
        self.answer = JsonAnswer({"code": code, "message": message, "status": status}, status, headers)


def headers_of(scope: Scope) -> dict[str, str]:
    """Return the headers by lower-case name.

    Raises:
        Turned: one that must stand there once does so twice, or the length of the body is said in two ways.
    """
    headers: dict[str, str] = {}
    for raw, value in scope["headers"]:
        name = raw.decode("latin-1")
        if name in headers and name in _ONCE:
            raise Turned(400, "bad_request", f"The header {name} stands there twice.")
        headers[name] = value.decode("latin-1")
    if "transfer-encoding" in headers and "content-length" in headers:
        raise Turned(400, "bad_request", "Content-Length and Transfer-Encoding say the same thing in two ways.")
    if "content-encoding" in headers and headers["content-encoding"].lower() != "identity":
        raise Turned(415, "unsupported_encoding", "Compressed bodies are not taken: signatures are over plain ones.")
    return headers


async def body_of(receive: Receive, headers: Mapping[str, str], limits: WebhookLimits) -> bytes:
    """Return the raw body.

    Raises:
        Turned: it is larger than allowed, comes too slowly, or the caller left.
    """
    length = headers.get("content-length", "0")
    if length.isdecimal() and (len(length) > 18 or int(length) > limits.body):
        raise _too_large(limits)
    pieces: list[bytes] = []
    size, more = 0, True
    try:
        async with asyncio.timeout(limits.body_seconds):
            while more:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise Turned(400, "left", "The caller left.")
                size += len(message["body"])
                if size > limits.body:
                    raise _too_large(limits)
                pieces.append(message["body"])
                more = message["more_body"]
    except TimeoutError:
        raise Turned(408, "too_slow", f"The body did not come in {limits.body_seconds:g} s.") from None
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)


def _too_large(limits: WebhookLimits) -> Turned:
    return Turned(413, "too_large", f"The body is larger than {limits.body} bytes.")


def object_of(body: bytes) -> dict[str, Any]:
    """Return the JSON object that a body is.

    Raises:
        Turned: it is none.
    """
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise Turned(400, "bad_request", "The body is not a JSON object.")
    return found


def hops_of(headers: Mapping[str, str]) -> int:
    """Return how many servers of ours a request went through already.

    Raises:
        Turned: so many that it goes round in a circle.
    """
    text = headers.get(HOPS, "0")
    hops = int(text) if text.isdecimal() and len(text) < 4 else _MOST_HOPS
    if hops >= _MOST_HOPS:
        raise Turned(508, "loop", f"This went through {hops} servers of difyops already; it goes round in a circle.")
    return hops


class Patient(H11Protocol):
    """uvicorn's protocol, with a limit to the time that the head of a request may take, and to that of a caller who
    reads nothing of what he is sent.

    uvicorn waits for ever for both; a few hundred such connections would be all there are.
    """

    head_seconds = WebhookLimits().head_seconds
    read_seconds = 60.0
    _late: asyncio.TimerHandle | None = None
    _stuck: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for the first head."""
        super().connection_made(transport)
        self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop waiting."""
        self._stop()
        self._read_again()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        """Begin to wait for a caller who does not read."""
        super().pause_writing()
        self._stuck = self.loop.call_later(self.read_seconds, self.transport.abort)

    def resume_writing(self) -> None:
        """Stop waiting for him: he reads."""
        self._read_again()
        super().resume_writing()

    def data_received(self, data: bytes) -> None:
        """Take bytes: of a head that is waited for, or of the request that is being answered."""
        if self._late is None and self._is_idle():
            self._await_head()
        super().data_received(data)
        if not self._is_idle():
            self._stop()

    def _is_idle(self) -> bool:
        return self.cycle is None or self.cycle.response_complete

    def _await_head(self) -> None:
        self._late = self.loop.call_later(self.head_seconds, self._give_up)

    def _stop(self) -> None:
        if self._late is not None:
            self._late.cancel()
            self._late = None

    def _read_again(self) -> None:
        if self._stuck is not None:
            self._stuck.cancel()
            self._stuck = None

    def _give_up(self) -> None:
        self._late = None
        if self._is_idle() and not self.transport.is_closing():
            self.transport.close()


class Server(uvicorn.Server):
    """uvicorn in a loop that is not its own: signals are the business of whoever runs the loop."""

    def capture_signals(self) -> Any:
        """Take no signals."""
        import contextlib

        return contextlib.nullcontext()


def server_of(app: Any, limits: WebhookLimits, drain: float) -> Server:
    """Return a server for an application, to be given its sockets."""
    protocol = type("Protocol", (Patient,), {"head_seconds": limits.head_seconds})
    config = uvicorn.Config(
        app, http=protocol, loop="asyncio", lifespan="off", log_level="critical", access_log=False,
        server_header=False, limit_concurrency=limits.connections, timeout_graceful_shutdown=int(drain) or 1,
        timeout_keep_alive=max(1, int(limits.head_seconds)), backlog=2048, ws="none", proxy_headers=False,
    )  # fmt: skip
    return Server(config)
