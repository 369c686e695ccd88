"""The emulator's remote control: moods, planned failures, delay, revoked provider keys, and what was counted.

Tests hold a ``Control``; people and other processes reach the same one over ``/_emulator/control``.
"""

from __future__ import annotations

import re
import threading
from collections import Counter
from dataclasses import dataclass, field

from difyops.errors import UsageError

MOODS: dict[str, str] = {
    "happy": "Everything works; switching it on switches every other mood off.",
    "slow": "Every answer takes two seconds more (divided by speed).",
    "flaky": "Every third request is answered 502, 503 or 504 in turn, before anything is done.",
    "rate_limited": "Every second request is answered 429 with Retry-After: 1.",
    "expired_session": "Access tokens issued so far have expired; refreshing gives good ones.",
    "dead_session": "Access and refresh tokens issued so far are void; only a new login helps.",
    "provider_down": "The model provider answers 503 to every call.",
    "redis_down": "Login, refresh, runs and providers fail; reads by a session and exports work.",
    "daemon_down": "The plugin daemon is away: model calls fail, code-only workflows run.",
    "worker_down": "No Celery worker: streaming workflow runs fall silent and run when it comes back.",
    "half_written_import": "An import stops half way: 500, an app without draft, or a draft without variables.",
    "stale_switch": "After switching credentials the old key stays in use until the switch is made again.",
    "ghost_keys": "Deleted service keys are accepted for ten minutes more (divided by speed).",
    "busy_editor": "Somebody saves the draft just before each of your saves: always 409.",
    "gateway_down": "A proxy in front answers 502 with an HTML page to everything.",
    "indexing_fails": "Documents end in indexing_status error; retry works once the mood is off.",
}

_ABOUT_APP = re.compile(r"/console/api/apps/([0-9a-f]{8}-[0-9a-f-]{27})(?:[/?]|$)")
_HOWS = ("reset", "lost", "hang", "cut", "garbage", "slow")
_NUMBERED = re.compile(r"status:[1-5]\d\d|after:[1-9]\d*")


@dataclass(slots=True, kw_only=True)
class Failure:
    """A planned failure: the ``nth`` matching call from now on, and the ``times - 1`` matching calls after it."""

    method: str | None
    path: re.Pattern[str]
    nth: int
    times: int
    how: str
    seen: int = 0

    def strikes(self, method: str, path: str) -> bool:
        """Count a call and tell whether this failure hits it."""
        if (self.method and self.method != method) or not self.path.search(path):
            return False
        self.seen += 1
        return self.nth <= self.seen < self.nth + self.times


@dataclass(slots=True)
class Counts:
    """What was called since the last reset."""

    routes: Counter[str] = field(default_factory=Counter)
    apps: Counter[str] = field(default_factory=Counter)
    app_calls: Counter[str] = field(default_factory=Counter)
    provider_keys: Counter[str] = field(default_factory=Counter)
    outside: Counter[str] = field(default_factory=Counter)
    statuses: Counter[str] = field(default_factory=Counter)
    in_flight: int = 0
    max_in_flight: int = 0


