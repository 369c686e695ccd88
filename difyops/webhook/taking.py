"""``/in/NAME``: signed events. What is answered with 2xx was verified over its raw bytes and is on disk."""

from __future__ import annotations

import time
from collections.abc import Mapping

import orjson
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope

from difyops.webhook import inbox
from difyops.webhook.requests import JsonAnswer, Turned, body_of, headers_of, hops_of
from difyops.webhook.rules import EventSource
from difyops.webhook.serving import Serving
from difyops.webhook.signing import BadSignature, Received

_KINDS = ("x-github-event", "x-event-type", "ce-type")


async def take(serving: Serving, name: str, scope: Scope, receive: Receive) -> ASGIApp:
    """Take one event; return the answer.

    Raises:
        Turned: there is no such source, or the event is not taken. StoreError: it could not be written.
    """
    source = serving.rules.sources.get(name)
    if source is None:
        raise Turned(404, "not_found", "There is no source of that name.")
    if serving.draining:
        raise Turned(503, "stopping", "The server stops; send it again.", 5)
    headers = headers_of(scope)
    hops = hops_of(headers)
    body = await body_of(receive, headers, serving.rules.limits)
    now = time.time()
    try:
        verified = serving.checks[source.name].verify(Received(headers=headers, body=body, now=now))
    except BadSignature as bad:
        raise Turned(401, "bad_signature", f"{bad}.".capitalize()) from None
    if (challenge := _challenge(source, body)) is not None:
        return PlainTextResponse(challenge)
    event = inbox.InboxEvent(
        id=serving.event_ids.at(now), source=source.name, dedupe=verified.key, received=now, sent=verified.sent,
        hops=hops, kind=_kind(headers, body), content_type=headers.get("content-type", "")[:100], body=body,
    )  # fmt: skip
    earlier = await serving.database.add(inbox.keep, (event, source))
    if earlier is not None:
        return JsonAnswer({"id": earlier, "duplicate": True})
    serving.wake()
    return JsonAnswer({"id": event.id})


def _challenge(source: EventSource, body: bytes) -> str | None:
    """Return what Slack wants to hear before it sends events to an address."""
    if source.scheme != "slack" or b"url_verification" not in body:
        return None
    try:
        found = orjson.loads(body)
    except ValueError:
        return None
    is_asked = isinstance(found, dict) and found.get("type") == "url_verification"
    return str(found.get("challenge"))[:500] if is_asked else None


def _kind(headers: Mapping[str, str], body: bytes) -> str:
    for name in _KINDS:
        if headers.get(name):
            return headers[name][:100]
    try:
        found = orjson.loads(body) if len(body) < 100_000 else None
    except ValueError:
        found = None
    value = found.get("type") or found.get("event") if isinstance(found, dict) else None
    return value[:100] if isinstance(value, str) else ""
