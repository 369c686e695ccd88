"""Reading an instance for an incident: versions that were published, runs, and what our audit trail says."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from difyops.api.model import App, Workflow
from difyops.clock import from_unix, iso
from difyops.errors import DifyopsError
from difyops.fanout import Done, Failed, FanoutOptions, fan_out
from difyops.history.reading import runs_through
from difyops.incident.judging import Since, judge
from difyops.incident.model import UNREAD, VERDICTS, Act, AppSeen, Picture
from difyops.snapshot.server_versions import PREVIOUS, went_back
from difyops.targets import select
from difyops.workspace import Workspace

LATEST = "latest"
_MOST_VERSIONS = 50  # published within one window
_SLACK = 5.0  # seconds: a publish changes the app's row a moment before or after the version's own time


@dataclass(frozen=True, slots=True, kw_only=True)
class LookRequest:
    """What to look at: apps (none: all), the window, and of how many apps that nobody changed the runs are read."""

    selectors: Sequence[str] = ()
    since: datetime
    until: datetime
    most: int = 200


async def look(workspace: Workspace, wanted: LookRequest) -> Picture:
    """Return what changed and what fails. An app that cannot be read is in it as unread.

    Raises:
        SelectorError: no such app. DifyopsError: the app list cannot be read.
    """
    instance = workspace.instance
    every = [app async for app in instance.console.apps()]
    chosen = select(every, wanted.selectors) if wanted.selectors else every
    edge = wanted.since.timestamp() - _SLACK
    touched = [app for app in chosen if (app.updated_at or 0.0) >= edge]
    others = [app for app in chosen if (app.updated_at or 0.0) < edge]
    read = [*touched, *(others if wanted.selectors else others[: max(0, wanted.most - len(touched))])]
    timezone = "UTC"
    if any(app.mode == "completion" for app in read):
        timezone = str((await instance.workspace.profile()).get("timezone") or "UTC")
    seen: list[AppSeen] = []
    options = FanoutOptions(limit=instance.context.max_in_flight)
    async for result in fan_out(read, lambda app: _seen(workspace, app, wanted, timezone), options):
        match result:
            case Done(value=value):
                seen.append(value)
            case Failed(item=app, error=error):
                seen.append(_unread(app, error))
    seen.sort(key=lambda app: (VERDICTS.index(app.verdict), -app.now.failed - app.provider, app.name, app.id))
    return Picture(
        context=instance.name,
        url=instance.context.url,
        since=iso(wanted.since),
        until=iso(wanted.until),
        apps=tuple(seen),
        acts=_acts(workspace, wanted.since),
        not_looked_at=len(chosen) - len(read),
    )


async def _seen(workspace: Workspace, app: App, wanted: LookRequest, timezone: str) -> AppSeen:
    instance = workspace.instance
    window = await runs_through(instance, workspace.state, app, wanted.since, wanted.until, timezone=timezone)
    cut = "" if window.complete else "; only the newest runs were read, earlier versions may have had more"
    is_touched = (app.updated_at or 0.0) >= wanted.since.timestamp() - _SLACK
    versions = await _versions(workspace, app, wanted) if is_touched else []
    found = judge(window.runs, versions)
    newest = versions[0] if len(versions) > 1 else None
    before: str | None = PREVIOUS if app.has_workflow else LATEST  # the chat modes have no versions on the server
    if newest is None or newest.went_back:  # the version before a rollback is the one that was bad
        before = None
    return AppSeen(
        id=app.id,
        name=app.name,
        mode=app.mode,
        verdict=found.verdict,
        why=found.why + cut,
        changed_at=_iso(newest.at if newest else None),
        changed_by=newest.by if newest else None,
        change=newest.told if newest else "",
        before=found.before,
        now=found.now,
        provider=found.provider,
        error=found.error,
        back_to=found.back_to or before,
        live=live_mark(app),
    )


def live_mark(app: App) -> str | None:
    """Return what tells two live states of an app apart: its version, or when it was saved where it has none."""
    return app.live_version or (_iso(app.updated_at) if not app.has_workflow else None)


async def _versions(workspace: Workspace, app: App, wanted: LookRequest) -> list[Since]:
    """Return the versions that were published in the window, newest first, and the one before them.

    Of the chat modes only the last time that something was saved is known.
    """
    if not app.has_workflow and app.updated_at:
        saved = Since(at=app.updated_at, version="", told=f"something was saved at {_iso(app.updated_at)}")
        return [saved, Since(at=0.0, version="", told="")]
    if app.live_version is None:
        return []
    found: list[Workflow] = []
    is_past = False
    async for version in workspace.instance.console.versions(app.id):
        is_past = is_past or version.id == app.live_version
        if not is_past:
            continue
        found.append(version)
        if (version.created_at or 0.0) < wanted.since.timestamp() or len(found) > _MOST_VERSIONS:
            break
    return [_since(version, found[place + 1 :]) for place, version in enumerate(found)]


def _since(version: Workflow, older: Sequence[Workflow]) -> Since:
    at = version.created_at or 0.0
    told = " ".join(filter(None, [_iso(at), f"by {version.created_by}" if version.created_by else ""]))
    words = " ".join(filter(None, (version.marked_name, version.marked_comment)))
    said = f"the version of {told}" + (f" ({words})" if words else "")
    return Since(at=at, version=version.id, by=version.created_by, told=said, went_back=went_back(version, older))


def _unread(app: App, error: DifyopsError) -> AppSeen:
    return AppSeen(id=app.id, name=app.name, mode=app.mode, verdict=UNREAD, why=error.message)


def _acts(workspace: Workspace, since: datetime) -> tuple[Act, ...]:
    trail = workspace.ledger.audit_trail(since=since, context=workspace.instance.name, limit=200)
    return tuple(
        Act(at=iso(entry.when), actor=entry.actor, action=entry.action, subject=entry.subject, outcome=entry.outcome)
        for entry in trail
    )


def _iso(seconds: float | None) -> str | None:
    moment = from_unix(seconds) if seconds else None
    return iso(moment.astimezone(UTC)) if moment else None
