"""The section ``webhook:`` is read whole or refused with the place; where calls may go is decided by address."""

from __future__ import annotations

from typing import Any

import pytest

from difyops.errors import ConfigError, Refused
from difyops.webhook.egress import Egress, allowed_of, network_of
from difyops.webhook.rules import rules_of

GOOD: dict[str, Any] = {
    "sources": {"a": {"secrets": "env:A", "to": "d"}},
    "destinations": {"d": {"url": "https://x.example"}},
}


@pytest.mark.parametrize(
    ("section", "place"),
    [
        ([], "webhook: must be a mapping"),
        ({"sorces": {}}, "webhook.sorces: unknown field 'sorces' (did you mean 'sources'"),
        ({"listen": "8099"}, "webhook.listen: expected HOST:PORT"),
        ({"admin": "0.0.0.0:8098"}, "webhook.admin: must be on loopback"),
        ({"admin_token": "secret"}, "webhook.admin_token: expected a reference"),
        ({"keep": "1h"}, "webhook.keep: must be at least 4d"),
        ({"keep": "soon"}, "webhook.keep: expected a duration"),
        (
            {"sources": {"a": {"to": "d"}}, "destinations": GOOD["destinations"]},
            "webhook.sources.a.secrets: this field is",
        ),
        ({"sources": {"a": {"secrets": "env:A", "to": "x"}}}, "webhook.sources.a.to: names no destination"),
        ({"sources": {"a": {"secrets": "text", "to": "x"}}}, "webhook.sources.a.secrets: expected a reference"),
        ({"sources": {"a": {"scheme": "md5"}}}, "webhook.sources.a.scheme: 'md5' is none of"),
        ({"sources": {"a/b": {}}}, "webhook.sources.a/b: expected a name"),
        ({"destinations": {"d": {}}}, "webhook.destinations.d: must have one of"),
        ({"destinations": {"d": {"url": "https://x.example", "app": "y"}}}, "webhook.destinations.d: must have one of"),
        ({"destinations": {"d": {"url": "ftp://x"}}}, "webhook.destinations.d.url: 'ftp://x' is not"),
        (
            {"destinations": {"d": {"app": "y", "parallel": 0}}},
            "webhook.destinations.d.parallel: expected a",
        ),
        (
            {"destinations": {"d": {"app": "y", "paused": "yes"}}},
            "webhook.destinations.d.paused: expected true",
        ),
        ({"destinations": {"d": {"app": "y", "rate": float("nan")}}}, "webhook.destinations.d.rate: expected a number"),
        ({"callbacks": {"allow": ["https://x.example"]}}, "webhook.callbacks.secrets: is missing"),
        ({"callbacks": {"allow": ["x.example"]}}, "webhook.callbacks.allow[0]: 'x.example' is not"),
        ({"callbacks": {"networks": ["10.0.0.0/99"]}}, "webhook.callbacks.networks[0]: '10.0.0.0/99' is not"),
        ({"limits": {"body": "big"}}, "webhook.limits.body: expected a size"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_with_its_place(section: Any, place: str) -> None:
    with pytest.raises(ConfigError) as wrong:
        rules_of(section)
    assert place in wrong.value.message


def test_what_is_left_out_has_a_good_default() -> None:
    rules = rules_of(GOOD)
    assert (rules.listen, rules.admin, rules.keep) == (("127.0.0.1", 8099), ("127.0.0.1", 8098), 345600.0)
    assert rules.sources["a"].scheme == "standard"
    assert rules_of({"admin": False}).admin is None


ALLOW = ("https://hooks.example.com", "https://*.example.org", "http://127.0.0.1:9000/done", "https://in.example.net")


@pytest.mark.parametrize(
    ("url", "fits"),
    [
        ("https://hooks.example.com/a?b=c", True),
        ("https://HOOKS.example.com./a", True),
        ("https://hooks.example.com:443/a", True),
        ("http://hooks.example.com/a", False),
        ("https://hooks.example.com:8443/a", False),
        ("https://hooks.example.com.evil.example/a", False),
        ("https://evil.example/hooks.example.com", False),
        ("https://a.b.example.org/", True),
        ("https://example.org/", False),
        ("https://evilexample.org/", False),
        ("http://127.0.0.1:9000/done", True),
        ("http://127.0.0.1:9000/done/x", True),
        ("http://127.0.0.1:9000/doner", False),
        ("http://127.0.0.1:9000/done/../admin", False),
        ("http://127.0.0.1:9000/done/%2e%2e/admin", False),
        ("http://127.1:9000/done", False),
        ("http://0x7f000001:9000/done", False),
        ("http://[::ffff:127.0.0.1]:9000/done", False),
        ("https://user@hooks.example.com/", False),
        ("https://hooks.example.com\\@evil.example/", False),
        ("https://hooks.example.com/#x", False),
        ("https://hooks.example.com/\u2024", False),
        ("javascript:alert(1)", False),
        ("", False),
    ],
)
def test_the_allow_list(url: str, fits: bool) -> None:
    egress = Egress(allow=[allowed_of(text) for text in ALLOW])
    if fits:
        assert egress.check(url).host
    else:
        with pytest.raises(Refused):
            egress.check(url)


@pytest.mark.parametrize(
    ("address", "admitted"),
    [
        ("93.184.216.34", True),
        ("2606:2800:220:1:248:1893:25c8:1946", True),
        ("127.0.0.1", False),
        ("10.1.2.3", False),
        ("10.20.2.3", True),
        ("169.254.169.254", False),
        ("100.64.0.1", False),
        ("0.0.0.0", False),
        ("::1", False),
        ("fe80::1%eth0", False),
        ("fd00::1", False),
        ("::ffff:10.1.2.3", False),
        ("64:ff9b::a01:203", False),
        ("2002:0a01:0203::1", False),
        ("224.0.0.1", False),
        ("not an address", False),
    ],
)
def test_addresses_behind_a_name(address: str, admitted: bool) -> None:
    egress = Egress(allow=[allowed_of(text) for text in ALLOW], networks=[network_of("10.20.0.0/16")])
    assert egress.admits(egress.check("https://in.example.net/"), address) is admitted


def test_an_address_counts_when_it_is_named_itself() -> None:
    egress = Egress(allow=[allowed_of(text) for text in ALLOW])
    assert egress.admits(egress.check("http://127.0.0.1:9000/done"), "127.0.0.1")
