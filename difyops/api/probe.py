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
from difyops.api.guard import USER_AGENT, Guard
from difyops.api.messages import CallLimits, HttpAnswer, HttpCall, Origin, ThroughHttpx
from difyops.api.proxies import proxy_for
from difyops.api.transport import carrier_for, connection_error
from difyops.errors import ServerFault, TimedOut, Unreachable, UsageError

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
    given = ThroughHttpx(carrier) if carrier is not None else None
    guard = Guard(given or carrier_for(url, probe.ca_file, proxy))
    call = HttpCall(
        method=probe.method,
        origin=Origin.of(target),
        target=target.raw_path.decode("ascii"),
        headers={"User-Agent": USER_AGENT, "Accept": "*/*", **probe.headers},
        content=probe.body or b"",
        limits=CallLimits.of(connect=probe.timeout, silence=probe.timeout, whole=_SILENCES * probe.timeout),
    )
    try:
        answer = await guard.exchange(call)
        try:
            return Fetched(
                status=answer.status_code,
                headers=answer.headers.as_dict(),
                body=await _beginning(answer),
                seconds=time.monotonic() - started,
                certificate_days=_certificate_days(answer.secured),
            )
        finally:
            await answer.aclose()
    except httpx.TimeoutException as error:
        raise TimedOut(f"{target.host} did not answer within {probe.timeout:g} s.", retryable=True) from error
    except httpx.TransportError as error:
        raise connection_error(error, host=target.netloc.decode(), doing="look at it", proxy=proxy) from error
    except (httpx.HTTPError, ValueError) as error:
        raise Unreachable(f"{target.host} sent something that is not HTTP.") from error
    finally:
        await guard.aclose()


async def _beginning(answer: HttpAnswer) -> bytes:
    parts: list[bytes] = []
    size = 0
    if answer.body is not None:
        async for part in answer.body:
            parts.append(part)
            size += len(part)
            if size >= _LARGEST:
                break
    return b"".join(parts)[:_LARGEST]


def _certificate_days(secured: Any) -> float | None:
    certificate = secured.getpeercert() if secured is not None else None
    if not certificate or "notAfter" not in certificate:
        return None
    ends = datetime.fromtimestamp(ssl.cert_time_to_seconds(str(certificate["notAfter"])), UTC)
    return (ends - datetime.now(UTC)).total_seconds() / 86400
