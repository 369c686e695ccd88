"""One HTTP connection to one instance: time-outs, polite concurrency, safe retries, a breaker, errors as ours.

What is safe to repeat is repeated: reads after 429, 502/503/504 or a broken connection; anything after a 429 that names
a time (the server did not act). A POST that runs, imports or publishes is never repeated blindly. Retries are paid from
a token bucket, so that a total outage costs at most ten per cent more calls. Connections close soon after they idle: a
stock server has ten for everybody.
"""

from __future__ import annotations

import asyncio
import functools
import logging
import random
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx

from difyops import dry_run
from difyops.api import faults, in_front
from difyops.api.connection_faults import connection_error as connection_error  # others look for it here
from difyops.api.connection_faults import is_login
from difyops.api.direct import DirectCarrier
from difyops.api.filling import addressed, fill
from difyops.api.guard import LARGEST_ANSWER, USER_AGENT, AnswerTooLarge, Guard, TooSlow
from difyops.api.messages import (
    MOST_PARTS,
    Auth,
    CallLimits,
    Carrier,
    HttpAnswer,
    HttpCall,
    Origin,
    ThroughHttpx,
    TooManyParts,
)
from difyops.api.proxies import Proxy, proxy_for
from difyops.clock import Clock, SystemClock
from difyops.errors import (
    ConfigError,
    DifyopsError,
    RateLimited,
    ServerFault,
    TimedOut,
    Unreachable,
    UnreadableAnswer,
)

log = logging.getLogger("difyops.api")

_SAFE = frozenset({"GET", "HEAD"})
_FIELDS = {"User-Agent": USER_AGENT, "Accept": "application/json, text/event-stream"}


@dataclass(frozen=True, slots=True, kw_only=True)
class TransportOptions:
    """How to talk: seconds to connect, without a byte and for a whole answer, tries, backoff, calls in flight, CA.

    ``total`` bounds one request from its first byte to the last of its answer, whatever keeps trickling in.
    """

    connect: float = 10.0
    read: float = 30.0
    tries: int = 4
    backoff: float = 0.3
    backoff_cap: float = 10.0
    retry_after_cap: float = 60.0
    total: float = 300.0
    max_in_flight: int = 4
    ca_file: str | None = None
    rest: float = 15.0  # seconds in which an instance that failed several times in a row is not called


@dataclass(slots=True)
class RetryBudget:
    """A token bucket: every call earns a tenth, every retry costs one; starts with a few for short commands."""

    tokens: float = 5.0
    most: float = 20.0

    def earn(self) -> None:
        """Count a first call."""
        self.tokens = min(self.most, self.tokens + 0.1)

    def spend(self) -> bool:
        """Take one retry, or say that there is none left."""
        if self.tokens < 1.0:
            return False
        self.tokens -= 1.0
        return True


class NotCalled(Unreachable):
    """The breaker is open: the instance failed a moment ago, and nothing was sent."""


@dataclass(slots=True)
class Breaker:
    """Opens after ``limit`` failures in a row, lets one call through after ``rest`` seconds."""

    clock: Clock
    limit: int = 8
    rest: float = 15.0
    failures: int = 0
    opened_at: float = 0.0

    @property
    def is_open(self) -> bool:
        """Say whether calls are refused at this moment."""
        return self.failures >= self.limit and self.clock.monotonic() - self.opened_at < self.rest

    def check(self, host: str) -> None:
        """Refuse a call while open.

        Raises:
            NotCalled: the instance failed ``limit`` times in a row a moment ago.
        """
        if self.is_open:
            raise NotCalled(f"{host} failed {self.failures} times in a row; not called again for a moment.")
        if self.failures >= self.limit:
            self.opened_at = self.clock.monotonic()

    def record(self, *, ok: bool) -> None:
        """Count an answer (any below 502 is one) or a failure."""
        self.failures = 0 if ok else self.failures + 1
        if not ok:
            self.opened_at = self.clock.monotonic()


