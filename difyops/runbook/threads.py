"""Calls that block, in a thread of their own that nobody has to wait for.

The event loop's own pool is joined when the program ends: one call on a dead network disk or a frozen server would
keep a run from ending long after its deadline. These threads end with the process.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


async def apart(function: Callable[[], T]) -> T:
    """Return what ``function`` returns, or raise what it raises; cut off, it is left to itself."""
    loop = asyncio.get_running_loop()
    ended: asyncio.Future[T] = loop.create_future()

    def settle(result: T | None, error: BaseException | None) -> None:
        if ended.done():
            return
        if error is not None:
            ended.set_exception(error)
        else:
            ended.set_result(result)  # type: ignore[arg-type]

    def work() -> None:
        result, error = None, None
        try:
            result = function()
        except Exception as caught:  # whatever it is, it belongs to whoever awaits
            error = caught
        with contextlib.suppress(RuntimeError):  # the loop was closed meanwhile: nobody listens
            loop.call_soon_threadsafe(settle, result, error)

    threading.Thread(target=work, daemon=True, name="difyops-apart").start()
    return await ended
