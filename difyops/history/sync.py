"""``sync``: bring the history of an instance up to two minutes ago, as far as the budget goes.

Lists first, of all apps, so that gaps close; then node records by sampling. What is written is written with its
coverage, so the next sync goes on where this one ended, however it ended. One sync of a context at a time.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from difyops import atomic_file
from difyops.api.instance import Instance
from difyops.api.model import App
from difyops.api.run_feed import node_rows, run_detail, server_time
from difyops.api.run_records import NodeRecord, graph_shape
from difyops.clock import Clock
from difyops.counting import counted
from difyops.errors import DifyopsError, NotFound, OutOfBudget, PartialFailure
from difyops.history import sampling
from difyops.history.feeds import Feeds
from difyops.history.others import tell_others
from difyops.history.pace import Pace, SyncEnded, together
from difyops.history.rows import RowMaker
from difyops.history.store import Batch, History
from difyops.ledger import Ledger

LATE = 120.0  # seconds: what a window must be older than
_CHUNK = 20
Moved = Callable[[int, int, str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncRequest:
    """What to read: apps, how far back (seconds), how many calls, which share of node records, whether content.

    ``ledger``: one that machines share keeps their syncs apart, and tells each how far the others are.
    """

    apps: tuple[App, ...]
    state: Path
    back: float = 30 * 86400
    max_calls: int = 2000
    share: float = 0.05
    content: bool = False
    debugging: bool = False
    nodes: bool = True
    ledger: Ledger | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AppSynced:
    """What one sync did for one app."""

    id: str
    name: str
    mode: str
    runs: int = 0
    messages: int = 0
    nodes_of: int = 0
    seconds_missing: float = 0.0
    error: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Synced:
    """What a sync did, up to ``until``. ``stopped`` says why it ended early."""

    context: str
    until: datetime
    calls: int
    apps: tuple[AppSynced, ...]
    stopped: str | None = None
    warnings: tuple[str, ...] = ()
    most_in_flight: int = 0
    longest_wait: float = 0.0
    cause: DifyopsError | None = field(default=None, repr=False)

    @property
    def error(self) -> DifyopsError | None:
        """Return what the end comes to: the server's own no, gaps left for want of calls, apps that failed."""
        if self.cause is not None:
            return self.cause
        if self.stopped and any(app.seconds_missing for app in self.apps):
            return OutOfBudget(f"Gaps are left: {self.stopped}.", hint="Run it again; it goes on where it ended.")
        failed = [app for app in self.apps if app.error]
        if failed:
            return PartialFailure(
                f"{len(failed)} of {counted(len(self.apps), 'app')} could not be read: {failed[0].error}"
            )
        return None


@dataclass(slots=True)
class _Work:
    """One sync while it goes on."""

    instance: Instance
    history: History
    request: SyncRequest
    pace: Pace
    salt: bytes
    since: float
    until: float
    warnings: list[str] = field(default_factory=list)
    runs: dict[str, int] = field(default_factory=dict)
    messages: dict[str, int] = field(default_factory=dict)
    nodes: dict[str, int] = field(default_factory=dict)
    errors: dict[str, str] = field(default_factory=dict)

    def maker(self, app: App) -> RowMaker:
        return RowMaker(context=self.instance.name, app=app.id, salt=self.salt, content=self.request.content)

    def feeds(self, app: App) -> Feeds:
        return Feeds(
            instance=self.instance, history=self.history, pace=self.pace, app=app, maker=self.maker(app),
            since=self.since, until=self.until, debugging=self.request.debugging,
        )  # fmt: skip


async def sync(
    instance: Instance, history: History, request: SyncRequest, *, clock: Clock, moved: Moved | None = None
) -> Synced:
    """Read what is missing; see the module.

    Raises:
        LockHeld: another sync of this context goes on. StoreError: the history cannot be written.
    """
    lock = request.state / "locks" / f"history-{instance.name}.lock"
    hold = request.ledger.lock if request.ledger else atomic_file.lock
    with hold(lock, holding=f"the history of {instance.name}"):
        now = min(clock.now().timestamp(), await server_time(instance) or math.inf)
        until = float(math.floor(now - LATE))
        work = _Work(
            instance=instance, history=history, request=request, salt=history.salt,
            pace=Pace(clock=clock, max_calls=request.max_calls), since=float(math.floor(now - request.back)),
            until=until,
        )  # fmt: skip
        visit = history.begin_visit(instance.name, "console", clock.now().timestamp())
        stopped, cause = await _through(work, moved)
        history.end_visit(visit, clock.now().timestamp(), work.pace.calls, stopped or "")
        done = _result(work, stopped, cause)
        if request.ledger is not None:
            tell_others(request.ledger, history, instance.name, until=until, is_whole=done.error is None)
    return done