@dataclass(slots=True)
class Transport:
    """Sends requests to ``base_url`` and returns answers below 300; everything else is raised as our errors."""

    base_url: str
    options: TransportOptions = field(default_factory=TransportOptions)
    clock: Clock = field(default_factory=SystemClock)
    carrier: httpx.AsyncBaseTransport | Carrier | None = None
    budget: RetryBudget = field(default_factory=RetryBudget)
    server_version: str = ""
    _guard: Guard | None = None
    _slots: asyncio.Semaphore | None = None
    _breaker: Breaker | None = None

    host: str = field(default="", init=False)  # and port, for messages
    origin: Origin = field(init=False)
    prefix: str = field(default="", init=False)
    fields: Mapping[str, str] = field(default_factory=lambda: _FIELDS, init=False, repr=False)
    proxy: Proxy | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        try:
            url = httpx.URL(self.base_url)
        except httpx.InvalidURL as error:
            raise ConfigError(f"The url {self.base_url!r} cannot be used: {error}.") from error
        self.proxy = proxy_for(url)
        self.origin, self.host = Origin.of(url), url.netloc.decode()
        self.prefix = url.raw_path.decode("ascii").rstrip("/")

    async def request(
        self,
        method: str,
        path: str,
        *,
        doing: str,
        auth: Auth | None = None,
        repeatable: bool | None = None,
        patience: float | None = None,
        **content: Any,
    ) -> HttpAnswer:
        """Send one request and return its answer (status below 300).

        ``doing`` names the call for messages ("list apps"); ``repeatable`` overrides "GET and HEAD are" (a read that
        says no is made once, whatever the answer: who reads much wants to know that the server struggles);
        ``patience`` is seconds without a byte; ``content`` is params, json, headers, files (``filling``).

        Raises:
            Unreachable, TimedOut: no answer. AuthError, NotFound, Conflict, RateLimited, RequestRejected,
            ServerFault: the answer says so.
        """
        if not repeatable:
            dry_run.check_call(method, path, doing)
        safe = method in _SAFE if repeatable is None else repeatable
        once = repeatable is False and method in _SAFE
        self.budget.earn()
        for attempt in range(1, self.options.tries + 1):
            try:
                return await self._once(method, path, doing=doing, auth=auth, patience=patience, **content)
            except DifyopsError as error:
                last = attempt == self.options.tries or self._breaker_now().is_open
                if last or once or not _may_repeat(error, safe) or not self.budget.spend():
                    raise
                pause = self._pause(error, attempt)
                log.debug("%s failed (%s), again in %.1f s", doing, error.code, pause)
                await self.clock.sleep(pause)
        raise AssertionError("unreachable: the last attempt returns or raises")

    @asynccontextmanager
    async def stream(
        self,
        method: str,
        path: str,
        *,
        doing: str,
        auth: Auth | None = None,
        on_send: Callable[[], None] | None = None,
        **content: Any,
    ) -> AsyncIterator[HttpAnswer]:
        """Open a streaming answer; never repeated. ``on_send`` as in ``HttpCall``. Errors as in ``request``."""
        dry_run.check_call(method, path, doing)
        self._check_breaker()
        call = self._built(method, path, patience=None, whole=None, **content)
        if on_send is not None:
            call.on_send = on_send
        async with self._slot():
            began = self.clock.monotonic()
            response = await self._sent(call, doing=doing, auth=auth)
            self._tell(call, doing, response, began)
            try:
                if response.status_code >= 300:
                    raise faults.error_for(await _read_whole(response, doing, self.options.total), doing=doing)
                yield response
            finally:
                await response.aclose()

    async def close(self) -> None:
        """Close all connections."""
        if self._guard is not None:
            await self._guard.aclose()
            self._guard = None

    async def _once(
        self, method: str, path: str, *, doing: str, auth: Auth | None, patience: float | None, **content: Any
    ) -> HttpAnswer:
        self._check_breaker()
        call = self._built(method, path, patience=patience, whole=self.options.total, **content)
        async with self._slot():
            began = self.clock.monotonic()
            response = await self._sent(call, doing=doing, auth=auth)
            try:
                response = await _read_whole(response, doing, self.options.total)
            except Unreachable:
                self._breaker_now().record(ok=False)
                raise
        self._tell(call, doing, response, began)
        self._breaker_now().record(ok=response.status_code not in (502, 503, 504))
        if response.status_code >= 300:
            raise faults.error_for(response, doing=doing)
        return response

    async def _sent(self, call: HttpCall, *, doing: str, auth: Auth | None) -> HttpAnswer:
        try:
            response = await self._answered(call, auth)
        except httpx.RequestError as error:
            self._breaker_now().record(ok=False)
            failure = connection_error(error, host=self.host, doing=doing, proxy=self.proxy)
            # a login that broke off in the middle may have been counted as a wrong password: never sent again unasked
            failure.retryable = failure.retryable and not is_login(error)
            raise failure from error
        if version := response.headers.get("x-version"):
            self.server_version = version
        return response

    async def _answered(self, call: HttpCall, auth: Auth | None) -> HttpAnswer:
        """Send a call with what proves who we are: a login may send others before it, or send it again."""
        guard = self._guard_now()
        if auth is None:
            return await guard.exchange(call)
        async with aclosing(auth.flow(call)) as flow:
            wanted = await anext(flow)
            while True:
                answer = await guard.exchange(wanted)
                try:
                    wanted = await flow.asend(answer)
                except StopAsyncIteration:
                    return answer
                except BaseException:
                    await answer.aclose()
                    raise
                await answer.aread()

    def _tell(self, call: HttpCall, doing: str, response: HttpAnswer, began: float) -> None:
        """Tell a call with its time; the query stays out, it may hold what somebody typed."""
        if log.isEnabledFor(logging.INFO):
            took = self.clock.monotonic() - began
            log.info("%s %s %d %.3f s (%s)", call.method, call.path, response.status_code, took, doing)

    def _built(
        self,
        method: str,
        path: str,
        *,
        patience: float | None,
        whole: float | None,
        params: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        **content: Any,
    ) -> HttpCall:
        silence = patience or self.options.read
        limits = _limits(self.options.connect, silence, whole)
        call = HttpCall(
            method=method,
            origin=self.origin,
            target=addressed(self.prefix + path, params),
            headers=dict(self.fields),
            limits=limits,
        )
        if headers:
            given = {name.lower() for name in headers}
            call.headers = {name: value for name, value in call.headers.items() if name.lower() not in given}
            call.headers.update(headers)
        if content:
            fill(call, **content)
        return call

    def _guard_now(self) -> Guard:
        if self._guard is None:
            given = ThroughHttpx(self.carrier) if isinstance(self.carrier, httpx.AsyncBaseTransport) else self.carrier
            self._guard = Guard(given or carrier_for(self.base_url, self.options.ca_file, self.proxy))
        return self._guard

    def _slot(self) -> asyncio.Semaphore:
        if self._slots is None:
            self._slots = asyncio.Semaphore(self.options.max_in_flight)
        return self._slots

    def _breaker_now(self) -> Breaker:
        if self._breaker is None:
            self._breaker = Breaker(clock=self.clock, rest=self.options.rest)
        return self._breaker

    def _check_breaker(self) -> None:
        self._breaker_now().check(self.host)

    def _pause(self, error: DifyopsError, attempt: int) -> float:
        if isinstance(error, RateLimited) and error.retry_after is not None:
            return min(error.retry_after, self.options.retry_after_cap)
        return random.uniform(0, min(self.options.backoff_cap, self.options.backoff * 2**attempt))


