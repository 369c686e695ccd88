"""The server that the world reaches: ``/in/NAME`` takes signed events, ``/run/NAME`` runs apps and calls back.

Three paths need no router: an event costs as little here as can be.
"""

from __future__ import annotations

from starlette.types import ASGIApp, Receive, Scope, Send

from difyops.errors import StoreError
from difyops.webhook.relaying import run
from difyops.webhook.requests import JsonAnswer, Turned
from difyops.webhook.serving import Serving
from difyops.webhook.taking import take


def public_app(serving: Serving) -> ASGIApp:
    """Return the application."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        _, where, name, rest = (*scope["path"].split("/", 3), "", "", "")[:4]
        if where == "healthz" and not name:
            await _health(scope["method"])(scope, receive, send)
            return
        answer: ASGIApp
        try:
            answer = await _answered(serving, (where, name, rest), scope, receive)
        except Turned as turned:
            answer = turned.answer
        except StoreError:
            answer = Turned(503, "not_kept", "It could not be written to disk; send it again.", 5).answer
        serving.count(where if where in ("in", "run") else "other", getattr(answer, "status_code", 200))
        await answer(scope, receive, send)

    return app


async def _answered(serving: Serving, path: tuple[str, str, str], scope: Scope, receive: Receive) -> ASGIApp:
    where, name, rest = path
    if where not in ("in", "run") or not name or (where == "in" and rest):
        raise Turned(404, "not_found", "There is nothing here.")
    if scope["method"] != "POST":
        return _not_allowed("POST")
    if where == "in":
        return await take(serving, name, scope, receive)
    return await run(serving, name, rest, scope, receive)


def _health(method: str) -> JsonAnswer:
    return JsonAnswer({"ok": True}) if method in ("GET", "HEAD") else _not_allowed("GET")


def _not_allowed(method: str) -> JsonAnswer:
    body = {"code": "method_not_allowed", "message": f"Only {method} is taken here.", "status": 405}
    return JsonAnswer(body, 405, {"allow": method})
