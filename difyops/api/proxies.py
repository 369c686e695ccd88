"""Which proxy the environment asks for on the way to one address, read as curl and Python read it.

The lower-case names come first; ``HTTP_PROXY`` or ``HTTPS_PROXY`` by the scheme, then ``ALL_PROXY``. ``NO_PROXY`` takes
hosts, domains, ports, addresses of both families and networks (``10.0.0.0/8``); what cannot be read in it is passed
over. This machine itself is never asked for through a proxy.
"""

from __future__ import annotations

import ipaddress
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

import httpx

from difyops.errors import ConfigError

_SOCKS = ("socks4", "socks4a", "socks5", "socks5h")
_KNOWN = ("http", "https", *_SOCKS)
_Address = ipaddress.IPv4Address | ipaddress.IPv6Address


@dataclass(frozen=True, slots=True, kw_only=True)
class Proxy:
    """One proxy: its address (which may hold a password), and the variable that names it."""

    url: str = field(repr=False)
    variable: str

    @property
    def is_socks(self) -> bool:
        """Say whether it speaks SOCKS."""
        return self.url.startswith("socks")

    @property
    def host(self) -> str:
        """Return host and port for messages."""
        return httpx.URL(self.url).netloc.decode()


def proxy_for(url: httpx.URL, environment: Mapping[str, str] | None = None) -> Proxy | None:
    """Return the proxy that the environment asks for on the way to ``url``, ``None`` for a direct way.

    Raises:
        ConfigError: the variable that holds here is not the address of a proxy; it is named, its value is not shown.
    """
    env = os.environ if environment is None else environment
    if _is_this_machine(url.host):
        return None
    variable, value = _variable(env, url.scheme)
    if not value or _is_excepted(url, env):
        return None
    address = value if "://" in value else f"http://{value}"
    try:
        parsed = httpx.URL(address)
        port = parsed.port
    except (httpx.InvalidURL, ValueError) as error:
        raise _bad(variable, "is not the address of a proxy") from error
    if parsed.scheme not in _KNOWN:
        raise _bad(variable, f"names a proxy of the kind {parsed.scheme[:20]!r}, which is not known")
    if not parsed.host or (port is not None and not 0 < port < 65536):
        raise _bad(variable, "is not the address of a proxy")
    return Proxy(url=address, variable=variable)


def _bad(variable: str, what: str) -> ConfigError:
    return ConfigError(
        f"The environment variable {variable} {what}.",
        hint=f"Correct {variable} (http://host:port, socks5://host:port), or name the instance in NO_PROXY.",
    )


def _variable(env: Mapping[str, str], scheme: str) -> tuple[str, str]:
    """Return the variable that holds, and its value. A lower-case name that is set empty means: no proxy."""
    for name in (f"{scheme}_proxy", "all_proxy"):
        for spelled in (name, name.upper()):
            if spelled == "HTTP_PROXY" and "REQUEST_METHOD" in env:
                continue  # in a CGI program that is a header of a stranger's request
            if spelled in env:
                return spelled, env[spelled].strip()
    return "", ""


def _is_this_machine(host: str) -> bool:
    name = host.rstrip(".").lower()
    if name == "localhost" or name.endswith(".localhost"):
        return True
    address = _address(name)
    mapped = getattr(address, "ipv4_mapped", None) or address
    return mapped is not None and (mapped.is_loopback or mapped.is_unspecified)


def _is_excepted(url: httpx.URL, env: Mapping[str, str]) -> bool:
    text = env["no_proxy"] if "no_proxy" in env else env.get("NO_PROXY", "")
    port = url.port or {"http": 80, "https": 443}.get(url.scheme)
    return any(_covers(entry, url.host.rstrip(".").lower(), port) for entry in re.split(r"[,\s]+", text) if entry)


def _covers(entry: str, host: str, port: int | None) -> bool:
    if entry == "*":
        return True
    name, wanted = _split(entry.lower())
    if wanted is not None and wanted != port:
        return False
    address = _address(host)
    if address is not None:
        return _holds(name, address)
    name = name.removeprefix("*").strip(".")
    return bool(name) and (host == name or host.endswith("." + name))


def _split(entry: str) -> tuple[str, int | None]:
    """Return host and port of an entry: ``host:80``, ``[::1]:80``, ``::1``, ``fd00::/8``."""
    bracketed = re.fullmatch(r"\[([^\]]*)\](?::([0-9]{1,5}))?", entry)
    if bracketed:
        return bracketed[1], int(bracketed[2]) if bracketed[2] else None
    name, colon, port = entry.rpartition(":")
    if colon and ":" not in name and port.isdecimal() and len(port) <= 5:
        return name, int(port)
    return entry, None


def _holds(name: str, address: _Address) -> bool:
    try:
        return address in ipaddress.ip_network(name.strip("[]"), strict=False)
    except ValueError:
        return False


def _address(text: str) -> _Address | None:
    try:
        return ipaddress.ip_address(text.strip("[]").partition("%")[0])
    except ValueError:
        return None
