"""One HTTP call to any address, without an instance behind it: health pages, webhooks, dead-man switches.

Nothing is repeated and no status is an error here; what came back is handed over with its time and certificate.
"""

from __future__ import annotations

import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import httpx

from difyops.api.faults import clean
from difyops.api.guard import USER_AGENT, Guard, Limits
from difyops.api.proxies import Proxy, proxy_for
from difyops.api.transport import connection_error
from difyops.errors import ConfigError, ServerFault, TimedOut, Unreachable, UsageError

_LARGEST = 256 * 1024
_SILENCES = 10  # so many time-outs may a whole answer take


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """What to send. ``timeout`` is seconds without a byte; ``ca_file`` for certificates of an own authority."""

    method: str = "GET"
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    body: bytes | None = field(default=None, repr=False)
    timeout: float = 10.0
    ca_file: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetched:
    """What came back: at most 256 KB of body, seconds to its end, whole days the certificate is still good for."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    seconds: float
    certificate_days: float | None = None

    @property
    def text(self) -> str:
        """Return the body as text."""
        return self.body.decode("utf-8", "replace")

    def require_good(self, doing: str) -> None:
        """Refuse an answer that is not 2xx.

        Raises:
            ServerFault: with status and the beginning of the body.
        """
        if not 200 <= self.status < 300:
            raise ServerFault(f"{doing}: the other side answered {self.status}: {clean(self.text[:200])}")


async def fetch(url: str, probe: Probe, *, carrier: httpx.AsyncBaseTransport | None = None) -> Fetched:
    """Send one request and return the answer; redirects are not followed.

    Raises:
        UsageError: not an http or https URL. Unreachable, TimedOut: no answer (the message names the host only, as the
        path of a webhook is a secret). ConfigError: the CA file cannot be used.
    """
    try:
        target = httpx.URL(url)
    except (httpx.InvalidURL, TypeError) as error:
        raise UsageError("This is not an http or https URL.") from error
    if target.scheme not in ("http", "https") or not target.host:
        raise UsageError("This is not an http or https URL.")
    started = time.monotonic()
    proxy = proxy_for(target)
    limits = Limits.of(connect=probe.timeout, silence=probe.timeout, whole=_SILENCES * probe.timeout)
    guard = Guard(carrier or _carrier(target, probe.ca_file, proxy))
    client = httpx.AsyncClient(transport=guard, timeout=probe.timeout, trust_env=False)
    try:
        async with (
            client,
            client.stream(
                probe.method,
                target,
                content=probe.body,
                headers={"User-Agent": USER_AGENT, **probe.headers},
                extensions=limits.extension,
            ) as response,
        ):
            body = await _beginning(response)
            return Fetched(
                status=response.status_code,
                headers=dict(response.headers),
                body=body,
                seconds=time.monotonic() - started,
                certificate_days=_certificate_days(response),
            )
    except httpx.TimeoutException as error:
        raise TimedOut(f"{target.host} did not answer within {probe.timeout:g} s.", retryable=True) from error
    except httpx.TransportError as error:
        raise connection_error(error, host=target.netloc.decode(), doing="look at it", proxy=proxy) from error
    except (httpx.HTTPError, ValueError) as error:
        raise Unreachable(f"{target.host} sent something that is not HTTP.") from error


async def _beginning(response: httpx.Response) -> bytes:
    parts: list[bytes] = []
    size = 0
    async for part in response.aiter_bytes():
        parts.append(part)
        size += len(part)
        if size >= _LARGEST:
            break
    return b"".join(parts)[:_LARGEST]


def _certificate_days(response: httpx.Response) -> float | None:
    stream = response.extensions.get("network_stream")
    secured: Any = stream.get_extra_info("ssl_object") if stream is not None else None
    certificate = secured.getpeercert() if secured is not None else None
    if not certificate or "notAfter" not in certificate:
        return None
    ends = datetime.fromtimestamp(ssl.cert_time_to_seconds(str(certificate["notAfter"])), UTC)
    return (ends - datetime.now(UTC)).total_seconds() / 86400


def _carrier(target: httpx.URL, ca_file: str | None, proxy: Proxy | None) -> httpx.AsyncBaseTransport:
    if proxy is not None and proxy.is_socks:
        from difyops.api.proxied import ProxiedCarrier

        return ProxiedCarrier(ca_file, str(target))
    return httpx.AsyncHTTPTransport(verify=_trust(target, ca_file), proxy=proxy.url if proxy else None, trust_env=False)


def _trust(url: httpx.URL, ca_file: str | None) -> ssl.SSLContext | bool:
    if url.scheme != "https":
        return False  # nothing to verify, and a context costs 20 ms
    try:
        return ssl.create_default_context(cafile=ca_file)
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(f"The CA file {ca_file} cannot be used: {error}.") from error
