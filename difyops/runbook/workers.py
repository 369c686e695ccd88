"""The workers behind a broker, asked which queues they consume. The only home of ``kombu`` (extra ``redis``).

The question is the one of ``celery inspect active_queues``: a broadcast, answers for as long as somebody speaks. What
it needs in Redis, a list for the answers and its binding, is taken away again; the server's own keys are not touched,
nor are messages given back that kombu would think lost. One try, no retries: a broker that hangs must not hold us.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

from difyops.errors import NotSupported, Unreachable
from difyops.runbook.threads import apart
from difyops.secret_text import SecretText

INSTALL = "pip install 'difyops[redis]'"
_SOCKET = 3.0
_OWN_KEYS = {
    "unacked_key": "difyops.unacked",
    "unacked_index_key": "difyops.unacked_index",
    "unacked_mutex_key": "difyops.unacked_mutex",
}
Consumed = Mapping[str, frozenset[str]]


async def consumed(url: SecretText, prefix: str = "", patience: float = 1.5) -> Consumed:
    """Return the queues that each worker consumes, by worker; empty when none answers within ``patience`` seconds.

    ``prefix`` stands before every key of the broker (kombu's ``global_keyprefix``).

    Raises:
        NotSupported: the client is not installed. Unreachable: the broker does not let us ask.
    """
    kombu = _client()
    from redis.exceptions import RedisError

    try:
        replies = await apart(lambda: _asked(kombu, url.reveal(), prefix, patience))
    except (kombu.exceptions.KombuError, RedisError, OSError, LookupError, ValueError) as error:
        # The text of these errors can repeat the URL; the class says enough.
        raise Unreachable(f"The workers cannot be asked ({type(error).__name__}).") from None
    return _read(replies)


class _Once:
    """A producer that gives up at once, as the mailbox wants one: its own would try for ever."""

    def __init__(self, producer: Any) -> None:
        self._producer = producer

    def __enter__(self) -> _Once:
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def publish(self, body: Any, **options: Any) -> Any:
        """Publish ``body`` without retries."""
        return self._producer.publish(body, **{**options, "retry": False})


def _asked(kombu: Any, url: str, prefix: str, patience: float) -> list[Any]:
    limits = {"transport_options": _options(prefix), "connect_timeout": _SOCKET, "ssl": _tls(url)}
    with kombu.Connection(_address(url), **limits) as connection:
        connection.connect()  # asking for a channel would connect, too, and try for ever
        channel = connection.channel()
        pool = SimpleNamespace(acquire=lambda: _Once(kombu.Producer(channel, auto_declare=False)))
        # A list of answers that expires would leave its deadline behind; ours is deleted, answered or not.
        mailbox = kombu.pidbox.Mailbox(
            "celery", type="fanout", connection=connection, producer_pool=pool, reply_queue_expires=None
        )
        try:
            return list(mailbox.multi_call("active_queues", timeout=patience, channel=channel) or ())
        finally:
            channel.queue_delete(mailbox.reply_queue.name)


def _client() -> Any:
    try:
        import kombu.exceptions
        import kombu.pidbox
    except ImportError as error:
        raise NotSupported("The client for Celery's workers is not installed on this machine.", hint=INSTALL) from error
    return kombu


def _options(prefix: str) -> dict[str, Any]:
    limits = {"socket_timeout": _SOCKET, "socket_connect_timeout": _SOCKET}
    return {**_OWN_KEYS, **limits, **({"global_keyprefix": prefix} if prefix else {})}


def _address(url: str) -> str:
    """Return the URL as kombu writes it: a socket file has another scheme there than in the Redis client."""
    return re.sub(r"^unix://", "redis+socket://", re.sub(r"^(unix://[^?]*\?(?:.*&)?)db=", r"\1virtual_host=", url))


def _tls(url: str) -> Any:
    """Return what to ask of a TLS server: its certificate, as the Redis client does; kombu alone would not."""
    return {"ssl_cert_reqs": "required"} if url.startswith("rediss://") and "ssl_" not in url else False


def _read(replies: list[Any]) -> Consumed:
    """Read ``[{"celery@host": [{"name": "dataset", ...}]}]``; an answer of another shape consumes nothing."""
    found: dict[str, frozenset[str]] = {}
    for reply in replies:
        for worker, queues in reply.items() if isinstance(reply, Mapping) else ():
            rows = queues if isinstance(queues, list) else []
            found[str(worker)] = frozenset(str(row.get("name")) for row in rows if isinstance(row, Mapping))
    return found
