"""``queue.age``: how long the oldest message waits."""

from __future__ import annotations

from datetime import datetime

from difyops.runbook.broker import BrokerMessage, Queue, broker, queues_of
from difyops.runbook.parameters import Duration, Reference
from difyops.runbook.resources import Resources
from difyops.runbook.result import Fail, Pass, Result, Value

_SEEN = "runbook.seen.queue"


async def check(
    resources: Resources,
    *,
    redis: Reference,
    max_age: Duration = 300.0,
    max_run: Duration = 1500.0,
    watch: Duration = 2.0,
    queues: list[str] | None = None,
    server_version: str | None = None,
    prefix: str = "",
) -> Result:
    """Hold the wait of the oldest message of each queue to ``max_age``, and the oldest one in work to ``max_run``.

    A message does not say when it was sent, so its wait counts from the first time that a run of difyops saw it at the
    head of its queue (kept in the ledger): a lower bound, exact enough where this runs every few minutes. What a
    worker took has its time in Redis. A message that is taken within ``watch`` seconds has not been waiting.
    """
    version = server_version or (await resources.instance()).transport.server_version
    names = queues or list(queues_of(version))
    async with broker(resources, redis, prefix) as opened:
        first = await opened.queues(names)
        if any(item.depth for item in first):
            await resources.clock.sleep(watch)
        second = {item.name: item for item in await opened.queues(names)}
        in_flight, taken_at = await opened.in_flight()
    now = resources.clock.now()
    waits = {item.name: _wait(resources, item, second[item.name], now, watch) for item in first}
    name = max(waits, key=lambda key: waits[key])
    oldest, in_work = waits[name], 0.0 if taken_at is None else max(0.0, now.timestamp() - taken_at)
    values = (
        Value(name="oldest", value=round(oldest, 1), unit="s", fail=max_age),
        Value(name="oldest_in_work", value=round(in_work, 1), unit="s", fail=max_run),
        Value(name="in_flight", value=in_flight, unit="messages"),
    )
    task = second[name].oldest.task if second[name].oldest else ""  # type: ignore[union-attr]
    if oldest > max_age:
        text = f"the oldest message of {name} has waited for at least {oldest:.0f} s ({task or 'unknown task'})"
        hint = "Is this queue in the worker's -Q list? Is every worker busy? See queue.depth."
        return Fail(text=text, values=values, hint=hint)
    if in_work > max_run:
        text = f"a worker has held a message for {in_work:.0f} s, longer than anything may run"
        return Fail(text=text, values=values, hint="A worker died or hangs; its messages come back after an hour.")
    return Pass(text=f"the oldest message has waited for {oldest:.0f} s", values=values)


def _wait(resources: Resources, before: Queue, after: Queue, now: datetime, watch: float) -> float:
    """Return for how long the message at the head of a queue has been seen there; 0 when it moves."""
    head: BrokerMessage | None = after.oldest
    if head is None or before.oldest is None or before.oldest.id != head.id:
        return 0.0
    seen = [event for event in resources.remembered(_SEEN, before.name) if event.data.get("message") == head.id]
    if seen:
        return (now - seen[0].when).total_seconds()
    resources.remember(_SEEN, before.name, {"message": head.id})
    return watch
