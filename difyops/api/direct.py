"""What carries requests without a proxy in between: HTTP/1.1 on connections of our own, for one call or thousands.

httpx's own pool costs O(pool) for each request, and a whole client library some four times what the calls themselves
need: a snapshot of a thousand apps makes thousands. Here is what they need, behind httpx's seam: connect (TLS, all
addresses of a name), write, read (``http_answer``), keep a connection for the next call, close it after a second of
idleness. Limits of silence are kept here; those of the whole are ``guard``'s.
"""

from __future__ import annotations

import asyncio
import select
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import httpx

from difyops.api.http_answer import AnswerReader, BadAnswer
from difyops.api.messages import HeaderFields, HttpAnswer, HttpCall, Origin
from difyops.errors import ConfigError

_IDLE = 1.0  # seconds until an unused connection is closed: a stock server has ten for everybody
_MOST_UNREAD = 1024 * 1024
_SAME_ADDRESS = 10.0  # seconds in which a name is not looked up again
_NEXT_ADDRESS = 0.25  # seconds until the next address of a name is tried beside the first
_WITH_BODY = frozenset({"POST", "PUT", "PATCH"})


class _Connection(asyncio.Protocol):
    """One connection. It carries one request at a time; ``reader`` is that of the request at work."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._transport: asyncio.Transport | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._unread = 0
        self._is_paused = False
        self.reader: AnswerReader | None = None
        self.failure: Exception | None = None
        self.is_closed = False
        self.idle_since = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - a stream connection has no other
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Read what came; bytes that nobody asked for end the connection."""
        if self.reader is None:
            self.close()
            return
        try:
            self.reader.feed(data)
        except BadAnswer as error:
            self._fail(error)
        self._unread += len(data)
        if self._unread > _MOST_UNREAD and not self._is_paused and self._transport is not None:
            self._transport.pause_reading()
            self._is_paused = True
        self._wake()

    def connection_lost(self, error: Exception | None) -> None:
        """Note the end; an answer that lasts until then is complete."""
        self.is_closed = True
        if self.reader is not None and self.failure is None and not self.reader.ended:
            try:
                if error is not None:
                    raise error
                self.reader.close()
            except Exception as lost:  # handed to whoever waits for the answer
                self.failure = lost
        self._wake()

    def send(self, call: HttpCall) -> AnswerReader:
        """Write a call and return the reader of its answer."""
        assert self._transport is not None  # noqa: S101 - it was connected
        head = _head(call)
        self.reader = AnswerReader(of_head_request=call.method == "HEAD")
        self._unread = 0
        self._transport.write(head + call.content if call.content else head)
        return self.reader

    async def more(self, silence: float) -> None:
        """Wait until something came.

        Raises:
            httpx.ReadTimeout: nothing for ``silence`` seconds. httpx.ReadError, RemoteProtocolError: it broke off.
        """
        if self.failure is None and not self.is_closed:
            self._waiter = waiter = self._loop.create_future()
            timer = self._loop.call_later(silence, _too_quiet, waiter)
            try:
                await waiter
            except TimeoutError:
                raise httpx.ReadTimeout(f"nothing came for {silence:g} s") from None
            finally:
                timer.cancel()
                self._waiter = None
        if self.failure is None and self.is_closed and self.reader is not None and not self.reader.ended:
            raise httpx.ReadError("the connection was closed")
        if isinstance(self.failure, BadAnswer):
            raise httpx.RemoteProtocolError(str(self.failure)) from self.failure
        if self.failure is not None:
            raise httpx.ReadError(str(self.failure)) from self.failure

    def taken(self) -> list[bytes]:
        """Return what came of the body since the last time."""
        assert self.reader is not None  # noqa: S101 - there is a request at work
        pieces, self.reader.pieces, self._unread = self.reader.pieces, [], 0
        if self._is_paused and self._transport is not None and not self.is_closed:
            self._transport.resume_reading()
            self._is_paused = False
        return pieces

    @property
    def secured(self) -> Any:
        """Return the TLS object, ``None`` on a plain connection."""
        return None if self._transport is None else self._transport.get_extra_info("ssl_object")

    @property
    def can_be_used(self) -> bool:
        """Say whether another request may be sent on it: the other side has not closed it, nor said anything."""
        if self.is_closed or self._transport is None:
            return False
        eyes = select.poll()
        eyes.register(self._transport.get_extra_info("socket").fileno(), select.POLLIN)
        return not eyes.poll(0)

    def close(self) -> None:
        """Close it at once: nothing that is still under way is wanted."""
        self.is_closed = True
        if self._transport is not None:
            self._transport.abort()

    def _fail(self, error: Exception) -> None:
        self.failure = self.failure or error
        self.close()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


