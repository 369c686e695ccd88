"""A test: one signed event to a source of the running server, or one signed call to a receiver."""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from difyops import signing_keys
from difyops.api.outbound import Outbound
from difyops.credentials import resolve_async
from difyops.errors import AnswerIsNo, UsageError
from difyops.secret_text import SecretText, scrub
from difyops.webhook import events
from difyops.webhook.deliver import headers_for
from difyops.webhook.outbox import OutboxMessage
from difyops.webhook.rules import EventSource, WebhookRules
from difyops.webhook.serve import running_in
from difyops.webhook.signing import sign_standard


@dataclass(frozen=True, slots=True, kw_only=True)
class Tested:
    """What the other side said to a test."""

    to: str
    status: int
    text: str
    ok: bool


async def send_test(rules: WebhookRules, state: Path, name: str, body: bytes | None) -> Tested:
    """Send one test.

    Raises:
        UsageError: there is no such source, and it is no address. Refused: the address is not allowed. AnswerIsNo: no
            server runs. Unreachable, CredentialError.
    """
    if "://" in name:
        return await _to_receiver(rules, name, body)
    source = rules.sources.get(name)
    if source is None:
        known = ", ".join(sorted(rules.sources)) or "none"
        raise UsageError(f"There is no source {name!r} (known: {known}).")
    running = running_in(state)
    if running is None:
        raise AnswerIsNo("No webhook server runs.", hint="difyops webhook serve --detach")
    content = body or json.dumps({"type": events.TEST, "id": f"test_{secrets.token_hex(8)}"}).encode()
    headers = signed(source, await _signing(source), content)
    url = f"{running.listen.replace('0.0.0.0', '127.0.0.1')}/in/{name}"  # noqa: S104  (where it listens)
    said = await Outbound().post(url, headers=headers, body=content, admits=lambda _: True)
    return Tested(to=url, status=said.status, text=scrub(said.body.decode("utf-8", "replace")), ok=said.ok)


async def _signing(source: EventSource) -> SecretText:
    for reference in source.secrets:
        if signing_keys.can_sign(secret := await resolve_async(reference)):
            return secret
    raise UsageError(f"Events of {source.name} are verified with public keys only: nothing here can sign one.")


async def _to_receiver(rules: WebhookRules, url: str, body: bytes | None) -> Tested:
    target = rules.callbacks.egress.check(url)
    now = time.time()
    content = body or json.dumps({"type": events.TEST, "timestamp": events.stamp(now), "data": {}}).encode()
    message = OutboxMessage(
        id=f"msg_{secrets.token_hex(16)}", run="", type=events.TEST, url=target.url, body=content, made=now
    )  # fmt: skip
    keys = [await resolve_async(item) for item in rules.callbacks.secrets]
    said = await Outbound().post(
        target.url, headers=headers_for(message, keys), body=content,
        admits=lambda address: rules.callbacks.egress.admits(target, address),
    )  # fmt: skip
    return Tested(to=target.shown, status=said.status, text=scrub(said.body.decode("utf-8", "replace")), ok=said.ok)


def signed(source: EventSource, secret: SecretText, body: bytes, now: float | None = None) -> Mapping[str, str]:
    """Return the headers that a sender of this source would send with a body."""
    at = int(time.time() if now is None else now)
    key = secret.reveal().encode()

    def mac(content: bytes) -> str:
        return hmac.new(key, content, hashlib.sha256).hexdigest()

    head = {"content-type": "application/json"}
    match source.scheme:
        case "standard":
            message_id = f"msg_{secrets.token_hex(12)}"
            signature = sign_standard([secret], message_id, at, body)
            return {**head, "webhook-id": message_id, "webhook-timestamp": str(at), "webhook-signature": signature}
        case "github":
            return {**head, "x-hub-signature-256": f"sha256={mac(body)}", "x-github-event": "ping"}
        case "stripe":
            return {**head, "stripe-signature": f"t={at},v1={mac(f'{at}.'.encode() + body)}"}
        case "slack":
            signature = f"v0={mac(f'v0:{at}:'.encode() + body)}"
            return {**head, "x-slack-request-timestamp": str(at), "x-slack-signature": signature}
    return {**head, source.header: mac(body)}
