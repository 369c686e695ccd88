"""What carries requests through the proxy that the environment names, HTTP or SOCKS: aiohttp, loaded only then."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator

import aiohttp
import httpx

from difyops.api.messages import CallLimits, HeaderFields, HttpAnswer, HttpCall
from difyops.api.proxies import Proxy, proxy_for
from difyops.errors import ConfigError


class ProxiedCarrier:
    """aiohttp behind httpx's seam, with connection failures named as what they are.

    Whether a request was sent at all decides whether it may be sent again, so its exceptions are read here.
    """

    def __init__(self, ca_file: str | None, url: str) -> None:
        self._secure = url.startswith("https")
        self._ca_file = ca_file
        self._proxy = proxy_for(httpx.URL(url))
        self._session: aiohttp.ClientSession | None = None

    async def exchange(self, call: HttpCall) -> HttpAnswer:
        """Send one call; the answer's body is read as it arrives."""
        if self._session is None:
            self._session = self._opened()
        call.on_send()
        try:
            answer = await self._session.request(
                call.method,
                call.url,
                headers=call.headers,
                data=call.content or None,
                allow_redirects=False,
                auto_decompress=False,
                proxy=self._plain_proxy,
                timeout=_times(call.limits),
            )
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise _named(error) from error
        except Exception as error:
            if self._proxy is not None and self._proxy.is_socks:  # its errors have no common ancestor
                raise httpx.ProxyError(str(error)) from error
            raise
        return HttpAnswer(
            status_code=answer.status, headers=HeaderFields(answer.raw_headers), body=_Body(answer), call=call
        )

    @property
    def _plain_proxy(self) -> str | None:
        """Return the address of an HTTP proxy; SOCKS is spoken by the connector."""
        return None if self._proxy is None or self._proxy.is_socks else self._proxy.url

    async def aclose(self) -> None:
        """Close all connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    def _opened(self) -> aiohttp.ClientSession:
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


def _times(limits: CallLimits) -> aiohttp.ClientTimeout:
    """Return limits as aiohttp takes them; that of the whole is the guard's."""
    return aiohttp.ClientTimeout(total=None, sock_connect=limits.connect, sock_read=limits.silence)


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


class _Body:
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