class Control:
    """Moods, failures and counters of one emulator. Safe to use from another thread than the server's."""

    def __init__(self, *, delay: float = 0.0) -> None:
        self._lock = threading.Lock()
        self._moods: set[str] = set()
        self._failures: list[Failure] = []
        self._counts = Counts()
        self._turn = 0
        self.seconds = delay
        self.in_flight_limit: int | None = None
        self.revoked: set[str] = set()
        self.welcome: tuple[str, ...] | None = None
        self.sessions_void = 0
        self.refreshes_void = 0
        self.sessions_issued = 0

    @property
    def moods(self) -> frozenset[str]:
        """Return the names of the moods that are on."""
        return frozenset(self._moods)

    def has(self, mood: str) -> bool:
        """Tell whether ``mood`` is on."""
        return mood in self._moods

    def mood(self, name: str, on: bool = True) -> None:
        """Switch a mood on or off; ``happy`` switches all others off.

        Raises:
            UsageError: there is no such mood.
        """
        if name not in MOODS:
            raise UsageError(f"There is no mood {name!r}; there are {', '.join(MOODS)}.")
        if name == "happy":
            self._moods.clear()
        elif on:
            self._moods.add(name)
        else:
            self._moods.discard(name)
        if on and name in ("expired_session", "dead_session"):
            self.sessions_void = self.sessions_issued
            if name == "dead_session":
                self.refreshes_void = self.sessions_issued

    def delay(self, seconds: float) -> None:
        """Let every answer wait ``seconds`` (real ones, not divided by speed)."""
        self.seconds = seconds

    def limit(self, in_flight: int | None) -> None:
        """Answer 429 to whatever comes while ``in_flight`` requests are being served; None lifts the limit."""
        self.in_flight_limit = in_flight

    def fail(
        self, *, method: str | None = None, path: str = ".*", nth: int = 1, times: int = 1, how: str = "status:503"
    ) -> None:
        """Plan a failure for the ``nth`` call that matches ``method`` and the regular expression ``path``.

        ``how``: ``status:NNN`` answers that status before anything is done; ``reset`` drops the connection before;
        ``lost`` does the work and drops the connection after; ``hang`` never answers; ``cut`` sends half the body;
        ``garbage`` answers 200 with something that is not JSON; ``slow`` does the work and dribbles the answer;
        ``after:N`` sends N pieces of the body (a stream's pings and events) and drops the connection.

        Raises:
            UsageError: ``how`` or ``path`` makes no sense.
        """
        if how not in _HOWS and not _NUMBERED.fullmatch(how):
            raise UsageError(f"A call cannot fail as {how!r}; it can as status:NNN, after:N, {', '.join(_HOWS)}.")
        try:
            pattern = re.compile(path)
        except re.error as error:
            raise UsageError(f"{path!r} is not a regular expression: {error}.") from error
        wanted = method.upper() if method else None
        with self._lock:
            self._failures.append(Failure(method=wanted, path=pattern, nth=nth, times=times, how=how))

    def clear_failures(self) -> None:
        """Forget every planned failure."""
        with self._lock:
            self._failures.clear()

    def revoke(self, key: str, revoked: bool = True) -> None:
        """Let the provider refuse ``key`` from now on, or take it back."""
        (self.revoked.add if revoked else self.revoked.discard)(key)

    def accept(self, *values: str) -> None:
        """Let the service outside that HTTP request nodes call answer 401 to a request without one of ``values``."""
        self.welcome = values

    def answers_outside(self, request: str) -> bool:
        """Tell whether the service outside answers a node's request, and count which value let it in."""
        if self.welcome is None:
            return True
        found = next((value for value in self.welcome if value in request), None)
        with self._lock:
            self._counts.outside[found or "refused"] += 1
        return found is not None

    @property
    def in_flight(self) -> int:
        """Return how many requests are being served now."""
        return self._counts.in_flight

    @property
    def max_in_flight(self) -> int:
        """Return the most requests served at once since the last reset."""
        return self._counts.max_in_flight

    def counts(self) -> dict[str, object]:
        """Return what was counted: calls per route and status, runs and console calls per app, model calls per key,
        calls of HTTP request nodes per accepted value (once ``accept`` was called).
        """
        counts = self._counts
        with self._lock:
            return {
                "total": counts.routes.total(),
                "routes": dict(counts.routes),
                "apps": dict(counts.apps),
                "app_calls": dict(counts.app_calls),
                "provider_keys": dict(counts.provider_keys),
                "outside": dict(counts.outside),
                "statuses": dict(counts.statuses),
                "in_flight": counts.in_flight,
                "max_in_flight": counts.max_in_flight,
            }

    def reset_counts(self) -> None:
        """Start counting anew; requests in flight stay counted as such."""
        with self._lock:
            now = self._counts.in_flight
            self._counts = Counts(in_flight=now, max_in_flight=now)

    def begin(self, method: str, path: str, route: str) -> str | None:
        """Count a request that starts and return how it shall fail, or None."""
        with self._lock:
            counts = self._counts
            counts.routes[route] += 1
            if about := _ABOUT_APP.match(path):
                counts.app_calls[about[1]] += 1
            counts.in_flight += 1
            counts.max_in_flight = max(counts.max_in_flight, counts.in_flight)
            struck = [failure.how for failure in self._failures if failure.strikes(method, path)]
            return struck[0] if struck else self._of_mood()

    def end(self, status: int) -> None:
        """Count a request that ended."""
        with self._lock:
            self._counts.in_flight -= 1
            self._counts.statuses[str(status)] += 1

    def count_app(self, app_id: str) -> None:
        """Count a run of an app."""
        self._counts.apps[app_id] += 1

    def count_provider_key(self, key: str) -> None:
        """Count a call of a model or a tool made with ``key``."""
        self._counts.provider_keys[key] += 1

    def _of_mood(self) -> str | None:
        if self.in_flight_limit is not None and self._counts.in_flight > self.in_flight_limit:
            return "status:429"
        if not self._moods:
            return None
        self._turn += 1
        if "gateway_down" in self._moods:
            return "gateway"
        if "rate_limited" in self._moods and self._turn % 2:
            return "status:429"
        if "flaky" in self._moods and self._turn % 3 == 0:
            return f"status:{502 + self._turn // 3 % 3}"
        return None
