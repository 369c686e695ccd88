"""The transport for many runs at once: httpx's API carried by aiohttp, with its own limits, budget and breaker.

httpx's own pool costs O(pool) per request: a thousand runs in flight take six seconds of it. aiohttp carries them; this
file is its only home. Management calls stay on plain httpx with their polite limit.
"""

from __future__ import annotations

import ssl
import urllib.request
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import httpx
from httpx_aiohttp import AiohttpTransport

from difyops.api.transport import RetryBudget, Transport, TransportOptions
from difyops.clock import Clock, SystemClock
from difyops.config import Context
from difyops.errors import ConfigError, DifyopsError, ServerFault

_FEWEST_FAILURES = 8


@dataclass(slots=True)
class RunTransport(Transport):
    """A transport whose breaker knows how many runs are in flight.

    A few targets that fail at once say nothing about the rest that is still at work: the breaker opens when as many
    answers in a row failed as there are runs in flight (at least eight), so that no healthy one can be among them.
    """

    flying: int = field(default=0)

    @asynccontextmanager
    async def stream(
        self, method: str, path: str, *, doing: str, auth: httpx.Auth | None = None, **content: Any
    ) -> AsyncIterator[httpx.Response]:
        """Open a streaming answer; never repeated. Any answer but 502, 503 and 504 closes the breaker."""
        breaker = self._breaker_now()
        self.flying += 1
        breaker.limit = max(_FEWEST_FAILURES, self.flying)
        opened = False
        try:
            async with Transport.stream(self, method, path, doing=doing, auth=auth, **content) as response:
                opened = True
                breaker.record(ok=True)
                yield response
        except DifyopsError as error:
            if not opened and _is_answer(error):
                breaker.record(ok=not isinstance(error, ServerFault) or not error.retryable)
            raise
        finally:
            self.flying -= 1


def run_transport(context: Context, *, limit: int, silence: float = 30.0, clock: Clock | None = None) -> RunTransport:
    """Return the transport for the runs of one context; close it when done.

    ``limit`` is the most calls in flight; ``silence`` the seconds without a byte that a stream may have.

    Raises:
        ConfigError: the CA file of the context cannot be used.
    """
    return RunTransport(
        context.url,
        TransportOptions(read=silence + 5.0, max_in_flight=limit, ca_file=context.ca_file),
        clock=clock or SystemClock(),
        carrier=Carrier(context.ca_file if context.url.startswith("https") else None, context.url),
        budget=RetryBudget(tokens=0.0),
    )


class Carrier(httpx.AsyncBaseTransport):
    """aiohttp behind httpx, with connection failures named as what they are.

    httpx-aiohttp reports every connection error as a time-out to connect; whether a request was sent at all decides
    whether it may be sent again, so the cause is looked at.
    """

    def __init__(self, ca_file: str | None, url: str) -> None:
        self._secure = url.startswith("https")
        self._ca_file = ca_file
        self._inner = AiohttpTransport(verify=False, client=self._session)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send one request."""
        try:
            response = await self._inner.handle_async_request(request)
        except httpx.TransportError as error:
            raise _named(error) from error.__cause__
        response.stream = _Body(response.stream)
        return response

    async def aclose(self) -> None:
        """Close all connections."""
        await self._inner.aclose()

    def _session(self) -> aiohttp.ClientSession:
        connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=1.0, ssl=self._trust())
        return aiohttp.ClientSession(
            connector=connector, cookie_jar=aiohttp.DummyCookieJar(), trust_env=bool(urllib.request.getproxies())
        )

    def _trust(self) -> ssl.SSLContext | bool:
        if not self._secure:
            return True
        try:
            return ssl.create_default_context(cafile=self._ca_file)
        except (OSError, ssl.SSLError) as error:
            raise ConfigError(f"The CA file {self._ca_file} cannot be used: {error}.") from error


class _Body(httpx.AsyncByteStream):
    """The body of an answer, with its failures named."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner

    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            async for chunk in self._inner:
                yield chunk
        except httpx.TransportError as error:
            raise _named(error) from error.__cause__
        except OSError as error:
            raise httpx.ReadError(str(error)) from error

    async def aclose(self) -> None:
        await self._inner.aclose()


def _named(error: httpx.TransportError) -> httpx.TransportError:
    """Return the httpx error that fits aiohttp's: not connected, broken off, or really too late."""
    cause = error.__cause__
    if isinstance(cause, aiohttp.ServerTimeoutError):
        return error
    if isinstance(cause, (aiohttp.ClientConnectorError, aiohttp.ClientConnectorCertificateError)):
        return httpx.ConnectError(str(cause))
    if isinstance(cause, aiohttp.ClientConnectionError):
        return httpx.RemoteProtocolError(str(cause))
    return error


def _is_answer(error: DifyopsError) -> bool:
    """Say whether the server answered: a failed connection was counted where it failed."""
    return not isinstance(error.__cause__, httpx.TransportError)
