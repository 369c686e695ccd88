"""Events on their way to apps, addresses, runbooks and commands; order, rate and pause by destination."""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from difyops.api.guard import USER_AGENT
from difyops.api.input_form import check_inputs
from difyops.api.outbound import Outbound
from difyops.api.run_faults import RunFailed
from difyops.errors import DifyopsError, Refused, UsageError
from difyops.secret_text import scrub
from difyops.webhook import inbox, ladder, outbox, programs
from difyops.webhook.database import WebhookDatabase
from difyops.webhook.filling import filled, text_at
from difyops.webhook.inbox import Delivery
from difyops.webhook.outbox import RunRow
from difyops.webhook.reaching import Address, Desks
from difyops.webhook.requests import HOPS
from difyops.webhook.rules import Destination, WebhookRules
from difyops.webhook.running import Runs

_LOOK = 1.0
log = logging.getLogger("difyops.webhook")


@dataclass(frozen=True, slots=True, kw_only=True)
class DispatchEnded:
    """How an attempt ended: done; again (``wish``: not before so many seconds); dead; or ``begun``: a run tells it."""

    state: str
    said: str = ""
    wish: float | None = None


AGAIN = "again"
BEGUN = "begun"


@dataclass(slots=True)
class _Lane:
    """One destination: what is under way, and how fast it may go."""

    under_way: dict[int, asyncio.Task[None]] = field(default_factory=dict)
    tokens: float = 1.0
    filled_at: float = field(default_factory=time.monotonic)

    def room(self, destination: Destination) -> int:
        """Return how many may begin now."""
        free = destination.parallel - len(self.under_way)
        if destination.rate <= 0:
            return free
        now = time.monotonic()
        most = max(1.0, destination.rate)
        self.tokens = min(most, self.tokens + (now - self.filled_at) * destination.rate)
        self.filled_at = now
        return min(free, int(self.tokens))


