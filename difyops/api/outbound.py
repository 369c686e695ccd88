"""Calls to addresses that somebody else named: connected only where the caller agrees, redirects never followed.

The name of a host is looked up once, each address is judged, and the connection is made to that very address: a name
that leads elsewhere the second time leads nowhere. Proxies of the environment are not used: they would look up anew.
"""

from __future__ import annotations

import asyncio
import ipaddress
import os
import socket
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult

from difyops.errors import Refused, TimedOut, Unreachable

Admits = Callable[[str], bool]
_READ = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """What the other side answered: status, headers by lower-case name, the first bytes of the body."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def ok(self) -> bool:
        """Say whether it took what was sent; a redirect is no success."""
        return 200 <= self.status < 300


@dataclass(slots=True)
class Outbound:
    """Sends what is to be sent; one session for many calls. Close it when done."""

    ca_file: str | None = None
    _trust: ssl.SSLContext | None = field(default=None, repr=False)

    async def post(
        self, url: str, *, headers: Mapping[str, str], body: bytes, admits: Admits, patience: float = 15.0
    ) -> Said:
        """Send one POST.

        Raises:
            Refused: no address of the host may be connected to; nothing was sent. TimedOut: no answer in time.
            Unreachable: no connection, or it broke; ``retryable`` says that nothing was sent.
        """
        host = urlsplit(url).hostname or ""
        if _is_address(host) and not admits(host):
            raise Refused(f"{host} is a private address that is not named; nothing was sent.")
        judge = _Judge(admits)
        connector = aiohttp.TCPConnector(resolver=judge, use_dns_cache=False, force_close=True, ssl=self._ssl())
        limits = aiohttp.ClientTimeout(total=patience, sock_connect=min(patience, 10.0))
        try:
            jar = aiohttp.DummyCookieJar()
            async with (
                aiohttp.ClientSession(connector=connector, trust_env=False, cookie_jar=jar) as session,
                session.post(
                    url, data=body, headers=dict(headers), allow_redirects=False, timeout=limits
                ) as answer,
            ):  # fmt: skip
                start = await answer.content.read(_READ)
                return Said(
                    status=answer.status,
                    headers={name.lower(): value for name, value in answer.headers.items()},
                    body=start,
                )
        except aiohttp.ClientConnectorError as error:
            if judge.refused:
                raise Refused(f"{host} leads to {judge.refused}, which may not be called; nothing was sent.") from error
            raise Unreachable(f"{host} cannot be connected to ({_why(error)}).", retryable=True) from error
        except TimeoutError as error:
            raise TimedOut(f"{host} did not answer in {patience:g} s.") from error
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise Unreachable(f"{host} broke the connection off ({type(error).__name__}).") from error

    def _ssl(self) -> ssl.SSLContext:
        if self._trust is None:
            self._trust = ssl.create_default_context(cafile=self.ca_file)
        return self._trust


class _Judge(AbstractResolver):
    """Looks a name up and leaves out the addresses that may not be connected to."""

    def __init__(self, admits: Admits) -> None:
        self._admits = admits
        self.refused = ""

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """Return the addresses of a name that may be connected to.

        Raises:
            OSError: there are none.
        """
        found = await asyncio.get_running_loop().getaddrinfo(host, port, family=family, type=socket.SOCK_STREAM)
        good: list[ResolveResult] = []
        for kind, _, protocol, _, address in found:
            text = str(address[0])
            if not self._admits(text):
                self.refused = text
                continue
            flags: Any = socket.AI_NUMERICHOST
            good.append(
                ResolveResult(hostname=host, host=text, port=port, family=kind, proto=protocol, flags=flags)
            )  # fmt: skip
        if not good:
            raise OSError("no address of this name may be called")
        return good

    async def close(self) -> None:
        """Nothing is held open."""


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return False
    return True


def _why(error: aiohttp.ClientConnectorError) -> str:
    found = error.os_error
    return os.strerror(found.errno) if found.errno and found.errno > 0 else found.strerror or type(found).__name__
