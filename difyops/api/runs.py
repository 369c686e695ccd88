"""Runs of one app in a window of time, from the feeds that hold production traffic on every version.

    workflow        ``workflow-app-logs``: API, webhook and scheduled runs alike (the run list has no triggered ones)
    advanced-chat   ``advanced-chat/workflow-runs?triggered_from=app-run`` (1.9.2 and newer), else its messages
    chat            ``chat-conversations`` by last change, then ``chat-messages`` of each (agent-chat alike)
    agent           the same conversations, then the agent's own log of each
    completion      ``completion-conversations``, then each one

All feeds come newest first and are cut at the window's edges here, so a filter that a server lacks costs time, not
truth. A row that says ``running`` longer than the server lets anything run is dead: a worker was killed and nobody will
ever end it. Times are unix seconds on the wire; query texts are in the account's time zone.
"""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from difyops.api import answers, pages
from difyops.api.agent_log import agent_messages
from difyops.api.instance import Instance
from difyops.api.model import App
from difyops.api.paths import part
from difyops.api.run_records import MessageRecord
from difyops.api.shapes import moment, number
from difyops.errors import RequestRejected, UsageError
from difyops.fanout import Done, Failed, FanoutOptions, fan_out

DEAD_AFTER = 1200.0  # APP_MAX_EXECUTION_TIME's default: nothing runs longer
SUCCEEDED = "succeeded"
FAILED = "failed"
RUNNING = "running"
STOPPED = "stopped"
PARTIAL = "partial-succeeded"
CUT_OFF = "cut-off"
DEAD = "dead"
_MOST_RUNS = 20_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One run or one answered message.

    ``status``: succeeded, failed, stopped, partial-succeeded, running, dead (running for too long), cut-off (a chat
    answer that its reader left: empty, and no error in the logs). ``source``: app-run, webhook, schedule, chat, ...
    ``seconds`` is its duration, ``None`` while it runs. Of a message also what it took: ``prompt_tokens`` of the
    ``tokens``, and the ``price`` that Dify says, blank where the console tells none.
    """

    id: str
    status: str
    started: float
    seconds: float | None = None
    source: str = ""
    version: str = ""
    tokens: int = 0
    error: str = ""
    prompt_tokens: int | None = None
    price: str = ""
    currency: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunWindow:
    """The runs of an app from ``since`` to before ``until``, newest first; not ``complete`` past 20,000."""

    app_id: str
    since: datetime
    until: datetime
    runs: tuple[Run, ...]
    complete: bool = True

    def count(self, *statuses: str) -> int:
        """Return how many runs have one of these statuses."""
        return sum(run.status in statuses for run in self.runs)

    @property
    def ended(self) -> tuple[Run, ...]:
        """Return the runs that came to an end: what rates and latencies are made of."""
        return tuple(run for run in self.runs if run.status in (SUCCEEDED, FAILED, PARTIAL, STOPPED))

    @property
    def durations(self) -> list[float]:
        """Return the seconds of the runs that came to a result, sorted."""
        chosen = (run for run in self.runs if run.status in (SUCCEEDED, PARTIAL, FAILED))
        return sorted(run.seconds for run in chosen if run.seconds is not None)


async def runs_in(
    instance: Instance,
    app: App,
    since: datetime,
    until: datetime,
    *,
    dead_after: float = DEAD_AFTER,
    timezone: str = "UTC",
) -> RunWindow:
    """Return the production runs of ``app`` that started from ``since`` to before ``until``.

    ``timezone`` is the account's (``Workspace.identify().timezone``); only completion apps are asked with it.

    Raises:
        DifyopsError: the feed cannot be read.
    """
    feed = _feed(instance, app, since, until, timezone)
    first, last = since.timestamp(), until.timestamp()
    found: list[Run] = []
    complete = True
    async for run in feed:
        if first <= run.started < last:
            found.append(_alive_or_dead(run, last, dead_after))
        if len(found) >= _MOST_RUNS:
            complete = False
            break
    found.sort(key=lambda run: (-run.started, run.id))
    return RunWindow(app_id=app.id, since=since, until=until, runs=tuple(found), complete=complete)


def percentile(sorted_values: Sequence[float], share: float) -> float | None:
    """Return the nearest-rank percentile (``share`` 0.95 for p95) of values in ascending order; ``None`` of nothing."""
    if not sorted_values:
        return None
    rank = max(1, math.ceil(share * len(sorted_values) - 1e-9))
    return sorted_values[min(rank, len(sorted_values)) - 1]


def day_of(moment: datetime, timezone: str) -> tuple[datetime, datetime]:
    """Return the beginning and the end (in UTC) of the day that ``moment`` falls on in ``timezone``.

    A day has 23 or 25 hours where the clocks change. Raises ``UsageError`` for an unknown time zone.
    """
    zone = _zone(timezone)
    local = moment.astimezone(zone)
    start = datetime(local.year, local.month, local.day, tzinfo=zone)
    following = (start + timedelta(days=1, hours=12)).date()
    end = datetime(following.year, following.month, following.day, tzinfo=zone)
    return start.astimezone(UTC), end.astimezone(UTC)


def minute_text(moment: datetime, timezone: str) -> str:
    """Return ``YYYY-MM-DD HH:MM`` in the account's time zone, as statistics and conversation lists want it."""
    return moment.astimezone(_zone(timezone)).strftime("%Y-%m-%d %H:%M")


