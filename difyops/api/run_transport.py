"""The transport for many runs at once, with limits, budget and breaker of their own, apart from management calls."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx

from difyops.api.guard import USER_AGENT
from difyops.api.messages import Auth, HttpAnswer, HttpCall
from difyops.api.transport import RetryBudget, Transport, TransportOptions
from difyops.clock import Clock, SystemClock
from difyops.config import Context
from difyops.errors import DifyopsError, ServerFault

_FEWEST_FAILURES = 8
_FIELDS = {
    "User-Agent": USER_AGENT,
    "Accept": "application/json, text/event-stream",
    "Accept-Encoding": "identity",
}


@dataclass(slots=True)
class RunTransport(Transport):
    """A transport for a thousand runs side by side.

    Its breaker knows how many runs are in flight: a few targets that fail at once say nothing about the others that
    are still at work, so it opens when as many answers in a row failed as there are runs in flight (at least eight).
    """

    flying: int = 0
    fields: Mapping[str, str] = field(default_factory=lambda: _FIELDS, init=False, repr=False)

    @asynccontextmanager
    async def stream(
        self, method: str, path: str, *, doing: str, auth: Auth | None = None, **content: Any
    ) -> AsyncIterator[HttpAnswer]:
        """Open a streaming answer; never repeated. Any answer but 502, 503 and 504 closes the breaker."""
        breaker = self._breaker_now()
        self.flying += 1
        breaker.limit = max(_FEWEST_FAILURES, self.flying)
        opened = False
        try:
            async with Transport.stream(self, method, path, doing=doing, auth=auth, **content) as response:
                opened = True
                breaker.record(ok=True)
                yield response
        except DifyopsError as error:
            if not opened and _is_answer(error):
                breaker.record(ok=not isinstance(error, ServerFault) or not error.retryable)
            raise
        finally:
            self.flying -= 1

    async def _answered(self, call: HttpCall, auth: Auth | None) -> HttpAnswer:
        if auth is not None:
            await _let_in(call, auth)
        return await self._guard_now().exchange(call)


async def _let_in(call: HttpCall, auth: Auth) -> None:
    """Add what a key adds. Auth that wants to see answers (a login) is not for this transport."""
    flow = auth.flow(call)
    await anext(flow)
    await flow.aclose()


def run_transport(
    context: Context, *, limit: int, silence: float = 30.0, rest: float = 15.0, clock: Clock | None = None
) -> RunTransport:
    """Return the transport for the runs of one context; close it when done.

    ``limit`` is the most calls in flight; ``silence`` the seconds without a byte that a stream may have;
    ``rest`` the seconds in which an instance that failed is left alone.

    Raises:
        ConfigError: the CA file of the context cannot be used. Refused: nobody trusted the file that names the context.
    """
    context.require_trust()
    return RunTransport(
        context.service_url,
        TransportOptions(read=silence + 5.0, max_in_flight=limit, ca_file=context.ca_file, rest=rest),
        clock=clock or SystemClock(),
        budget=RetryBudget(tokens=0.0),
    )


def _is_answer(error: DifyopsError) -> bool:
    """Say whether the server answered: a failed connection was counted where it failed."""
    return not isinstance(error.__cause__, httpx.RequestError)