async def _through(work: _Work, moved: Moved | None) -> tuple[str | None, DifyopsError | None]:
    tell = moved or (lambda done, total, name: None)
    apps = work.request.apps
    try:
        for number, app in enumerate(apps):
            tell(number, len(apps), app.name)
            await _guarded(work, app, _lists)
        for number, app in enumerate(apps if work.request.nodes else ()):
            tell(number, len(apps), f"{app.name}: nodes")
            if app.has_workflow and app.id not in work.errors:
                await _guarded(work, app, _nodes)
    except SyncEnded as end:
        return end.reason, end.error
    return None, None


async def _guarded(work: _Work, app: App, step: Callable[[_Work, App], Awaitable[None]]) -> None:
    """Do one step of one app; what only this app answers badly does not stop the others."""
    try:
        await step(work, app)
    except SyncEnded:
        raise
    except DifyopsError as error:
        if error.code == "store":
            raise
        if isinstance(error, NotFound) and await _is_gone(work, app):
            work.history.note_app(work.instance.name, app.id, name=app.name, mode=app.mode, gone=work.until)
            work.errors[app.id] = f"{app.name} was deleted"
        else:
            work.errors[app.id] = f"{app.name}: {error.message}"


async def _is_gone(work: _Work, app: App) -> bool:
    """Ask for the app itself: a list that is not there says nothing of the app."""
    try:
        await work.pace.call(lambda: work.instance.console.app(app.id))
    except NotFound:
        return True
    except DifyopsError:
        return False
    return False


async def _lists(work: _Work, app: App) -> None:
    work.history.note_app(work.instance.name, app.id, name=app.name, mode=app.mode)
    feeds = work.feeds(app)
    try:
        await feeds.read()
    finally:
        work.runs[app.id], work.messages[app.id] = feeds.runs, feeds.messages
        work.warnings += feeds.warnings


async def _nodes(work: _Work, app: App) -> None:
    context, maker = work.instance.name, work.maker(app)
    chosen = sampling.plan(work.history, context, app.id, since=work.since, share=work.request.share)
    try:
        await _graphs(work, app, chosen)
        for start in range(0, len(chosen), _CHUNK):
            await together(_read_nodes(work, app, maker, choice) for choice in chosen[start : start + _CHUNK])
    finally:
        sampling.refresh(work.history, context, app.id, since=0.0)


async def _read_nodes(work: _Work, app: App, maker: RowMaker, choice: sampling.Choice) -> None:
    context = work.instance.name
    rows = await work.pace.call(lambda: node_rows(work.instance, app.id, choice.run))
    records = [NodeRecord.of(row) for row in rows]
    content = [kept for record in records if (kept := maker.kept("node", record))]
    reason = choice.reason if records else sampling.GONE
    chance = 1.0 if reason in sampling.CERTAIN else 0.0  # of drawn ones: known when the reading stops
    with work.history.changing():
        batch = Batch(rows={"node": [maker.node(choice.run, record) for record in records]}, content=content)
        work.history.write_into(context, app.id, "", batch)
        work.history.sample_into(context, app.id, [(choice.run, reason, chance, work.until)])
    work.nodes[app.id] = work.nodes.get(app.id, 0) + bool(records)


async def _graphs(work: _Work, app: App, chosen: Sequence[sampling.Choice]) -> None:
    """Read the graph of every version that a run to be read is of: one call each, once."""
    versions = {choice.version: choice.run for choice in reversed(chosen)}
    for version, run in versions.items():
        if work.history.graph(work.instance.name, app.id, version) is None:
            try:
                detail = await work.pace.call(partial(run_detail, work.instance, app.id, run))
            except NotFound:
                continue  # its nodes are gone, too
            work.history.note_graph(work.instance.name, app.id, version, graph_shape(detail.get("graph")))


def _result(work: _Work, stopped: str | None, cause: DifyopsError | None) -> Synced:
    apps = tuple(
        AppSynced(
            id=app.id, name=app.name, mode=app.mode, runs=work.runs.get(app.id, 0),
            messages=work.messages.get(app.id, 0), nodes_of=work.nodes.get(app.id, 0),
            seconds_missing=work.feeds(app).missing(), error=work.errors.get(app.id),
        )
        for app in work.request.apps
    )  # fmt: skip
    return Synced(
        context=work.instance.name, until=datetime.fromtimestamp(work.until, UTC), calls=work.pace.calls, apps=apps,
        stopped=stopped, cause=cause,
        warnings=tuple(work.warnings), most_in_flight=work.pace.most_in_flight, longest_wait=work.pace.longest_wait,
    )  # fmt: skip