def minute_texts(since: datetime, until: datetime, timezone: str) -> tuple[str, str]:
    """Return two texts between which a server finds everything from ``since`` to ``until``.

    In the hour that comes twice when the clocks go back a text means two moments, and servers take the later one (1.13:
    the one in standard time); a bound that falls into it is moved out of it, for more rather than for less.
    """
    zone, hour = _zone(timezone), timedelta(hours=1)
    while _comes_twice(since, zone):
        since -= hour
    while _comes_twice(until, zone):
        until += hour
    return minute_text(since, timezone), minute_text(until, timezone)


def _comes_twice(moment: datetime, zone: ZoneInfo) -> bool:
    minute = moment.astimezone(zone).replace(second=0, microsecond=0)
    return minute.replace(fold=0).utcoffset() != minute.replace(fold=1).utcoffset()


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise UsageError(f"The time zone {name!r} is not known on this machine.", hint="Install tzdata.") from error


def _feed(instance: Instance, app: App, since: datetime, until: datetime, timezone: str) -> AsyncIterator[Run]:
    if app.mode == "workflow":
        return _workflow_logs(instance, app, since, until)
    if app.mode == "advanced-chat" and instance.capabilities.can("runs_by_trigger"):
        return _chatflow_runs(instance, app, since)
    if app.mode == "completion":
        return _completions(instance, app, since, until, timezone)
    return _messages(instance, app, since)


async def _workflow_logs(instance: Instance, app: App, since: datetime, until: datetime) -> AsyncIterator[Run]:
    path = f"/apps/{part(app.id)}/workflow-app-logs"
    # The log row is written a moment after the run begins; the run's own time decides below.
    dates = {
        "created_at__after": (since - timedelta(seconds=2)).isoformat(),
        "created_at__before": (until + timedelta(seconds=60)).isoformat(),
    }

    async def fetch(params: Mapping[str, Any]) -> Any:
        return await instance.console.get(path, doing="list runs", shape=answers.WORKFLOW_LOGS, **params, **dates)

    async for row in pages.by_number(fetch):
        inner = row.get("workflow_run")
        if not isinstance(inner, dict):
            continue
        if (moment(row.get("created_at")) or 0.0) < since.timestamp() - 3600:
            return
        yield _run_of(inner, str(inner.get("triggered_from") or "app-run"), row)


async def _chatflow_runs(instance: Instance, app: App, since: datetime) -> AsyncIterator[Run]:
    path = f"/apps/{part(app.id)}/advanced-chat/workflow-runs"

    async def fetch(params: Mapping[str, Any]) -> Any:
        shape = answers.RUNS
        return await instance.console.get(path, doing="list runs", shape=shape, triggered_from="app-run", **params)

    async for row in pages.by_last_id(fetch):
        if (moment(row.get("created_at")) or 0.0) < since.timestamp():
            return
        yield _run_of(row, "app-run", row)


async def _messages(instance: Instance, app: App, since: datetime) -> AsyncIterator[Run]:
    conversations = [row async for row in _conversations(instance, app, since)]

    async def read(row: Mapping[str, Any]) -> list[Run]:
        return await _messages_of(instance, app, str(row.get("id")), since)

    options = FanoutOptions(limit=instance.context.max_in_flight)
    async for result in fan_out(conversations, read, options):
        match result:
            case Done(value=rows):
                for row in rows:
                    yield row
            case Failed(error=error):
                raise error


