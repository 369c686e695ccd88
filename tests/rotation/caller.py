"""Callers under constant load: a paced stream of calls to the service API, each counted as good or lost."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import aiohttp

MOST = 16


@dataclass
class Callers:
    """At most ``rate`` calls a second, every other one through the rotated secret; ``lost`` says what went wrong.

    Where the machine is too busy for that many, fewer are made: no more than ``MOST`` wait at a time.
    """

    url: str
    rotated: Callable[[], tuple[str, str, Any]]
    other: Callable[[], tuple[str, str, Any]]
    rate: float = 100.0
    good: int = 0
    lost: list[str] = field(default_factory=list)
    _stop: bool = False

    async def run(self) -> None:
        """Call until stopped."""
        tasks: set[asyncio.Task[None]] = set()
        started, number = time.monotonic(), 0
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
            while not self._stop:
                method, path, options = self.rotated() if number % 2 else self.other()
                task = asyncio.create_task(self._call(session, method, path, options))
                tasks.add(task)
                task.add_done_callback(tasks.discard)
                number += 1
                await asyncio.sleep(max(0.0, started + number / self.rate - time.monotonic()))
                if len(tasks) >= MOST:
                    await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            await asyncio.gather(*tasks)

    def stop(self) -> None:
        self._stop = True

    async def _call(self, session: aiohttp.ClientSession, method: str, path: str, options: Any) -> None:
        try:
            async with session.request(method, self.url + path, **options) as answer:
                body = await answer.json(content_type=None)
                failed = isinstance(body, dict) and (body.get("data") or {}) and "status" in (body.get("data") or {})
                status = body["data"]["status"] if failed else "succeeded"
                if answer.status < 300 and status == "succeeded":
                    self.good += 1
                else:
                    self.lost.append(f"{answer.status} {str(body)[:120]}")
        except (aiohttp.ClientError, OSError) as error:
            self.lost.append(repr(error))
