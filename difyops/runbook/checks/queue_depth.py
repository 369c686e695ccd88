"""``queue.depth``: how much waits in the worker's queues, and which queues nobody works on."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from difyops.counting import counted
from difyops.errors import DifyopsError, NotSupported
from difyops.runbook.broker import Broker, Queue, broker, queues_of
from difyops.runbook.parameters import Reference
from difyops.runbook.resources import Resources
from difyops.runbook.result import Fail, Inconclusive, Pass, Result, Value, Warn
from difyops.runbook.workers import Consumed

_START = "Start the worker; what waits is run then, late."
_LIST = "Add them to the worker's -Q list (CELERY_QUEUES), or remove that setting: the default list is the version's."


async def check(
    resources: Resources,
    *,
    redis: Reference,
    max_depth: int = 100,
    warn_depth: int | None = None,
    queues: list[str] | None = None,
    ask: bool = True,
    server_version: str | None = None,
    prefix: str = "",
) -> Result:
    """Count what waits in each queue that a worker of this server's version must consume, and see who consumes them.

    Fails above ``max_depth`` in one queue, when messages wait in a queue that no worker consumes, and without any
    worker. An empty queue that nobody consumes is a warning (an old ``-Q`` list starves it); so are messages in another
    queue of the broker that nobody consumes. The workers are asked as ``celery inspect active_queues`` does (2 s); when
    they are there and stay silent, who consumes what is inconclusive. ``ask: false`` only looks: how many clients wait
    for messages, which queues were ever declared. ``redis`` is a reference to the broker's URL (CELERY_BROKER_URL,
    usually database 1), ``prefix`` the server's REDIS_KEY_PREFIX. No message is taken, nothing is left in Redis.
    """
    version = server_version or (await resources.instance()).transport.server_version
    names = queues or list(queues_of(version))
    async with broker(resources, redis, prefix) as opened:
        found = await opened.queues(names)
        others = [] if queues else await opened.queues([name for name in await opened.declared() if name not in names])
        in_flight, _ = await opened.in_flight()
        clients = await opened.consumers()
        workers = await _answers(opened) if ask else None
    seen = _Seen(
        listed=tuple(found), others=tuple(others), in_flight=in_flight, clients=clients, workers=workers, asked=ask
    )
    return _judged(seen, max_depth, warn_depth)


async def _answers(opened: Broker) -> Consumed | None:
    """Return what the workers answer, ``None`` when the broker does not let them be asked."""
    try:
        return await opened.consumed()
    except NotSupported:
        raise
    except DifyopsError:
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Seen:
    """What was read. ``clients`` wait for messages (``None``: Redis does not say); ``workers`` answered, if asked."""

    listed: tuple[Queue, ...]
    others: tuple[Queue, ...]
    in_flight: int
    clients: int | None
    workers: Consumed | None
    asked: bool

    @property
    def deepest(self) -> Queue:
        """Return the queue in which most waits."""
        return max(self.listed, key=lambda item: item.depth)

    @property
    def waiting(self) -> int:
        """Return how many messages wait in the listed queues."""
        return sum(item.depth for item in self.listed)

    @property
    def excerpt(self) -> str:
        """Name the queues in which something waits, and who works."""
        depths = ", ".join(f"{item.name} {item.depth}" for item in (*self.listed, *self.others) if item.depth)
        workers = ", ".join(
            f"{name} ({counted(len(queues), 'queue')})" for name, queues in sorted((self.workers or {}).items())
        )
        return "; ".join(part for part in (depths, workers) if part)

    def unconsumed(self, queues: Iterable[Queue]) -> list[Queue]:
        """Return those of ``queues`` that no worker consumes; none while no worker answered."""
        if not self.workers:
            return []
        consumed = frozenset().union(*self.workers.values())
        return [item for item in queues if item.name not in consumed]

    def values(self, limit: int, warn: int | None) -> tuple[Value, ...]:
        """Return what was measured."""
        answered = Value(name="workers", value=len(self.workers), unit="workers") if self.workers is not None else None
        lonely = Value(name="unconsumed", value=len(self.unconsumed(self.listed)), unit="queues", warn=0)
        return (
            Value(name="deepest", value=self.deepest.depth, unit="messages", warn=warn, fail=limit),
            Value(name="waiting", value=self.waiting, unit="messages"),
            Value(name="in_flight", value=self.in_flight, unit="messages"),
            Value(name="consumers", value=self.clients, unit="clients"),
            *((answered,) if answered else ()),
            *((lonely,) if self.workers else ()),
        )


def _judged(seen: _Seen, limit: int, warn: int | None) -> Result:
    """Hold what was seen to the limits: what is worst first."""
    kind, text, hint = (
        _nobody(seen) or _starving(seen) or _deep(seen, limit) or _unknown(seen) or _odd(seen) or _close(seen, warn)
    ) or (Pass, _well(seen), None)
    return kind(text=text, values=seen.values(limit, warn), excerpt=seen.excerpt, hint=hint)


_Found = tuple[type[Result], str, str | None] | None


def _nobody(seen: _Seen) -> _Found:
    """Fail when there is no worker at all. One that is full takes nothing for a while, but it answers."""
    if seen.workers or seen.clients != 0:
        return None
    if not seen.asked and seen.in_flight:
        text = f"nobody waits for messages and {seen.in_flight} are held by workers: all busy, or dead"
        return Inconclusive, text, "Ask them (ask: true), or look at queue.age."
    said = "no worker answers, and " if seen.workers is not None else ""
    return Fail, f"{said}nobody takes messages from the queues; {seen.waiting} wait", _START


def _starving(seen: _Seen) -> _Found:
    lonely = [item for item in seen.unconsumed(seen.listed) if item.depth]
    if not lonely:
        return None
    named = ", ".join(f"{item.name} ({item.depth})" for item in lonely)
    return Fail, f"messages wait in queues that no worker consumes: {named}", _LIST


def _deep(seen: _Seen, limit: int) -> _Found:
    if seen.deepest.depth <= limit:
        return None
    text = (
        f"{counted(seen.deepest.depth, 'message waits', 'messages wait')} in {seen.deepest.name} (at most"
        f" {limit}), {seen.waiting} in all"
    )
    return Fail, text, "Find what floods it (runs by app), switch that trigger off, or add workers."


def _unknown(seen: _Seen) -> _Found:
    """Say that nobody knows who consumes what, when the workers were asked in vain."""
    if not seen.asked or seen.workers:
        return None
    why = "workers do not answer (busy, solo pool, or remote control off)"
    if seen.workers is None:
        why = "the broker does not let the workers be asked"
    there = (
        "Redis does not say who is there"
        if seen.clients is None
        else f"{counted(seen.clients, 'client waits', 'clients wait')} for messages"
    )
    return (
        Inconclusive,
        f"{why}; {there}, {counted(seen.waiting, 'message waits', 'messages wait')}",
        "ask: false judges without them.",
    )


def _odd(seen: _Seen) -> _Found:
    """Warn about queues that nobody consumes and that do no harm yet."""
    lonely = [item.name for item in seen.unconsumed(seen.listed)]
    if lonely:
        text = f"no worker consumes {', '.join(lonely)} (empty now): is a worker's -Q list older than the server?"
        return Warn, text, _LIST
    undeclared = [item.name for item in seen.listed if not item.declared]
    if undeclared and not seen.workers:
        text = f"no worker ever declared {', '.join(undeclared)}: is the worker's -Q list older than the server?"
        return Warn, text, _LIST
    aside = [f"{item.name} ({item.depth})" for item in seen.unconsumed(seen.others) if item.depth]
    if aside:
        text = f"messages wait in {', '.join(aside)}, which no worker consumes and the version's own list leaves out"
        return Warn, text, "Add it to the worker's -Q list where it is needed."
    return None


def _close(seen: _Seen, warn: int | None) -> _Found:
    if warn is None or seen.deepest.depth <= warn:
        return None
    return Warn, f"{counted(seen.deepest.depth, 'message waits', 'messages wait')} in {seen.deepest.name}", None


def _well(seen: _Seen) -> str:
    if not seen.workers:
        return f"{counted(seen.waiting, 'message waits', 'messages wait')} in {counted(len(seen.listed), 'queue')}"
    return (
        f"{counted(seen.waiting, 'message waits', 'messages wait')} in"
        f" {counted(len(seen.listed), 'queue')}, each consumed by a worker"
    )