async def _conversations(instance: Instance, app: App, since: datetime) -> AsyncIterator[dict[str, Any]]:
    async def fetch(params: Mapping[str, Any]) -> Any:
        path = f"/apps/{part(app.id)}/chat-conversations"
        return await instance.console.get(
            path, doing="list conversations", shape=answers.CONVERSATIONS, sort_by="-updated_at", **params
        )

    async for row in pages.by_number(fetch):
        changed = max(moment(row.get("updated_at")) or 0.0, (moment(row.get("created_at")) or 0.0))
        if changed < since.timestamp():
            return
        yield row


async def _messages_of(instance: Instance, app: App, conversation: str, since: datetime) -> list[Run]:
    if app.is_agent:
        return [_message_of(row) for row in await agent_messages(instance.console, app, conversation)]
    found: list[Run] = []
    params: dict[str, Any] = {"conversation_id": conversation, "limit": 100}
    path = f"/apps/{part(app.id)}/chat-messages"
    for _ in range(_MOST_RUNS // 100):
        body = await instance.console.get(path, doing="list messages", shape=answers.MESSAGES, **params)
        rows: list[dict[str, Any]] = body["data"]
        found += [_message_of(row) for row in rows]
        oldest = min(rows, key=lambda row: moment(row.get("created_at")) or 0.0, default=None)
        if oldest is None or not body["has_more"] or (moment(oldest.get("created_at")) or 0.0) < since.timestamp():
            break
        params["first_id"] = oldest.get("id")
    return list({run.id: run for run in found}.values())


async def _completions(
    instance: Instance, app: App, since: datetime, until: datetime, timezone: str
) -> AsyncIterator[Run]:
    path = f"/apps/{part(app.id)}/completion-conversations"
    start, end = minute_texts(since, until + timedelta(minutes=1), timezone)
    dates: dict[str, str] = {"start": start, "end": end}

    async def fetch(params: Mapping[str, Any]) -> Any:
        return await instance.console.get(path, doing="list answers", shape=answers.CONVERSATIONS, **params, **dates)

    rows = [row async for row in pages.by_number(fetch)]

    async def read(row: Mapping[str, Any]) -> Run:
        detail_path = f"{path}/{part(str(row['id']))}"
        try:
            detail = await instance.console.get(detail_path, doing="read an answer", shape=answers.COMPLETION)
        except RequestRejected:
            return _bare_completion(row)  # the list has no time, tokens or error, but it has the answer
        message = detail.get("message")
        return _message_of(message) if isinstance(message, dict) else _bare_completion(row)

    async for result in fan_out(rows, read, FanoutOptions(limit=instance.context.max_in_flight)):
        match result:
            case Done(value=run):
                yield run
            case Failed(error=error):
                raise error


def _run_of(row: Mapping[str, Any], source: str, outer: Mapping[str, Any]) -> Run:
    status = str(row.get("status") or RUNNING)
    elapsed = number(row.get("elapsed_time"))
    return Run(
        id=str(row.get("id")),
        status=status,
        started=moment(row.get("created_at")) or moment(outer.get("created_at")) or 0.0,
        seconds=elapsed if status != RUNNING else None,
        source=source,
        version=str(row.get("version") or ""),
        tokens=int(_number(row.get("total_tokens"))),
        error=str(row.get("error") or ""),
    )


def _message_of(row: Mapping[str, Any]) -> Run:
    failed = row.get("status") == "error"
    empty = not row.get("answer") and not _number(row.get("answer_tokens"))
    told = MessageRecord.of(row)
    return Run(
        id=str(row.get("id")),
        status=FAILED if failed else CUT_OFF if empty else SUCCEEDED,
        started=moment(row.get("created_at")) or 0.0,
        seconds=_number(row.get("provider_response_latency")) if not empty else None,
        source="chat",
        tokens=told.prompt_tokens + told.answer_tokens,
        error=told.error,
        prompt_tokens=told.prompt_tokens,
        price=told.price,
        currency=told.currency,
    )


def _bare_completion(row: Mapping[str, Any]) -> Run:
    """Read a completion from the list: when, and whether there is an answer."""
    message = row.get("message")
    answered = isinstance(message, dict) and bool(message.get("answer"))
    return Run(
        id=str(row.get("id")),
        status=SUCCEEDED if answered else CUT_OFF,
        started=moment(row.get("created_at")) or 0.0,
        source="completion",
    )


def _alive_or_dead(run: Run, now: float, dead_after: float) -> Run:
    """Tell runs that go on from those that nobody will end; an answer that is empty so far may still come."""
    age = now - run.started
    if run.status == RUNNING and age > dead_after:
        return replace(run, status=DEAD)
    if run.status == CUT_OFF and age < 30:
        return replace(run, status=RUNNING)
    return run


def _number(value: Any) -> float:
    return number(value) or 0.0
