"""What stands between us and the instance, named: firewalls, login pages, passwords of a web server, proxies, https.

Such a thing answers in the instance's place, and its status means something else than the instance's own: a 403 with a
page is no missing role, a 401 that asks for a password is no wrong admin key. The platform itself always answers errors
as JSON, but for a route that it does not have and a crash.
"""

from __future__ import annotations

import re

import httpx

from difyops.api.messages import HttpAnswer
from difyops.errors import DifyopsError, Forbidden, NotAuthenticated, ServerFault, Unreachable

_GATEWAYS = ("cloudflare", "awselb", "cloudfront", "akamai", "envoy", "nginx", "apache", "caddy", "haproxy", "iis")
_REALM = re.compile(r'realm="?([^",]{1,60})')
_PAGE_BEGINS = re.compile(rb"\s{0,64}<(?:!doctype|html|head|\?xml)", re.IGNORECASE)


def refusal(response: HttpAnswer, doing: str) -> DifyopsError | None:
    """Return the error for an answer that the instance did not give itself, ``None`` when it did."""
    status = response.status_code
    if 300 <= status < 400:
        return _redirected(response, doing)
    if status == 407:
        return Unreachable(
            f"{doing}: the proxy asks for a name and a password (HTTP 407).",
            hint="Put them into the proxy's address: http://name:password@host:port.",
        )
    asked = response.headers.get("www-authenticate", "")
    if status == 401 and asked and not is_json(response) and not asked.lower().startswith("bearer"):
        return NotAuthenticated(
            f"{doing}: {_who(response)} asks for a name and a password of its own ({_scheme(asked)}, HTTP 401).",
            hint="That is a web server in front, not Dify: let difyops pass it, or use the instance's inner address.",
        )
    if status == 400 and "plain HTTP request was sent to HTTPS" in response.text:
        return Unreachable(f"{doing}: the server speaks https on this port.", hint="Use https:// in the context's url.")
    if status in (401, 403, 406, 418, 451) and is_page(response):
        return Forbidden(
            f"{doing}: {_who(response)} refuses the call with a page of its own (HTTP {status}), not Dify.",
            hint="A firewall or an access rule in front: let difyops pass (its User-Agent is difyops/VERSION).",
        )
    if status >= 520 and is_page(response):
        return ServerFault(f"{doing}: {_who(response)} cannot reach the instance (HTTP {status}).", retryable=True)
    return None


def not_json(response: HttpAnswer, doing: str) -> ServerFault | None:
    """Return the error for a page where JSON was due (a login page, a proxy's greeting), ``None`` for other bodies."""
    if not is_page(response):
        return None
    return ServerFault(
        f"{doing}: the answer is not JSON but a page; is this address the instance's own, or does a login stand before "
        "it?",
        hint="difyops context check",
    )


def is_json(response: HttpAnswer) -> bool:
    """Say whether an answer calls itself JSON."""
    return "json" in response.headers.get("content-type", "")


def is_page(response: HttpAnswer) -> bool:
    """Say whether an answer is a page for a browser."""
    kind = response.headers.get("content-type", "")
    if "json" in kind or "event-stream" in kind:
        return False
    return "html" in kind or _PAGE_BEGINS.match(response.content[:512]) is not None


def _redirected(response: HttpAnswer, doing: str) -> DifyopsError:
    here = httpx.URL(response.call.url if response.call else "")
    try:
        target = here.join(response.headers.get("location", ""))
    except (httpx.InvalidURL, ValueError):
        target = here
    to_https = target.scheme == "https" and here.scheme == "http"
    if target.host != here.host and not (to_https and target.path in ("", "/", here.path) and not target.query):
        return Unreachable(
            f"{doing}: the server redirects to another host, {target.host[:100]} (HTTP {response.status_code}); "
            "a login page (SSO) in front?",
            hint="Let difyops pass it, or use an address of the instance that no login stands before.",
        )
    if to_https:
        where = "" if target.host == here.host else f" on {target.host[:100]}"
        return Unreachable(f"{doing}: the server redirects to https{where}.", hint="Use https:// in the context's url.")
    return Unreachable(
        f"{doing}: the server redirects elsewhere (HTTP {response.status_code}).",
        hint="Check the url: it must be the instance's own base address.",
    )


def _who(response: HttpAnswer) -> str:
    """Return what answered, by the name that it gives itself."""
    server = response.headers.get("server", "").lower()
    if "cf-ray" in response.headers:
        server = "cloudflare"
    name = next((name for name in _GATEWAYS if name in server), None)
    return f"what stands in front of the instance ({name})" if name else "something in front of the instance"


def _scheme(asked: str) -> str:
    kind = "".join(char for char in asked.split(" ", 1)[0] if char.isalnum())[:20] or "unknown"
    realm = _REALM.search(asked[:300])
    said = "".join(char for char in realm[1] if char.isprintable()) if realm else ""
    return f"{kind} authentication" + (f", realm {said!r}" if said else "")
