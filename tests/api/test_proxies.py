"""Proxies of the environment: which one holds, what NO_PROXY covers, bad ones named, dead ones told; real sockets."""

from __future__ import annotations

import sys

import httpx
import pytest

from difyops.api import probe
from difyops.api.proxied import ProxiedCarrier
from difyops.api.proxies import proxy_for
from difyops.api.transport import Transport, TransportOptions
from difyops.errors import ConfigError, DifyopsError, Unreachable
from tests import faults
from tests.faults import answer, serving
from tests.socks import relaying

FAR = "http://dify.example.com/console"
PATIENT = TransportOptions(tries=1)
PROXY = "http://10.1.1.1:3128"


@pytest.fixture(autouse=True)
def _clean(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.mark.parametrize(
    ("url", "environment", "variable"),
    [
        (FAR, {"http_proxy": PROXY}, "http_proxy"),
        (FAR, {"HTTP_PROXY": PROXY}, "HTTP_PROXY"),
        (FAR, {"HTTPS_PROXY": PROXY}, None),
        ("https://dify.example.com", {"HTTPS_PROXY": "proxy:3128"}, "HTTPS_PROXY"),
        (FAR, {"ALL_PROXY": "socks5h://[fd00::1]:1080"}, "ALL_PROXY"),
        (FAR, {"all_proxy": "socks4://u:p@proxy:9", "HTTP_PROXY": PROXY}, "HTTP_PROXY"),
        (FAR, {"http_proxy": "", "HTTP_PROXY": PROXY}, None),
        (FAR, {"HTTP_PROXY": PROXY, "REQUEST_METHOD": "GET"}, None),
        (FAR, {"ALL_PROXY": PROXY, "NO_PROXY": "example.com"}, None),
        (FAR, {"ALL_PROXY": PROXY, "NO_PROXY": "*"}, None),
        (FAR, {"ALL_PROXY": PROXY, "NO_PROXY": " .Example.com , x"}, None),
        (FAR, {"ALL_PROXY": PROXY, "NO_PROXY": "*.example.com"}, None),
        (FAR, {"ALL_PROXY": PROXY, "NO_PROXY": "ample.com"}, "ALL_PROXY"),
        (FAR, {"ALL_PROXY": PROXY, "NO_PROXY": "dify.example.com:80"}, None),
        (FAR, {"ALL_PROXY": PROXY, "NO_PROXY": "dify.example.com:81"}, "ALL_PROXY"),
        (FAR, {"ALL_PROXY": PROXY, "NO_PROXY": "[::1],[,::,/8,http://x,fd07:b51a:cc66:f0::/64,\x00"}, "ALL_PROXY"),
        (FAR, {"ALL_PROXY": PROXY, "no_proxy": "", "NO_PROXY": "*"}, "ALL_PROXY"),
        ("http://10.2.3.4", {"ALL_PROXY": PROXY, "NO_PROXY": "10.0.0.0/8"}, None),
        ("http://10.2.3.4", {"ALL_PROXY": PROXY, "NO_PROXY": "10.2.3.4:8080"}, "ALL_PROXY"),
        ("http://[fd07:b51a:cc66:f0::9]:5001", {"ALL_PROXY": PROXY, "NO_PROXY": "fd07:b51a:cc66:f0::/64"}, None),
        ("http://[fd07::9]:5001", {"ALL_PROXY": PROXY, "NO_PROXY": "[FD07:0::9]:5001"}, None),
        ("http://[fd07::9]:5001", {"ALL_PROXY": PROXY, "NO_PROXY": "fd07::9"}, None),
        ("http://127.0.0.1:5001", {"ALL_PROXY": "nonsense://"}, None),
        ("http://127.9.9.9", {"HTTP_PROXY": PROXY}, None),
        ("http://localhost:9", {"HTTP_PROXY": PROXY}, None),
        ("http://dify.localhost.", {"HTTP_PROXY": PROXY}, None),
        ("http://[::1]:9", {"HTTP_PROXY": PROXY}, None),
        ("http://[::ffff:127.0.0.1]:9", {"HTTP_PROXY": PROXY}, None),
    ],
)
def test_which_proxy_holds(url: str, environment: dict[str, str], variable: str | None) -> None:
    found = proxy_for(httpx.URL(url), environment)
    assert (found.variable if found else None) == variable


@pytest.mark.parametrize(
    "value", ["socks9://x:1", "ftp://x", "http://", "http://x:port", "http://[::1", "http://x:0", "http://x:99999"]
)
def test_a_bad_variable_is_named_and_its_value_is_not_shown(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALL_PROXY", value)
    with pytest.raises(ConfigError) as caught:
        Transport(FAR)
    assert "ALL_PROXY" in caught.value.message
    assert value not in caught.value.message
    assert caught.value.exit_code == 2


async def failure(url: str, *, fast: bool) -> DifyopsError:
    transport = Transport(url, PATIENT, carrier=ProxiedCarrier(None, url) if fast else None)
    with pytest.raises(DifyopsError) as caught:
        await transport.request("GET", "/x", doing="list apps")
    await transport.close()
    return caught.value


@pytest.mark.parametrize("fast", [False, True])
@pytest.mark.parametrize("kind", ["http", "socks5", "socks4", "socks5h"])
@pytest.mark.parametrize("url", [FAR, "https://dify.example.com"])
async def test_a_dead_proxy_is_told_as_such(kind: str, url: str, fast: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("aiohttp_socks")
    monkeypatch.setenv("ALL_PROXY", f"{kind}://127.0.0.1:{faults.free_port()}")
    error = await failure(url, fast=fast)
    assert isinstance(error, Unreachable)
    assert "cannot connect to the proxy 127.0.0.1:" in error.message
    assert "ALL_PROXY" in error.message


@pytest.mark.parametrize("fast", [False, True])
async def test_an_http_proxy_is_used_and_what_it_says_is_its_own(fast: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(answer(200, {"fine": True})) as server:
        monkeypatch.setenv("HTTP_PROXY", server.url.replace("//", "//me:secret@"))
        transport = Transport(FAR, PATIENT, carrier=ProxiedCarrier(None, FAR) if fast else None)
        assert (await transport.request("GET", "/x", doing="read it")).status_code == 200
        await transport.close()
        assert server.asked[0].path == "http://dify.example.com/console/x"
        assert server.asked[0].headers["proxy-authorization"].startswith("Basic ")
        answered = await probe.fetch("http://elsewhere.example.com/ping", probe.Probe())
        assert answered.status == 200


@pytest.mark.parametrize("fast", [False, True])
@pytest.mark.parametrize("status", [403, 407, 502])
async def test_a_proxy_that_refuses_a_tunnel_is_told(status: int, fast: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(answer(status, b"no")) as server:
        monkeypatch.setenv("HTTPS_PROXY", server.url)
        error = await failure("https://dify.example.com", fast=fast)
    assert isinstance(error, Unreachable)
    assert "the proxy 127.0.0.1:" in error.message
    assert "HTTPS_PROXY" in error.message


@pytest.mark.parametrize("fast", [False, True])
async def test_socks_carries_everything(fast: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("aiohttp_socks")
    with serving(answer(200, {"fine": True})) as server, relaying(server.url) as relay:
        monkeypatch.setenv("ALL_PROXY", f"socks5://{relay.address}")
        transport = Transport(FAR, PATIENT, carrier=ProxiedCarrier(None, FAR) if fast else None)
        assert (await transport.request("GET", "/x", doing="read it")).json() == {"fine": True}
        await transport.close()
        assert relay.wanted == [("dify.example.com", 80)]


async def test_without_the_extra_the_variable_and_the_way_out_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALL_PROXY", "socks5://10.1.1.1:1080")
    monkeypatch.setitem(sys.modules, "aiohttp_socks", None)
    error = await failure(FAR, fast=False)
    assert error.exit_code == 2
    assert "ALL_PROXY" in error.message
    assert "socks" in (error.hint or "")
