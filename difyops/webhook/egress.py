"""Where calls may go that somebody else asked for: an allow list, and no private address unless it is named. Pure.

    https://hooks.example.com        this host, this scheme, its default port
    https://*.example.com:8443       every host below it
    http://127.0.0.1:9000/path       a private address counts when it is named itself; a path is a beginning

A name in a private network counts when its network is named, too (``callbacks.networks``). A name is not enough: who
may answer for a name may let it point to 169.254.169.254 the second time. Whoever connects asks ``admits`` about the
address that he connects to.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from difyops.errors import Refused
from difyops.setting_problems import BadSetting

_HOST = re.compile(r"(\*\.)?([a-z0-9_]([a-z0-9_-]{0,62})\.)*[a-z0-9]([a-z0-9-]{0,62})")
_URL_LENGTH = 2000
_PORTS = {"https": 443, "http": 80}

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network


@dataclass(frozen=True, slots=True, kw_only=True)
class Allowed:
    """One line of the allow list."""

    scheme: str
    host: str
    port: int
    path: str = ""

    def fits(self, target: EgressTarget) -> bool:
        """Say whether a target is meant by this line."""
        if (self.scheme, self.port) != (target.scheme, target.port):
            return False
        same = target.host.endswith(self.host[1:]) if self.host.startswith("*.") else target.host == self.host
        inside = target.path == self.path or target.path.startswith(self.path.rstrip("/") + "/") or not self.path
        return same and inside

    @property
    def names_an_address(self) -> bool:
        """Say whether it names one address, or this machine, and not a name that somebody else may move."""
        return address_of(self.host) is not None or self.host == "localhost"


@dataclass(frozen=True, slots=True, kw_only=True)
class EgressTarget:
    """An address that was taken apart: ``shown`` is what logs and lists may show of it (without query)."""

    url: str
    scheme: str
    host: str
    port: int
    path: str

    @property
    def shown(self) -> str:
        """Return the address without its query, which may hold a secret."""
        return self.url.partition("?")[0]


def target_of(url: str) -> EgressTarget:
    """Take an address apart that a caller gave.

    Raises:
        Refused: it is no plain http or https address (user info, fragment, controls, a number in place of a host).
    """
    problem = "is not a plain http or https address"
    if len(url) > _URL_LENGTH or not url.isascii() or any(ord(item) <= 32 or item in "\\\x7f" for item in url):
        raise Refused(f"The address {problem}.")
    try:
        parts = urlsplit(url)
        host, port = (parts.hostname or "").rstrip("."), parts.port
    except ValueError:
        raise Refused(f"The address {problem}.") from None
    known = address_of(host) is not None or bool(_HOST.fullmatch(host))
    if parts.scheme not in _PORTS or not host or not known or "@" in parts.netloc or "*" in host or parts.fragment:
        raise Refused(f"The address {problem}.")
    if address_of(host) is None and host.rpartition(".")[2].isdecimal():
        raise Refused(f"The address {problem}.")  # 2130706433 and 127.1 are other spellings of 127.0.0.1
    return EgressTarget(
        url=url, scheme=parts.scheme, host=host, port=port or _PORTS[parts.scheme], path=parts.path or "/"
    )


def allowed_of(text: str) -> Allowed:
    """Read one line of the allow list.

    Raises:
        BadSetting: it is no address.
    """
    try:
        parts = urlsplit(text.strip())
        port, host = parts.port, (parts.hostname or "").rstrip(".")
    except ValueError:
        port, host, parts = None, "", urlsplit("")
    good = bool(_HOST.fullmatch(host)) or address_of(host) is not None
    if parts.scheme not in _PORTS or not good or parts.query or parts.fragment or "@" in parts.netloc:
        raise BadSetting(
            f"{text!r} is not an address to allow",
            "Examples: https://hooks.example.com, https://*.example.com, http://127.0.0.1:9000/done",
        )
    path = "" if parts.path == "/" else parts.path
    return Allowed(scheme=parts.scheme, host=host, port=port or _PORTS[parts.scheme], path=path)


@dataclass(frozen=True, slots=True, kw_only=True)
class Egress:
    """The allow list at work."""

    allow: Sequence[Allowed]
    networks: Sequence[Network] = ()

    def check(self, url: str) -> EgressTarget:
        """Return the target of an address that a caller gave.

        Raises:
            Refused: no line of the allow list fits.
        """
        target = target_of(url)
        climbs = ".." in target.path.lower().replace("%2e", ".").replace("%2f", "/").split("/")
        if climbs or not any(item.fits(target) for item in self.allow):
            raise Refused(
                f"{target.scheme}://{target.host}:{target.port} is not an address that calls may go to.",
                hint="Add it to webhook.callbacks.allow.",
            )
        return target

    def admits(self, target: EgressTarget, address: str) -> bool:
        """Say whether ``address`` (what the host's name led to) may be connected to for this target."""
        found = address_of(address)
        if found is None:
            return False
        if is_public(found) or any(found in network for network in self.networks):
            return True
        return any(item.fits(target) and item.names_an_address for item in self.allow)


def network_of(text: str) -> Network:
    """Read a network whose addresses may be called (``10.20.0.0/16``).

    Raises:
        BadSetting: it is none.
    """
    try:
        return ipaddress.ip_network(text)
    except ValueError as error:
        raise BadSetting(f"{text!r} is not a network", "Example: 10.20.0.0/16") from error


def address_of(text: str) -> Address | None:
    """Return the IP address that a text is, in its plain spelling, or ``None``."""
    try:
        return ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None


def is_public(address: Address) -> bool:
    """Say whether an address is one of the public internet, whatever it is wrapped in."""
    if isinstance(address, ipaddress.IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour or (address.teredo[1] if address.teredo else None)
        if inner is not None:
            return is_public(inner)
        if address in ipaddress.IPv6Network("64:ff9b::/96"):
            return is_public(ipaddress.IPv4Address(int(address) & 0xFFFFFFFF))
    return address.is_global and not address.is_multicast
