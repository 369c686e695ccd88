"""The addresses of webhook triggers, and calling one as an outside caller does."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from difyops.api import answers
from difyops.api.console import Console
from difyops.api.messages import HttpAnswer
from difyops.api.paths import part
from difyops.api.transport import Transport
from difyops.errors import NotFound


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookAddress:
    """Where a webhook node listens. Who knows the address may call it: nothing else protects it."""

    url: str
    debug_url: str | None


async def webhook_address(console: Console, app_id: str, node_id: str) -> WebhookAddress | None:
    """Return the address of a webhook node, ``None`` when the server knows none (1.10 and newer)."""
    path = f"/apps/{part(app_id)}/workflows/triggers/webhook"
    try:
        body = await console.mapping(path, doing="read the webhook's address", shape=answers.WEBHOOK, node_id=node_id)
    except NotFound:
        return None
    return WebhookAddress(url=str(body["webhook_url"]), debug_url=body.get("webhook_debug_url") or None)


async def call_webhook(
    transport: Transport, address: str, *, method: str, content: bytes, headers: Mapping[str, str]
) -> HttpAnswer:
    """Call a webhook once, at the server that we know: only the path of its own ``address`` is taken.

    Raises:
        NotFound, RequestRejected: unknown, switched off, or not what the node expects. Unreachable.
    """
    parts = urlsplit(address)
    path = f"{parts.path}?{parts.query}" if parts.query else parts.path
    return await transport.request(
        method, path, doing="call the webhook", repeatable=False, headers=dict(headers), content=content or None
    )
