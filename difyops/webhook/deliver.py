"""Calls back: signed, sent at least once under a stable id, tried again by the ladder, and dead letters in the end."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from difyops import atomic_file, signing_keys
from difyops.api.guard import USER_AGENT
from difyops.api.outbound import Outbound, Said
from difyops.errors import DifyopsError, LockHeld
from difyops.secret_text import SecretText, scrub
from difyops.webhook import ladder, outbox
from difyops.webhook.database import WebhookDatabase
from difyops.webhook.egress import target_of
from difyops.webhook.outbox import OutboxMessage, TriedCall
from difyops.webhook.requests import HOPS
from difyops.webhook.rules import Callbacks
from difyops.webhook.signing import sign_plain, sign_standard

PATIENCE = 15.0
LOCK_FILE = "webhook-outbox.lock"
_LOOK = 1.0
_A_HOST = 4  # calls at the same time to one receiver
log = logging.getLogger("difyops.webhook")


@dataclass(slots=True, kw_only=True)
class Deliverer:
    """Sends what is due. ``callbacks`` and ``secrets`` give what holds now: they change with a reload."""

    database: WebhookDatabase
    callbacks: Callable[[], Callbacks]
    secrets: Callable[[], Sequence[SecretText]]
    outbound: Outbound = field(default_factory=Outbound)
    counts: Counter[str] = field(default_factory=Counter)
    _under_way: dict[str, tuple[str, asyncio.Task[None]]] = field(default_factory=dict)
    _woken: asyncio.Event = field(default_factory=asyncio.Event)

    def wake(self) -> None:
        """Look at once: something is due."""
        self._woken.set()

    async def run(self) -> None:
        """Deliver until cancelled. Of the processes with this file (a server, a watch) one delivers for all."""
        while True:
            try:
                with atomic_file.lock(self.database.path.with_name(LOCK_FILE), holding="the outbox"):
                    await self._deliver_due()
            except LockHeld:
                await asyncio.sleep(_LOOK)

    async def _deliver_due(self) -> None:
        try:
            while True:
                self._woken.clear()
                try:
                    self._begin_due()
                except DifyopsError as error:
                    log.error("the outbox cannot be read: %s", error.message)
                try:
                    async with asyncio.timeout(_LOOK):
                        await self._woken.wait()
                except TimeoutError:
                    continue
        finally:
            tasks = [task for _, task in self._under_way.values()]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def caught_up(self) -> None:
        """Wait until nothing is due (somebody delivers it, here or in another process)."""
        while self._under_way or self.database.read(*outbox.due_messages(time.time(), 1)):
            self.wake()
            await asyncio.sleep(0.05)

    def _begin_due(self) -> None:
        room = self.callbacks().parallel - len(self._under_way)
        if room <= 0:
            return
        busy = Counter(host for host, _ in self._under_way.values())
        question = outbox.due_messages(time.time(), room * 4 + len(self._under_way))
        for row in self.database.read(*question):
            message = outbox.message_of(row)
            host = message.url.split("/", 3)[2]
            if room <= 0:
                return
            if message.id in self._under_way or busy[host] >= _A_HOST:
                continue
            task = asyncio.get_running_loop().create_task(self._deliver(message))
            self._under_way[message.id] = (host, task)
            busy[host] += 1
            room -= 1

    async def _deliver(self, message: OutboxMessage) -> None:
        try:
            tried = await self._tried(message)
            await self.database.write(outbox.tried(tried))
            self.counts[tried.state if tried.state != outbox.PENDING else "failed"] += 1
        except DifyopsError as error:
            log.error("the attempt for %s cannot be written: %s", message.id, error.message)
            await asyncio.sleep(1.0)  # it is made again: a receiver knows the id
        finally:
            self._under_way.pop(message.id, None)
            self.wake()

    async def _tried(self, message: OutboxMessage) -> TriedCall:
        said, problem = None, ""
        try:
            said = await self.send(message)
            problem = "" if said.ok else f"HTTP {said.status}"
        except DifyopsError as error:
            problem = scrub(error.message)
        now = time.time()
        if said is not None and said.ok:
            return TriedCall(message=message, state=outbox.DELIVERED, said=f"HTTP {said.status}", now=now)
        if said is not None and said.status == 410:
            return TriedCall(message=message, state=outbox.DEAD, said=problem, now=now, disables="it answered 410 Gone")
        if said is not None and said.headers.get("webhook-delivery", "").strip().lower() == "abort-message":
            return TriedCall(message=message, state=outbox.DEAD, said=f"{problem}, abort-message", now=now)
        wish = ladder.wish_of(said.headers.get("retry-after")) if said is not None else None
        due = ladder.next_try(message.attempts + 1, now, wish)
        return TriedCall(
            message=message, state=outbox.DEAD if due is None else outbox.PENDING, said=problem, now=now, due=due
        )  # fmt: skip

    async def send(self, message: OutboxMessage) -> Said:
        """Send one message once, signed with every secret that counts now.

        Raises:
            DifyopsError: the address may not be called (any more), or cannot be.
        """
        egress = self.callbacks().egress
        target = egress.check(message.url)
        return await self.outbound.post(
            target.url, headers=headers_for(message, self.secrets()), body=message.body,
            admits=lambda address: egress.admits(target, address), patience=PATIENCE,
        )  # fmt: skip


def headers_for(message: OutboxMessage, secrets: Sequence[SecretText]) -> dict[str, str]:
    """Return the headers of a call back: Standard Webhooks', and ``Dify-Signature`` by the first shared secret."""
    now = int(time.time())
    headers = {
        "content-type": "application/json",
        "user-agent": USER_AGENT,
        "webhook-id": message.id,
        "webhook-timestamp": str(now),
        HOPS: str(message.hops),
    }
    if secrets:
        headers["webhook-signature"] = sign_standard(secrets, message.id, now, message.body)
    if shared := [item for item in secrets if not signing_keys.is_pair(item)]:
        headers["Dify-Signature"] = sign_plain(shared[0], message.body)
    return headers


def shown(url: str) -> str:
    """Return what may be shown of an address that a caller gave."""
    try:
        return target_of(url).shown
    except DifyopsError:
        return "(no address)"
