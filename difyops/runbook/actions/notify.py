"""``notify``: tell people, or the switch that watches over a job."""

from __future__ import annotations

import json
from typing import Literal

from difyops.api.probe import Probe, fetch
from difyops.counting import counted
from difyops.errors import DifyopsError, UsageError
from difyops.runbook.mail import Letter, send
from difyops.runbook.parameters import Reference
from difyops.runbook.ping import ping
from difyops.runbook.resources import Resources
from difyops.runbook.result import Acted, Planned
from difyops.secret_text import scrub

_TAILS = {"start": "/start", "success": "", "failure": "/fail"}


async def plan(
    resources: Resources,
    *,
    message: str,
    webhook: Reference | None = None,
    email: list[str] | None = None,
    smtp: str | None = None,
    sender: str | None = None,
    smtp_user: str | None = None,
    smtp_password: Reference | None = None,
    ping_url: Reference | None = None,
    phase: Literal["start", "success", "failure"] = "success",
) -> Planned:
    """Send ``message`` to a Slack-style webhook, by e-mail, to a dead-man URL, or to several of them.

    ``webhook`` and ``ping_url`` are references (their addresses are secrets). ``smtp`` is ``host:port`` (STARTTLS where
    offered, always with a password; 465 is TLS from the start), ``sender`` the From address. A way that fails does not
    keep the others from being tried. Without any way there is nothing to do. What was sent cannot be taken back.
    """
    if email and not (smtp and sender):
        raise UsageError("E-mail needs smtp (host:port) and sender.")
    ways = [name for name, given in (("webhook", webhook), ("email", email), ("ping", ping_url)) if given]
    if not ways:
        return Planned(text="nobody is to be told (no webhook, email or ping_url)")
    text = scrub(message)

    async def one(way: str) -> None:
        if way == "webhook":
            await _post(resources, str(webhook), text)
        elif way == "ping":
            await ping(resources, str(ping_url), _TAILS[phase], text)
        else:
            password = await resources.secret(smtp_password) if smtp_password else None
            letter = Letter(
                to=tuple(email or ()), sender=str(sender), subject=text.strip().partition("\n")[0][:120], body=text
            )
            await send(str(smtp), letter, user=smtp_user, password=password)

    async def apply() -> Acted:
        problems = []
        for way in ways:
            try:
                await one(way)
            except DifyopsError as error:
                problems.append(f"{way}: {error.message}")
        if problems:
            raise DifyopsError(f"{len(problems)} of {counted(len(ways), 'way')} failed: {'; '.join(problems)}")
        return Acted(text=f"told by {', '.join(ways)}")

    return Planned(text=f"tell people by {', '.join(ways)}: {text[:120]}", apply=apply, asks=False)


async def _post(resources: Resources, reference: str, text: str) -> None:
    url = (await resources.secret(reference)).reveal()
    body = json.dumps({"text": text}).encode()
    answer = await fetch(url, Probe(method="POST", headers={"Content-Type": "application/json"}, body=body))
    answer.require_good("post to the webhook")
