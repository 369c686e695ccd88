"""What stands in front of an instance is named, whatever is called: each answer as such a thing gives it."""

from __future__ import annotations

import pytest

from difyops.api.proxied import ProxiedCarrier
from difyops.api.transport import Transport, TransportOptions, json_of
from difyops.errors import DifyopsError
from tests import faults
from tests.faults import answer, serving

PAGE = b"<!DOCTYPE html><html><title>Attention Required</title></html>"
PATIENT = TransportOptions(tries=1)


async def failure(behaviour: faults.Behaviour, *, fast: bool = False) -> DifyopsError:
    with serving(behaviour) as server:
        transport = Transport(server.url, PATIENT, carrier=ProxiedCarrier(None, server.url) if fast else None)
        with pytest.raises(DifyopsError) as caught:
            json_of(await transport.request("GET", "/console/api/apps", doing="list apps"), doing="list apps")
        await transport.close()
        return caught.value


@pytest.mark.parametrize(
    ("behaviour", "exit_code", "words"),
    [
        (answer(403, PAGE, content_type="text/html", server="cloudflare"), 4, "in front of the instance (cloudflare)"),
        (answer(403, PAGE, content_type="text/html; charset=UTF-8"), 4, "something in front of the instance"),
        (answer(403, b"  <html>nginx</html>", content_type="text/plain"), 4, "page of its own"),
        (answer(401, PAGE, content_type="text/html"), 4, "page of its own"),
        (
            answer(401, PAGE, content_type="text/html", www_authenticate='Basic realm="staff only"'),
            4,
            "(Basic authentication, realm 'staff only'",
        ),
        (answer(401, b"", content_type="text/plain", www_authenticate="Digest qop=auth"), 4, "Digest authentication"),
        (answer(302, b"", location="https://sso.example.com/oauth2/authorize?x=1"), 1, "sso.example.com"),
        (answer(302, b"", location="http://sso.example.com/login"), 1, "login page (SSO) in front"),
        (answer(307, b"", location="//sso.example.com/login"), 1, "sso.example.com"),
        (answer(302, b"", location="/signin"), 1, "redirects elsewhere"),
        (answer(302, b"", location="http://[::1"), 1, "redirects elsewhere"),
        (answer(407, b"", content_type="text/plain"), 1, "the proxy asks for a name and a password"),
        (answer(521, PAGE, content_type="text/html", server="cloudflare"), 1, "cannot reach the instance"),
        (answer(200, PAGE, content_type="text/html"), 1, "not JSON but a page"),
    ],
)
async def test_it_is_named_and_the_hint_is_about_it(behaviour: faults.Behaviour, exit_code: int, words: str) -> None:
    for fast in (False, True):
        error = await failure(behaviour, fast=fast)
        assert error.exit_code == exit_code
        assert words in error.message
        assert error.hint or error.retryable
        assert "another role" not in (error.hint or "")
        assert "admin key" not in (error.hint or "")


@pytest.mark.parametrize(
    ("behaviour", "words"),
    [
        (answer(403, {"code": "forbidden", "message": "Only owners."}), "Only owners."),
        (answer(401, {"code": "unauthorized", "message": "expired"}, www_authenticate='Bearer realm="api"'), "expired"),
    ],
)
async def test_what_the_instance_says_itself_stays_its_own(behaviour: faults.Behaviour, words: str) -> None:
    error = await failure(behaviour)
    assert words in error.message
    assert "in front" not in error.message
