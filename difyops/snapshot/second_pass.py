"""The second, slower pass over what could not be read at the first: one app at a time, with pauses, on a fresh list.

A flaky server answers every third call with 502; at full speed half the fleet "could not be read". Slowly all of it
can. A server that is down is not waited for: a few failures in a row end the pass.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

from difyops.api.instance import Instance
from difyops.api.model import App
from difyops.clock import Clock
from difyops.errors import DifyopsError, NotFound, RateLimited, ServerFault, TimedOut, Unreachable, UnreadableAnswer
from difyops.snapshot.reading import AppReading

_FIRST_PAUSE = 1.0
_PAUSE = 0.1
_FAILURES_IN_A_ROW = 3
_RETRIES_EACH = 6.0  # so many calls of one app may be repeated

Read = Callable[[App], Awaitable[AppReading]]


def may_pass_later(error: DifyopsError) -> bool:
    """Say whether an app that failed so is worth a second look: no answer, a broken or a contradicted one."""
    return isinstance(error, Unreachable | ServerFault | RateLimited | NotFound)


async def second_pass(
    instance: Instance, failed: Mapping[str, DifyopsError], read: Read, clock: Clock
) -> tuple[dict[str, AppReading], dict[str, DifyopsError], set[str]]:
    """Return what the second pass read, what failed again, and the apps that are gone: list and detail both say so."""
    read_now: dict[str, AppReading] = {}
    still: dict[str, DifyopsError] = {}
    gone: set[str] = set()
    await clock.sleep(_FIRST_PAUSE)
    instance.transport.budget.tokens = _RETRIES_EACH
    try:
        listed = {app.id: app async for app in instance.console.apps()}
    except DifyopsError:
        return {}, {app_id: _named(error) for app_id, error in failed.items()}, set()
    in_a_row = 0
    for app_id, error in failed.items():
        if in_a_row == _FAILURES_IN_A_ROW:
            still[app_id] = _named(error)
            continue
        if app_id not in listed:
            still.update({} if isinstance(error, NotFound) else {app_id: error})
            gone.update({app_id} if isinstance(error, NotFound) else ())
            continue
        await clock.sleep(_PAUSE)
        instance.transport.budget.tokens = _RETRIES_EACH
        try:
            read_now[app_id] = await read(listed[app_id])
            in_a_row = 0
        except DifyopsError as again:
            still[app_id] = _named(again)
            no_answer = isinstance(again, Unreachable | TimedOut) or type(again) is ServerFault
            in_a_row = in_a_row + 1 if no_answer else 0
    return read_now, still, gone


def _named(error: DifyopsError) -> DifyopsError:
    """Return what a failure is once a second look did not help: an app that is listed and not found was not read."""
    if isinstance(error, NotFound):
        return UnreadableAnswer(f"{error.message.removesuffix('.')}, though the list has the app.")
    return error