async def _read_whole(response: HttpAnswer, doing: str, seconds: float) -> HttpAnswer:
    """Return an answer with its body, whose size and time the guard limits; cut in the middle it is Unreachable."""
    try:
        async with asyncio.timeout(seconds):
            await response.aread()
    except (TimeoutError, TooSlow) as error:
        raise TimedOut(f"{doing}: the answer was not complete after {seconds:g} s.") from error
    except httpx.TimeoutException as error:
        raise TimedOut(f"{doing}: the answer stopped in the middle.", retryable=True) from error
    except AnswerTooLarge as error:
        raise ServerFault(f"{doing}: the answer is larger than {LARGEST_ANSWER} bytes.") from error
    except httpx.DecodingError as error:
        raise ServerFault(f"{doing}: the answer cannot be decoded: {error}.") from error
    except httpx.RequestError as error:
        raise Unreachable(f"{doing}: the connection broke off in the middle of the answer.", retryable=True) from error
    return response


def _may_repeat(error: DifyopsError, safe: bool) -> bool:
    if isinstance(error, RateLimited):
        return safe or error.retry_after is not None
    return safe and error.retryable and not isinstance(error, TimedOut)


@functools.cache
def _limits(connect: float, silence: float, whole: float | None) -> CallLimits:
    return CallLimits.of(connect=connect, silence=silence, whole=whole)


def carrier_for(url: str, ca_file: str | None, proxy: Proxy | None) -> Carrier:
    """Return what carries requests to ``url``: connections of our own, or aiohttp where a proxy stands in between."""
    if proxy is None:
        return DirectCarrier(ca_file)
    from difyops.api.proxied import ProxiedCarrier

    return ProxiedCarrier(ca_file, url)


def json_of(response: HttpAnswer, *, doing: str) -> Any:
    """Return the JSON body of a good answer.

    Raises:
        ServerFault: it is a page (a login, a proxy's greeting). UnreadableAnswer: it is broken JSON (half a body).
    """
    try:
        return response.json()
    except TooManyParts as error:
        raise UnreadableAnswer(f"{doing}: the answer has more than {MOST_PARTS:,} parts, and is not read.") from error
    except RecursionError as error:
        raise UnreadableAnswer(f"{doing}: the answer is JSON nested too deep to be read, or not JSON.") from error
    except ValueError as error:
        if (page := in_front.not_json(response, doing)) is not None:
            raise page from error
        raise UnreadableAnswer(
            f"{doing}: the answer is not JSON; is this address the instance's own?", hint="difyops context check"
        ) from error


Params = Mapping[str, Any]
