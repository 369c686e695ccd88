"""``queue.depth``: how much waits in the worker's queues, and which queues nobody works on."""

from __future__ import annotations

from difyops.runbook.broker import Queue, broker, queues_of
from difyops.runbook.parameters import Reference
from difyops.runbook.result import Fail, Pass, Result, Value, Warn
from difyops.runbook.scene import Scene


async def check(
    scene: Scene,
    *,
    redis: Reference,
    max_depth: int = 100,
    warn_depth: int | None = None,
    queues: list[str] | None = None,
    server_version: str | None = None,
    prefix: str = "",
) -> Result:
    """Count what waits in each queue that a worker of this server's version must consume.

    Fails above ``max_depth`` in one queue, and when nothing at all takes messages (no worker). A queue of the version's
    list that nobody ever declared is a warning: workers started with an older ``-Q`` list starve it. ``redis`` is a
    reference to the broker's URL (CELERY_BROKER_URL, usually database 1). Only reads.
    """
    version = server_version or (await scene.instance()).transport.server_version
    names = queues or list(queues_of(version))
    async with broker(scene, redis, prefix) as opened:
        found = await opened.queues(names)
        in_flight, _ = await opened.in_flight()
        consumers = await opened.consumers()
    deepest = max(found, key=lambda item: item.depth)
    values = (
        Value(name="deepest", value=deepest.depth, unit="messages", warn=warn_depth, fail=max_depth),
        Value(name="waiting", value=sum(item.depth for item in found), unit="messages"),
        Value(name="in_flight", value=in_flight, unit="messages"),
        Value(name="consumers", value=consumers, unit="workers"),
    )
    excerpt = ", ".join(f"{item.name} {item.depth}" for item in found if item.depth)
    return _judged(found, deepest, consumers, values, excerpt, max_depth, warn_depth)


def _judged(
    found: list[Queue],
    deepest: Queue,
    consumers: int | None,
    values: tuple[Value, ...],
    excerpt: str,
    limit: int,
    warn: int | None,
) -> Result:
    waiting = values[1].value
    if consumers == 0:
        text = f"nobody takes messages from the queues; {waiting} wait"
        return Fail(text=text, values=values, excerpt=excerpt, hint="Start the worker; what waits is run then, late.")
    if deepest.depth > limit:
        text = f"{deepest.depth} messages wait in {deepest.name} (at most {limit}), {waiting} in all"
        hint = "Find what floods it (runs by app), switch that trigger off, or add workers."
        return Fail(text=text, values=values, excerpt=excerpt, hint=hint)
    strangers = [item.name for item in found if not item.declared]
    if strangers:
        text = f"no worker ever declared {', '.join(strangers)}: is the worker's -Q list older than the server?"
        return Warn(text=text, values=values, excerpt=excerpt)
    if warn is not None and deepest.depth > warn:
        return Warn(text=f"{deepest.depth} messages wait in {deepest.name}", values=values, excerpt=excerpt)
    return Pass(text=f"{waiting} messages wait in {len(found)} queues", values=values, excerpt=excerpt)
