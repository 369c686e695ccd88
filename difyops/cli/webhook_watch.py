"""The part of ``webhook watch`` that waits: the watch, and the outbox where no server delivers it."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass

from difyops.cli.session import Session
from difyops.targets import pick
from difyops.webhook.database import FILE, WebhookDatabase
from difyops.webhook.deliver import Deliverer
from difyops.webhook.rules import WebhookRules
from difyops.webhook.serving import loaded
from difyops.webhook.watching import RunWatch, WatchRequest


@dataclass(frozen=True, slots=True, kw_only=True)
class Watched:
    """What the command line asks for; times in seconds."""

    app: str
    callback: str
    every: float
    since: float
    once: bool
    content: bool


async def watch_app(session: Session, rules: WebhookRules, wanted: Watched) -> int:
    """Watch until interrupted, or once; return how many ends were told.

    Raises:
        Refused: the address is not one that calls may go to. DifyopsError: the instance cannot be reached at the start.
    """
    rules.callbacks.egress.check(wanted.callback)
    holds = await loaded(rules)
    async with session.instance() as instance:
        app = pick([item async for item in instance.console.apps()], wanted.app)
        database = WebhookDatabase(session.config.state / FILE)
        database.open()
        deliverer = Deliverer(
            database=database,
            callbacks=lambda: rules.callbacks,
            secrets=lambda: [one for item in rules.callbacks.secrets for one in holds.secrets[item]],
        )
        delivering = asyncio.create_task(deliverer.run())
        request = WatchRequest(
            app=app, url=wanted.callback, since=time.time() - wanted.since, every=wanted.every, once=wanted.once,
            content=wanted.content,
        )  # fmt: skip
        watch = RunWatch(database=database, instance=instance, request=request, on_told=deliverer.wake)
        try:
            told = await watch.run()
            await deliverer.caught_up()
        except asyncio.CancelledError:
            return watch.told
        else:
            return told
        finally:
            delivering.cancel()
            await asyncio.gather(delivering, return_exceptions=True)
            await database.close()