@dataclass(slots=True, kw_only=True)
class Dispatcher:
    """Hands events out. ``rules`` gives what holds now."""

    database: WebhookDatabase
    rules: Callable[[], WebhookRules]
    desks: Desks
    runs: Runs
    outbound: Outbound
    counts: Counter[tuple[str, str]] = field(default_factory=Counter)
    _lanes: dict[str, _Lane] = field(default_factory=dict)
    _woken: asyncio.Event = field(default_factory=asyncio.Event)

    def wake(self) -> None:
        """Look at once."""
        self._woken.set()

    async def recover(self) -> None:
        """Put in order what the last process had begun: what may be repeated is, the rest waits for a person.

        An event that became a run is told by the run.
        """
        again = [item.name for item in self.rules().destinations.values() if may_repeat(item)]
        marks = ",".join("?" * len(again))
        now = time.time()

        def work(connection: Any) -> None:
            connection.execute(
                f"UPDATE delivery SET state = 'pending', due = ? WHERE state = 'started' AND run IS NULL"  # noqa: S608
                f" AND destination IN ({marks})",
                (now, *again),
            )
            connection.execute(
                "UPDATE delivery SET state = 'dead', ended = ?, said = ? WHERE state = 'started' AND run IS NULL",
                (now, "cut off by a restart: it is unknown whether it was done"),
            )

        await self.database.write(work)

    async def run(self) -> None:
        """Dispatch until cancelled."""
        while True:
            self._woken.clear()
            pause = _LOOK
            for destination in self.rules().destinations.values():
                if destination.paused:
                    continue
                try:
                    if self._begin_due(destination) and destination.rate > 0:
                        pause = min(pause, 1.0 / destination.rate)
                except DifyopsError as error:
                    log.error("the inbox cannot be read: %s", error.message)
            try:
                async with asyncio.timeout(pause):
                    await self._woken.wait()
            except TimeoutError:
                continue

    async def idle(self, seconds: float) -> None:
        """Wait until what is under way is done, and leave the rest."""
        tasks = {task for lane in self._lanes.values() for task in lane.under_way.values()}
        if tasks:
            await asyncio.wait(tasks, timeout=seconds)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _begin_due(self, destination: Destination) -> bool:
        lane = self._lanes.setdefault(destination.name, _Lane())
        room = lane.room(destination)
        if room <= 0:
            return True
        rows = self.database.read(*inbox.due(destination.name, time.time(), room + len(lane.under_way)))
        for delivery in map(inbox.delivery_of, rows):
            if room <= 0:
                return True
            if delivery.seq in lane.under_way:
                continue
            lane.under_way[delivery.seq] = asyncio.get_running_loop().create_task(
                self._dispatched(lane, destination, delivery)
            )
            room -= 1
            lane.tokens -= 1.0 if destination.rate > 0 else 0.0
        return False

    async def _dispatched(self, lane: _Lane, destination: Destination, delivery: Delivery) -> None:
        try:
            ended = await self._tried(destination, delivery)
            self.counts[destination.name, ended.state] += 1
            if ended.state != BEGUN:
                await self.database.write(_write_of(delivery, ended))
        except DifyopsError as error:
            log.error("event %s: %s", delivery.event.id, scrub(error.message))
            await asyncio.sleep(1.0)
        finally:
            lane.under_way.pop(delivery.seq, None)
            self.wake()

    async def _tried(self, destination: Destination, delivery: Delivery) -> DispatchEnded:
        if destination.kind == "app":
            return await self._to_app(destination, delivery)
        if not await self.database.write(inbox.start(delivery.seq)):
            return DispatchEnded(state=BEGUN)
        if destination.kind == "url":
            return await self._to_url(destination, delivery)
        return await self._to_program(destination, delivery)

    async def _to_app(self, destination: Destination, delivery: Delivery) -> DispatchEnded:
        event = delivery.event
        try:
            desk = await self.desks.at(address_of(destination))
            inputs = filled(destination.values, event)
            query = text_at(destination.query, event) if destination.query else event.body.decode("utf-8", "replace")
            check_inputs(desk.form, inputs)
        except (UsageError, RunFailed) as error:
            return DispatchEnded(state=inbox.DEAD, said=error.message)
        except DifyopsError as error:  # nothing was asked yet
            return DispatchEnded(state=AGAIN, said=error.message)
        row = RunRow(
            id=f"run_{secrets.token_hex(8)}", app=destination.target, via=destination.name,
            accepted=time.time(), user=f"difyops-{event.id}", request={"inputs": inputs, "query": query},
            hops=event.hops + 1,
        )  # fmt: skip
        earlier = await self.database.write(outbox.accept(row, delivery.seq))
        if earlier is None:
            self.runs.begin(row, desk)
            await asyncio.wait({self.runs.live[row.id]})  # holds its place among those that go on at the same time
        return DispatchEnded(state=BEGUN)

    async def _to_url(self, destination: Destination, delivery: Delivery) -> DispatchEnded:
        event = delivery.event
        headers = {
            "content-type": event.content_type or "application/json",
            "user-agent": USER_AGENT,
            "webhook-id": event.id,
            HOPS: str(event.hops + 1),
            "x-difyops-source": event.source,
        }
        try:
            said = await self.outbound.post(
                destination.target,
                headers=headers,
                body=event.body,
                admits=lambda _: True,
                patience=destination.timeout,
            )
        except Refused as error:
            return DispatchEnded(state=AGAIN, said=error.message)
        except DifyopsError as error:
            if may_repeat(destination) or error.retryable:
                return DispatchEnded(state=AGAIN, said=error.message)
            return DispatchEnded(state=inbox.DEAD, said=f"{error.message} It is unknown whether it ran.")
        if said.ok:
            return DispatchEnded(state=inbox.DONE, said=f"HTTP {said.status}")
        if said.status >= 500 and not may_repeat(destination):
            return DispatchEnded(state=inbox.DEAD, said=f"HTTP {said.status}: it is unknown whether it ran.")
        return DispatchEnded(
            state=AGAIN, said=f"HTTP {said.status}", wish=ladder.wish_of(said.headers.get("retry-after"))
        )

    async def _to_program(self, destination: Destination, delivery: Delivery) -> DispatchEnded:
        try:
            code, said = await programs.run(destination, delivery.event)
        except UsageError as error:
            return DispatchEnded(state=inbox.DEAD, said=error.message)
        if code == 0:
            return DispatchEnded(state=inbox.DONE, said="ended with 0")
        return DispatchEnded(
            state=AGAIN if destination.kind == "command" and code is not None else inbox.DEAD, said=said
        )


def may_repeat(destination: Destination) -> bool:
    """Say whether a call that may have been made already can be made again: not what starts something by itself."""
    return destination.kind == "url" and "/triggers/" not in destination.target


def address_of(destination: Destination) -> Address:
    """Return where the app of a destination is."""
    return Address(app=destination.target, context=destination.context, key=destination.key)


def _write_of(delivery: Delivery, ended: DispatchEnded) -> Callable[[Any], None]:
    now = time.time()
    if ended.state != AGAIN:
        return inbox.end(delivery.seq, ended.state, ended.said, now)
    due = ladder.next_try(delivery.attempts + 1, now, ended.wish)
    if due is None:
        return inbox.end(delivery.seq, inbox.DEAD, ended.said, now)
    return inbox.again(delivery.seq, ended.said, due, delivery.attempts + 1)
