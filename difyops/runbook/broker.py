"""The broker behind a worker: queues in Redis, read only. The only home of the ``redis`` client (an optional extra).

Celery keeps a queue as a list (newest left, oldest right), what workers took and have not finished in ``unacked``, and
a set ``_kombu.binding.<queue>`` for every queue that anybody ever declared. Lists of queues by version: the platform's
own worker entry point; ``-Q`` lists of older versions starve the queues that came later. Who consumes them, the workers
tell (``workers``).
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from difyops.api.capabilities import Version, parse
from difyops.errors import CredentialError, NotSupported, Unreachable
from difyops.runbook.resources import Resources
from difyops.runbook.workers import INSTALL, Consumed, consumed
from difyops.secret_text import SecretText

_MOST_KEYS, _A_PAGE = 20_000, 1000
_BINDING = "_kombu.binding."
_NO_TASKS = ("pidbox", "celeryev")
_PRIORITIES = ("", "\x06\x163", "\x06\x166", "\x06\x169")  # how kombu names a list per priority
_WAITING = ("brpop", "blpop", "bzmpop")
_QUEUES: tuple[tuple[Version, tuple[str, ...]], ...] = (
    ((1, 0, 0), ("dataset", "mail", "ops_trace", "app_deletion")),
    ((1, 9, 0), ("pipeline", "plugin", "workflow_storage", "conversation")),
    ((1, 10, 0), ("priority_dataset", "priority_pipeline", "workflow", "schedule_poller", "schedule_executor",
                  "triggered_workflow_dispatcher", "trigger_refresh_executor")),
    ((1, 13, 0), ("api_token", "retention", "workflow_based_app_execution")),
    ((1, 13, 3), ("dataset_summary",)),
    ((1, 15, 0), ("trigger_refresh_publisher",)),
)  # fmt: skip


def queues_of(version: str) -> tuple[str, ...]:
    """Return the queues that a worker of this server version must consume; of the newest when it is unknown."""
    number = parse(version) or (99, 0, 0)
    return tuple(name for since, names in _QUEUES if number >= since for name in names)


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokerMessage:
    """The oldest message of a queue: its task id and name (blank when it is not Celery's)."""

    id: str
    task: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Queue:
    """One queue: how many wait, the oldest of them, and whether anybody ever declared it."""

    name: str
    depth: int
    oldest: BrokerMessage | None
    declared: bool


@dataclass(slots=True)
class Broker:
    """An open connection to the broker's database; ``prefix`` is REDIS_KEY_PREFIX (1.14 and newer)."""

    client: Any
    url: SecretText
    prefix: str = ""

    async def queues(self, names: Sequence[str]) -> list[Queue]:
        """Return depth and oldest message of each queue, in one round trip."""
        pipe = self.client.pipeline(transaction=False)
        for name in names:
            for tail in _PRIORITIES:
                pipe.llen(f"{self.prefix}{name}{tail}")
            pipe.lindex(f"{self.prefix}{name}", -1)
            pipe.exists(f"{self.prefix}{_BINDING}{name}")
        width = len(_PRIORITIES) + 2
        answers = await pipe.execute()
        found = []
        for number, name in enumerate(names):
            *depths, oldest, declared = answers[number * width : (number + 1) * width]
            message = _message(oldest) if oldest else None
            found.append(Queue(name=name, depth=sum(depths), oldest=message, declared=bool(declared)))
        return found

    async def declared(self) -> list[str]:
        """Return the names of the task queues that anybody ever declared: of a huge database those met first, none when
        Redis may not say.
        """
        from redis.exceptions import ResponseError

        start = f"{self.prefix}{_BINDING}"
        names: set[str] = set()
        with contextlib.suppress(ResponseError):
            names = {key.removeprefix(start) async for key in self._keys(f"{_literal(start)}*")}
        return sorted(name for name in names if not name.endswith(_NO_TASKS))

    async def _keys(self, pattern: str) -> AsyncIterator[str]:
        cursor, looked = -1, 0
        while cursor != 0 and looked < _MOST_KEYS:
            cursor, keys = await self.client.scan(max(cursor, 0), match=pattern, count=_A_PAGE)
            looked += _A_PAGE
            for key in keys:
                yield key.decode("utf-8", "replace")

    async def consumed(self, patience: float = 1.5) -> Consumed:
        """Ask the workers which queues they consume: see ``workers.consumed``."""
        return await consumed(self.url, self.prefix, patience)

    async def in_flight(self) -> tuple[int, float | None]:
        """Return how many messages workers hold, and when (unix seconds) the oldest of them was taken."""
        count = await self.client.hlen(f"{self.prefix}unacked")
        oldest = await self.client.zrange(f"{self.prefix}unacked_index", 0, 0, withscores=True)
        return int(count), float(oldest[0][1]) if oldest else None

    async def consumers(self) -> int | None:
        """Return how many clients of this database take messages (their last command was BRPOP); ``None`` when Redis
        may not say.
        """
        from redis.exceptions import ResponseError

        with contextlib.suppress(ResponseError):
            database = str(self.client.connection_pool.connection_kwargs.get("db") or 0)
            rows = await self.client.client_list()
            return len([row for row in rows if row.get("cmd") in _WAITING and row.get("db") == database])
        return None


@asynccontextmanager
async def broker(resources: Resources, reference: str, prefix: str = "") -> AsyncIterator[Broker]:
    """Open the broker whose URL (``redis://:password@host:6379/1``) is behind ``reference``; close it afterwards.

    Raises:
        NotSupported: the client is not installed (says how to). CredentialError: the URL is not one.
        Unreachable: Redis does not answer, refuses the password, or breaks off.
    """
    try:
        import redis.asyncio as client
        from redis.asyncio.retry import Retry
        from redis.backoff import NoBackoff
        from redis.exceptions import RedisError
    except ImportError as error:
        raise NotSupported("The Redis client is not installed on this machine.", hint=INSTALL) from error
    url = await resources.secret(reference)
    # One try: a Redis that hangs is told after five seconds, not after as many for each of the client's retries.
    limits: dict[str, Any] = {"socket_timeout": 5.0, "socket_connect_timeout": 5.0, "retry": Retry(NoBackoff(), 0)}
    try:
        connection = client.Redis.from_url(url.reveal(), **limits)
    except ValueError:
        raise CredentialError(
            "The broker's URL cannot be read.", hint="redis://:PASSWORD@HOST:6379/1 (CELERY_BROKER_URL of the server)"
        ) from None
    try:
        yield Broker(connection, url, prefix)
    except (RedisError, OSError) as error:
        # The text of these errors can repeat the URL; the class says enough.
        raise Unreachable(
            f"Redis cannot be asked ({type(error).__name__}).", hint="Is it up, and the URL right?"
        ) from None
    finally:
        await connection.aclose()


def _literal(text: str) -> str:
    """Return a text as a Redis pattern that matches only it."""
    return "".join(f"\\{character}" if character in "*?[]^\\" else character for character in text)


def _message(raw: bytes) -> BrokerMessage:
    try:
        headers = json.loads(raw).get("headers") or {}
        return BrokerMessage(id=str(headers.get("id") or ""), task=str(headers.get("task") or ""))
    except (ValueError, AttributeError, RecursionError):
        return BrokerMessage(id="", task="")