def _too_quiet(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_exception(TimeoutError())


def _head(call: HttpCall) -> bytes:
    """Return the head of a call as bytes.

    Raises:
        httpx.LocalProtocolError: a line end in it would begin another field, or another call; or it is no text.
    """
    lines = [f"{call.method} {call.target} HTTP/1.1", f"Host: {call.origin.authority}"]
    lines += [f"{name}: {value}" for name, value in call.headers.items()]
    if call.content or call.method in _WITH_BODY:
        lines.append(f"Content-Length: {len(call.content)}")
    head = "\r\n".join(lines)
    ends = len(lines) - 1
    if head.count("\n") != ends or head.count("\r") != ends or "\0" in head or not call.target.isascii():
        raise httpx.LocalProtocolError("a header field holds octets that cannot be sent")
    try:
        return f"{head}\r\n\r\n".encode("utf-8", "surrogateescape")
    except UnicodeEncodeError as error:  # half a surrogate, out of somebody's JSON
        raise httpx.LocalProtocolError("a header field holds characters that cannot be sent") from error


class DirectCarrier:
    """Sends calls on connections of its own. How many are open is bounded by whoever calls.

    Raises what httpx's transport does: ``ConnectError`` when nothing was sent, ``ReadError``,
    ``RemoteProtocolError`` and time-outs when an answer may have been lost.
    """

    def __init__(self, ca_file: str | None = None) -> None:
        self._ca_file = ca_file
        self._trust: ssl.SSLContext | None = None
        self._idle: dict[Origin, list[_Connection]] = {}
        self._places: dict[Origin, _Place] = {}
        self._sweeper: asyncio.TimerHandle | None = None

    async def exchange(self, call: HttpCall) -> HttpAnswer:
        """Send one call and return its answer as soon as its head is there; the body comes as it is read."""
        silence = call.limits.silence
        connection = self._unused(call.origin) or await self._connected(call.origin, call.limits.connect)
        try:
            call.on_send()
            reader = connection.send(call)
            while not reader.status:
                await connection.more(silence)
        except BaseException:
            connection.close()
            raise
        body = _Body(self, call.origin, connection, silence)
        return HttpAnswer(
            status_code=reader.status,
            headers=HeaderFields(reader.fields),
            body=body,
            call=call,
            secured=connection.secured,
        )

    async def aclose(self) -> None:
        """Close the connections that nobody uses."""
        if self._sweeper is not None:
            self._sweeper.cancel()
            self._sweeper = None
        for connections in self._idle.values():
            for connection in connections:
                connection.close()
        self._idle.clear()

    def give_back(self, origin: Origin, connection: _Connection) -> None:
        """Keep a connection for the next request; one that cannot carry another is closed."""
        reader, connection.reader = connection.reader, None
        if connection.is_closed or reader is None or not reader.ended or not reader.may_go_on:
            connection.close()
            return
        loop = asyncio.get_running_loop()
        connection.idle_since = loop.time()
        self._idle.setdefault(origin, []).append(connection)
        if self._sweeper is None:
            self._sweeper = loop.call_later(_IDLE, self._sweep)

    def _unused(self, origin: Origin) -> _Connection | None:
        connections = self._idle.get(origin)
        while connections:
            connection = connections.pop()
            if connection.can_be_used:
                return connection
            connection.close()
        return None

    def _sweep(self) -> None:
        loop = asyncio.get_running_loop()
        self._sweeper = None
        oldest = loop.time() - _IDLE
        for origin, connections in list(self._idle.items()):
            for connection in connections:
                if connection.idle_since <= oldest:
                    connection.close()
            kept = [item for item in connections if not item.is_closed]
            self._idle[origin] = kept
            if not kept:
                del self._idle[origin]
        if self._idle:
            soonest = min(item.idle_since for items in self._idle.values() for item in items)
            self._sweeper = loop.call_later(max(0.05, soonest + _IDLE - loop.time()), self._sweep)

    async def _connected(self, origin: Origin, seconds: float) -> _Connection:
        place = self._places.setdefault(origin, _Place())
        trust = self._context() if origin.scheme == "https" else None
        try:
            async with asyncio.timeout(seconds):
                return await place.connected(origin, trust)
        except TimeoutError as error:
            raise httpx.ConnectTimeout(f"not connected within {seconds:g} s") from error
        except (OSError, UnicodeError) as error:  # ssl.SSLError is an OSError
            raise httpx.ConnectError(str(error)) from error

    def _context(self) -> ssl.SSLContext:
        if self._trust is None:
            try:
                self._trust = ssl.create_default_context(cafile=self._ca_file)
            except (OSError, ssl.SSLError) as error:
                raise ConfigError(f"The CA file {self._ca_file} cannot be used: {error}.") from error
            self._trust.set_alpn_protocols(["http/1.1"])
        return self._trust


@dataclass(slots=True)
class _Place:
    """Where a name leads: the address that was connected to last is used again for some seconds."""

    address: str = ""
    until: float = 0.0
    found: asyncio.Event | None = None  # somebody looks for it now

    async def connected(self, origin: Origin, trust: ssl.SSLContext | None) -> _Connection:
        """Return a new connection; a thousand calls at once ask for the name once, and go on side by side."""
        loop = asyncio.get_running_loop()
        if self.found is not None:
            await self.found.wait()
        if loop.time() < self.until:
            try:
                return await self._at(self.address, origin, trust)
            except ConnectionError:
                self.until = 0.0
        if self.found is not None:
            return await self._at("", origin, trust)
        self.found = asyncio.Event()
        try:
            return await self._at("", origin, trust)
        finally:
            self.found.set()
            self.found = None

    async def _at(self, address: str, origin: Origin, trust: ssl.SSLContext | None) -> _Connection:
        loop = asyncio.get_running_loop()
        more: dict[str, Any] = {"ssl": trust, "server_hostname": origin.host} if trust is not None else {}
        if not address:
            more["happy_eyeballs_delay"] = _NEXT_ADDRESS
        transport, connection = await loop.create_connection(
            lambda: _Connection(loop), address or origin.host, origin.port, **more
        )
        if not address:
            self.address, self.until = transport.get_extra_info("peername")[0], loop.time() + _SAME_ADDRESS
        return connection


class _Body:
    """The body of an answer as it comes. Its end gives the connection back."""

    def __init__(self, carrier: DirectCarrier, origin: Origin, connection: _Connection, silence: float) -> None:
        self._carrier = carrier
        self._origin = origin
        self._connection: _Connection | None = connection
        self._silence = silence

    async def __aiter__(self) -> AsyncIterator[bytes]:
        connection = self._connection
        if connection is None or connection.reader is None:
            return
        reader = connection.reader
        try:
            while True:
                for piece in connection.taken():
                    yield piece
                if reader.ended and not reader.pieces:
                    break
                if not reader.pieces:
                    await connection.more(self._silence)
        except BaseException:
            if not reader.ended:  # who stops reading at the last event leaves an answer that came whole
                connection.close()
            raise

    async def aclose(self) -> None:
        """Give the connection back when the body was read to its end, else close it."""
        connection, self._connection = self._connection, None
        if connection is not None:
            self._carrier.give_back(self._origin, connection)
