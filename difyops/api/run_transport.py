"""The transport for many runs at once: httpx's API carried by aiohttp, with its own limits, budget and breaker.

httpx's own pool costs O(pool) per request: a thousand runs in flight take six seconds of it. aiohttp carries them; this
file is its only home. Management calls stay on plain httpx with their polite limit.
"""

from __future__ import annotations

import functools
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import httpx
from httpx_aiohttp import AiohttpTransport

from difyops.api.guard import USER_AGENT, Limits
from difyops.api.proxies import Proxy, proxy_for
from difyops.api.transport import RetryBudget, Transport, TransportOptions, connection_error
from difyops.clock import Clock, SystemClock
from difyops.config import Context
from difyops.errors import ConfigError, DifyopsError, ServerFault

_FEWEST_FAILURES = 8
_MOST_URLS = 32
_HEADERS = httpx.Headers(
    {
        "User-Agent": USER_AGENT,
        "Accept": "application/json, text/event-stream",
        "Accept-Encoding": "identity",
    }
)


@dataclass(slots=True)
class RunTransport(Transport):
    """A transport for a thousand runs side by side.

    Requests go to the carrier directly: what ``httpx.AsyncClient`` adds to each (cookies, redirects, merged URLs)
    costs more than all the rest and is not wanted here. Its breaker knows how many runs are in flight: a few targets
    that fail at once say nothing about the others that are still at work, so it opens when as many answers in a row
    failed as there are runs in flight (at least eight).
    """

    flying: int = 0
    called: str = field(default="", repr=False)
    urls: dict[str, httpx.URL] = field(default_factory=dict, repr=False)

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

    async def close(self) -> None:
        """Close all connections."""
        if self.carrier is not None:
            await self.carrier.aclose()

    async def _sent(
        self, request: httpx.Request, *, doing: str, auth: httpx.Auth | None, stream: bool
    ) -> httpx.Response:
        if auth is not None:
            await _let_in(request, auth)
        try:
            return await self._guard_now().handle_async_request(request)
        except httpx.RequestError as error:
            error.request = request
            self._breaker_now().record(ok=False)
            raise connection_error(error, host=self.host, doing=doing, proxy=self.proxy) from error

    def _check_breaker(self) -> None:
        if not self.called:  # parsing the URL for every call's breaker would be a fifth of the work
            self.called = self.host
        self._breaker_now().check(self.called)

    def _built(
        self, method: str, path: str, *, patience: float | None, whole: float | None, **content: Any
    ) -> httpx.Request:
        url = self.urls.get(path)
        if url is None:
            url = httpx.URL(self.base_url.rstrip("/") + path)
            if len(self.urls) < _MOST_URLS:  # paths of runs and forms are few; those of stops are not
                self.urls[path] = url
        extensions = _extensions(self.options.connect, patience or self.options.read, whole)
        return httpx.Request(method, url, headers=_HEADERS, extensions=extensions, **content)


@functools.cache
def _extensions(connect: float, silence: float, whole: float | None) -> dict[str, object]:
    limits = Limits.of(connect=connect, silence=silence, whole=whole)
    return {"timeout": _times(connect, silence), **limits.extension}


@functools.cache
def _times(connect: float, read: float) -> aiohttp.ClientTimeout:
    """Return the time-outs in aiohttp's own form, which the carrier takes from the request."""
    return aiohttp.ClientTimeout(total=None, sock_connect=connect, sock_read=read)


def _in_aiohttps_form(times: aiohttp.ClientTimeout | dict[str, float]) -> aiohttp.ClientTimeout:
    """Return time-outs as aiohttp takes them; management calls come through httpx's client with its own form."""
    return _times(times["connect"], times["read"]) if isinstance(times, dict) else times


async def _let_in(request: httpx.Request, auth: httpx.Auth) -> None:
    """Add what a key adds. Auth that wants to see answers (a login) is not for this transport."""
    flow = auth.async_auth_flow(request)
    await anext(flow)
    await flow.aclose()


def run_transport(context: Context, *, limit: int, silence: float = 30.0, clock: Clock | None = None) -> RunTransport:
    """Return the transport for the runs of one context; close it when done.

    ``limit`` is the most calls in flight; ``silence`` the seconds without a byte that a stream may have.

    Raises:
        ConfigError: the CA file of the context cannot be used. Refused: nobody trusted the file that names the context.
    """
    context.require_trust()
    return RunTransport(
        context.service_url,
        TransportOptions(read=silence + 5.0, max_in_flight=limit, ca_file=context.ca_file),
        clock=clock or SystemClock(),
        carrier=Carrier(context.ca_file if context.service_url.startswith("https") else None, context.service_url),
        budget=RetryBudget(tokens=0.0),
    )


