"""One start by hand: a webhook, called as an outside caller calls it, and the run that this started.

The platform answers at once and does not tell the run; it is looked for in the app's log.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from difyops.api.model import App
from difyops.api.runs import Run, runs_in
from difyops.api.server_time import server_time
from difyops.api.triggers import call_webhook, webhook_address
from difyops.counting import counted
from difyops.dsl.model import iter_nodes
from difyops.errors import NotFound, Refused, UsageError
from difyops.ledger import AuditEntry
from difyops.trigger.listing import TriggerRow
from difyops.workspace import Workspace

_LOOK_AGAIN = 0.5
_EARLY = timedelta(seconds=3)
_SHOWN = 2000


@dataclass(frozen=True, slots=True, kw_only=True)
class Shot:
    """What is sent. ``method`` is the node's own where it is ``None``; ``debug``: to the address that editors listen
    on. ``wait``: seconds to look for the run.
    """

    content: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    method: str | None = None
    debug: bool = False
    wait: float = 15.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Fired:
    """What came of it: the webhook's own answer, and the run when it was found in the log."""

    app: str
    app_id: str
    trigger: str
    kind: str
    how: str
    answered: int | None
    answer: str
    run: str | None
    status: str | None
    started: datetime | None = None


def chosen_trigger(rows: tuple[TriggerRow, ...], wanted: str | None) -> TriggerRow:
    """Return the trigger that ``wanted`` names (title, node id, id or kind), or the only one.

    Raises:
        UsageError: there is none, or it is not clear which.
    """
    names = [(row, (row.id, row.title, row.node_id, row.kind)) for row in rows]
    found = [row for row, known in names if wanted is None or wanted in known]
    if len(found) == 1:
        return found[0]
    there = ", ".join(f"{row.title} ({row.kind}, {row.node_id})" for row in rows) or "none"
    said = "it has no such trigger" if not found else f"{counted(len(found), 'trigger fits', 'triggers fit')}"
    raise UsageError(f"Which trigger? {said}.", hint=f"--trigger TITLE|NODE|KIND; there is: {there}.")


def check_enabled(row: TriggerRow, shot: Shot) -> None:
    """Refuse a webhook that no caller reaches.

    Raises:
        Refused: it is switched off.
    """
    if row.status != "enabled" and not shot.debug:
        hint = f"difyops trigger enable {row.app!r} --trigger {row.node_id}"
        raise Refused(f"{row.title!r} of {row.app!r} is {row.status}: a caller gets 404.", hint=hint)


async def fire_webhook(workspace: Workspace, app: App, row: TriggerRow, shot: Shot) -> Fired:
    """Call the webhook of ``row`` once, and look for the run that it started.

    Raises:
        Refused: it is switched off. NotFound: the server knows no address. RequestRejected: the node wants otherwise.
    """
    instance, clock = workspace.instance, workspace.clock
    check_enabled(row, shot)
    address = await webhook_address(instance.console, app.id, row.node_id)
    url = address and (address.debug_url if shot.debug else address.url)
    if not url:
        raise NotFound(f"The server tells no {'debug ' if shot.debug else ''}address of {row.title!r}.", status=404)
    method, content_type = await _expected(workspace, app, row)
    headers = {"Content-Type": content_type, **shot.headers} if content_type and shot.content else dict(shot.headers)
    before = datetime.fromtimestamp((await server_time(instance, clock)).earliest, UTC) - _EARLY
    known = {run.id for run in await _webhook_runs(workspace, app, before)}
    answer = await call_webhook(
        instance.transport, url, method=shot.method or method, content=shot.content, headers=headers
    )
    workspace.ledger.audit(
        AuditEntry(
            actor=workspace.actor, action="trigger.fire", subject=app.id, when=clock.now(), context=instance.name,
            outcome="done", data={"trigger": row.id, "status": answer.status_code, "debug": shot.debug},
        )
    )  # fmt: skip
    run = None if shot.debug else await _started(workspace, app, before, known, shot.wait)
    return Fired(
        app=app.name, app_id=app.id, trigger=row.title, kind=row.kind, how="debug" if shot.debug else "webhook",
        answered=answer.status_code, answer=answer.text[:_SHOWN], run=run.id if run else None,
        status=run.status if run else None, started=datetime.fromtimestamp(run.started, UTC) if run else None,
    )  # fmt: skip


async def _expected(workspace: Workspace, app: App, row: TriggerRow) -> tuple[str, str]:
    """Return the method and the content type that the published node expects."""
    live = await workspace.instance.console.published(app.id)
    for node in iter_nodes(live.document if live else {}):
        if node.id == row.node_id:
            return str(node.data.get("method") or "POST").upper(), str(node.data.get("content_type") or "")
    return "POST", ""


async def _started(workspace: Workspace, app: App, since: datetime, known: set[str], wait: float) -> Run | None:
    clock = workspace.clock
    end = clock.monotonic() + wait
    while True:
        runs = [run for run in await _webhook_runs(workspace, app, since) if run.id not in known]
        ended = [run for run in runs if run.status != "running"]
        if ended or clock.monotonic() >= end:
            return next(iter(ended or runs), None)
        await clock.sleep(_LOOK_AGAIN)


async def _webhook_runs(workspace: Workspace, app: App, since: datetime) -> list[Run]:
    later = since + timedelta(days=1)  # longer than anybody looks: none of these runs is dead
    window = await runs_in(workspace.instance, app, since, later, dead_after=math.inf)
    return [run for run in window.runs[::-1] if run.source == "webhook"]
