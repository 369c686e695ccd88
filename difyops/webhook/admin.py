"""What the operator sees, on loopback: status, metrics for Prometheus, and a small page that works without JavaScript.

The page shows what callers sent, so it wants the token of the rules: in the field of a form, kept in a cookie that
scripts and other sites cannot use. Requests whose Host is not loopback are refused: a page of the world that lets its
own name point to this machine must not read it.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Awaitable, Callable
from html import escape
from typing import Any
from urllib.parse import parse_qs

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route

from difyops.webhook import inbox, outbox, reading
from difyops.webhook.serving import Serving

_COOKIE = "difyops_webhook"
_HOSTS = ("127.0.0.1", "localhost", "[::1]")
_HEADERS = {
    "content-security-policy": "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; base-uri 'none'",
    "x-frame-options": "DENY",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cache-control": "no-store",
}
_STYLE = (
    "body{font:15px/1.4 system-ui,sans-serif;margin:2rem auto;max-width:70rem;padding:0 1rem;color:#222}"
    "table{border-collapse:collapse;width:100%;margin:.5rem 0 2rem}th,td{text-align:left;padding:.3rem .6rem;"
    "border-bottom:1px solid #ddd;vertical-align:top;overflow-wrap:anywhere;min-width:3.5rem}th{font-weight:600}"
    "div{overflow-x:auto}"
    ".dead,.failed{color:#a00}.pending,.started{color:#850}.done,.delivered,.succeeded{color:#060}"
    "button,input{font:inherit;padding:.2rem .6rem}"
)
Handler = Callable[[Request], Awaitable[Response]]


def admin_app(serving: Serving) -> Starlette:
    """Return the application."""
    session = secrets.token_bytes(32)  # cookies die with the process

    def handled(handler: Callable[[Serving, Request], Awaitable[Response]], *, closed: bool) -> Handler:
        async def handle(request: Request) -> Response:
            host = request.headers.get("host", "")
            if (host if host.endswith("]") else host.rpartition(":")[0] or host) not in _HOSTS:
                return PlainTextResponse("Only this machine's own addresses are answered.", 403)
            if closed and not _is_let_in(serving, request, session):
                return _form(401 if serving.rules.admin_token else 404, serving)
            response = await handler(serving, request)
            response.headers.update(_HEADERS)
            return response

        return handle

    async def login(request: Request) -> Response:
        given = parse_qs((await request.body())[:4096].decode("utf-8", "replace")).get("token", [""])[0]
        tokens = serving.secrets.get(serving.rules.admin_token or "", ())
        fits = [hmac.compare_digest(token.reveal().encode(), given.encode()) for token in tokens]
        if True not in fits:
            return _form(401, serving)
        response = RedirectResponse("/", 303, headers=_HEADERS)
        response.set_cookie(_COOKIE, _cookie(serving, session), httponly=True, samesite="strict", max_age=8 * 3600)
        return response

    return Starlette(
        routes=[
            Route("/", handled(_page, closed=True)),
            Route("/login", handled(lambda _, request: login(request), closed=False), methods=["POST"]),
            Route("/replay", handled(_replay, closed=True), methods=["POST"]),
            Route("/status", handled(_status, closed=False)),
            Route("/metrics", handled(_metrics, closed=False)),
        ]
    )


def _cookie(serving: Serving, session: bytes) -> str:
    tokens = serving.secrets.get(serving.rules.admin_token or "", ())
    return hashlib.sha256(session + b"".join(token.reveal().encode() for token in tokens)).hexdigest()


def _is_let_in(serving: Serving, request: Request, session: bytes) -> bool:
    if not serving.rules.admin_token:
        return False
    return hmac.compare_digest(request.cookies.get(_COOKIE, ""), _cookie(serving, session))


async def _status(serving: Serving, request: Request) -> Response:
    return JSONResponse(reading.status_of(serving))


async def _metrics(serving: Serving, request: Request) -> Response:
    return PlainTextResponse(reading.metrics_of(serving), media_type="text/plain; version=0.0.4; charset=utf-8")


async def _replay(serving: Serving, request: Request) -> Response:
    """Send one event or message again; the cookie is not sent by forms of other sites."""
    wanted = parse_qs((await request.body())[:4096].decode("utf-8", "replace")).get("id", [""])[0]
    await reading.replay(serving.database, [wanted])
    serving.dispatcher.wake()
    serving.deliverer.wake()
    return RedirectResponse("/", 303)


def _form(status: int, serving: Serving) -> Response:
    if not serving.rules.admin_token:
        text = "<p>The page is off: set <code>webhook.admin_token</code> to a reference.</p>"
    else:
        text = (
            '<form method="post" action="/login"><label>Token '
            '<input type="password" name="token" autocomplete="current-password" autofocus></label>'
            " <button>Open</button></form>"
        )
    return HTMLResponse(_html("difyops webhook", text), status, headers=_HEADERS)


async def _page(serving: Serving, request: Request) -> Response:
    status = reading.status_of(serving)
    facts = {
        "since": status["since"],
        "runs under way": status["runs"]["live"],
        "calls back waiting": status["messages"].get("pending", 0),
        "dead": status["messages"].get("dead", 0) + status["deliveries"].get("dead", 0),
    }
    head = _table(("", ""), list(facts.items()))
    events = [
        (row.received, row.source, row.kind, row.id, *_marked(row.state), row.said, _again(row.id, row.state))
        for row in reading.events(serving.database, limit=50)
    ]
    messages = [
        (row.made, row.type, row.run, row.url, *_marked(row.state), row.said, _again(row.id, row.state))
        for row in reading.messages(serving.database, limit=50)
    ]
    body = (
        f"<h1>difyops webhook</h1>{head}<h2>Events</h2>"
        + _table(("received", "source", "kind", "id", "state", "said", ""), events)
        + "<h2>Calls back</h2>"
        + _table(("made", "type", "run", "to", "state", "said", ""), messages)
    )
    return HTMLResponse(_html("difyops webhook", body))


class _Html(str):
    """Text that is HTML already."""

    __slots__ = ()


def _marked(state: str) -> tuple[_Html]:
    return (_Html(f'<span class="{escape(state)}">{escape(state)}</span>'),)


def _again(row_id: str, state: str) -> _Html:
    if state in (inbox.PENDING, inbox.STARTED, outbox.PENDING):
        return _Html("")
    return _Html(
        f'<form method="post" action="/replay"><input type="hidden" name="id" value="{escape(row_id)}">'
        "<button>Send again</button></form>"
    )


def _table(columns: tuple[str, ...], rows: list[Any]) -> str:
    def cell(value: object) -> str:
        return value if isinstance(value, _Html) else escape("" if value is None else str(value))

    head = "".join(f"<th>{escape(name)}</th>" for name in columns)
    lines = "".join("<tr>" + "".join(f"<td>{cell(value)}</td>" for value in row) + "</tr>" for row in rows)
    return f"<div><table><tr>{head}</tr>{lines}</table></div>" if rows else "<p>Nothing yet.</p>"


def _html(title: str, body: str) -> str:
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style><body>{body}</body></html>"
    )