class Carrier(AiohttpTransport):
    """aiohttp behind httpx, with connection failures named as what they are.

    httpx-aiohttp reports every connection error as a time-out to connect. Whether a request was sent at all decides
    whether it may be sent again, so the exception is read here; and a thousand streams are worth a shorter way through.
    """

    def __init__(self, ca_file: str | None, url: str) -> None:
        self._secure = url.startswith("https")
        self._ca_file = ca_file
        self._proxy = proxy_for(httpx.URL(url))
        super().__init__(verify=False, client=self._session)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send one request; the answer's body is read as it arrives."""
        if not isinstance(self.client, aiohttp.ClientSession):
            self.client = self.get_client()
        try:
            answer = await self.client.request(
                request.method,
                str(request.url),
                headers=[(name.decode("latin-1"), value.decode("latin-1")) for name, value in request.headers.raw],
                data=request.read() or None,
                allow_redirects=False,
                auto_decompress=False,
                proxy=self._plain_proxy,
                timeout=_in_aiohttps_form(request.extensions["timeout"]),
            )
        except (aiohttp.ClientError, OSError) as error:
            raise _named(error) from error
        except Exception as error:
            if self._proxy is not None and self._proxy.is_socks:  # its errors have no common ancestor
                raise httpx.ProxyError(str(error)) from error
            raise
        return httpx.Response(answer.status, headers=answer.raw_headers, stream=_Body(answer), request=request)

    @property
    def _plain_proxy(self) -> str | None:
        """Return the address of an HTTP proxy; SOCKS is spoken by the connector."""
        return None if self._proxy is None or self._proxy.is_socks else self._proxy.url

    def _session(self) -> aiohttp.ClientSession:
        if self._proxy is not None and self._proxy.is_socks:
            connector = _socks_connector(self._proxy, self._trust())
        else:
            connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=1.0, ssl=self._trust())
        return aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar(), trust_env=False)

    def _trust(self) -> ssl.SSLContext | bool:
        if not self._secure:
            return True
        try:
            return ssl.create_default_context(cafile=self._ca_file)
        except (OSError, ssl.SSLError) as error:
            raise ConfigError(f"The CA file {self._ca_file} cannot be used: {error}.") from error


def _socks_connector(proxy: Proxy, trust: ssl.SSLContext | bool) -> aiohttp.TCPConnector:
    """Return a connector through a SOCKS proxy; the proxy resolves names where its kind can.

    Raises:
        ConfigError: the extra is not installed, or the address is not one of a SOCKS proxy.
    """
    try:
        from aiohttp_socks import ProxyConnector
    except ImportError as error:
        raise ConfigError(
            f"{proxy.variable} names a SOCKS proxy, which needs the extra 'socks'.",
            hint="pip install 'difyops[socks]', or unset the variable, or name the instance in NO_PROXY.",
        ) from error
    kind, _, rest = proxy.url.partition("://")
    by_proxy = True if kind in ("socks4a", "socks5", "socks5h") else None
    try:
        connector: aiohttp.TCPConnector = ProxyConnector.from_url(
            f"{kind[:6]}://{rest}", rdns=by_proxy, limit=0, keepalive_timeout=1.0, ssl=trust
        )
    except ValueError as error:
        raise ConfigError(f"The environment variable {proxy.variable} is not the address of a proxy.") from error
    return connector


class _Body(httpx.AsyncByteStream):
    """The body of an answer, with its failures named."""

    def __init__(self, answer: aiohttp.ClientResponse) -> None:
        self._answer = answer

    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            async for chunk in self._answer.content.iter_any():
                yield chunk
        except (aiohttp.ClientError, OSError) as error:
            raise _named(error) from error

    async def aclose(self) -> None:
        """Give the connection back when the body was read to its end, else close it."""
        self._answer.release()


def _named(error: Exception) -> httpx.TransportError:
    """Return the httpx error that fits aiohttp's: late, not connected, or broken off."""
    said = str(error) or type(error).__name__
    match error:
        case aiohttp.ConnectionTimeoutError():
            return httpx.ConnectTimeout(said)
        case TimeoutError():
            return httpx.ReadTimeout(said)
        case aiohttp.ClientProxyConnectionError() | aiohttp.ClientHttpProxyError():
            return httpx.ProxyError(said)
        case aiohttp.ClientConnectorError():
            return httpx.ConnectError(said)
        case aiohttp.ClientPayloadError():
            return httpx.ReadError(said)
    return httpx.RemoteProtocolError(said)


def _is_answer(error: DifyopsError) -> bool:
    """Say whether the server answered: a failed connection was counted where it failed."""
    return not isinstance(error.__cause__, httpx.RequestError)
