"""Drift: does the instance still look like the last snapshot? Who changed what, and is it live or only drafted?

At most two calls per app: an unchanged live version id needs no look at the graph.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace

from difyops.api.instance import Instance
from difyops.api.model import AgentVersion, App, Workflow
from difyops.clock import from_unix, iso
from difyops.dsl.diff import Change, diff
from difyops.errors import AnswerIsNo, DifyopsError, NotFound, PartialFailure
from difyops.fanout import Done, Failed, FanoutOptions, fan_out
from difyops.git_store import GitStore
from difyops.sealing.access import Access
from difyops.sealing.store import Seal, seal_to_compare
from difyops.snapshot.agent_apps import agent_now
from difyops.snapshot.agreement import check_mode, check_never_published, is_gone, left_out, merged
from difyops.snapshot.history import Kept, apps_of, checked_at, load_app
from difyops.snapshot.in_clear import read_clear, sealed_draft
from difyops.snapshot.layout import Manifest, app_file, read_manifest
from difyops.snapshot.reading import config_of
from difyops.targets import select

_KEEP = "Keep it: difyops snapshot create."
_BACK = {
    "live changed": "Undo it: difyops snapshot rollback APP --to latest",
    "secret changed": "A rollback leaves secret variables as they are now: difyops secret list",
    "flags changed": "Switch back: difyops app enable APP, or disable",
    "deleted": "Bring it back: difyops snapshot restore APP",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class AppDrift:
    """How one app drifted.

    ``kind``: live changed, secret changed (only the values of secret variables), draft edited, flags changed, new,
    deleted, unreadable.
    """

    id: str
    name: str
    kind: str
    who: str | None = None
    when: str | None = None
    what: str = ""
    changes: tuple[Change, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Drift:
    """The verdict: drifted apps against snapshot ``commit``, how many were compared, how old the comparison base is."""

    context: str
    commit: str
    taken_at: str
    checked_at: str | None
    compared: int
    apps: tuple[AppDrift, ...]
    warnings: tuple[str, ...] = ()

    @property
    def hint(self) -> str:
        """Return what can be done about the kinds of drift that were found."""
        kinds = {app.kind for app in self.apps}
        return " ".join([_KEEP, *(text for kind, text in _BACK.items() if kind in kinds)])

    @property
    def error(self) -> DifyopsError | None:
        """Return the "no" when anything drifted (5), a partial failure when something could not be read (3)."""
        unreadable = sum(app.kind == "unreadable" for app in self.apps)
        drifted = len({app.id for app in self.apps if app.kind != "unreadable"})
        if drifted:
            more = f" {unreadable} could not be compared." if unreadable else ""
            return AnswerIsNo(
                f"{drifted} of {self.compared} apps drifted from snapshot {self.commit[:10]}.{more}",
                hint=self.hint,
            )
        if unreadable:
            return PartialFailure(f"{unreadable} of {self.compared} apps could not be compared.", retryable=True)
        return None


async def drift(
    instance: Instance,
    store: GitStore,
    selectors: Sequence[str],
    *,
    access: Access | None = None,
    limit: int = 4,
) -> Drift:
    """Compare the instance with the newest snapshot of its context.

    Raises:
        StoreError: there is no snapshot yet. SelectorError: a selector matches nothing.
    """
    commit = store.resolve("latest", branch=instance.name)
    manifest = read_manifest(store, commit)
    seal = seal_to_compare(store, instance.name, access or Access())
    now = {app.id: app async for app in instance.console.apps()}
    kept = {app.id: app for app in apps_of(manifest)}
    chosen = select(list({**kept, **now}.values()), selectors, may_be_empty=True)

    async def work(app: App) -> list[AppDrift]:
        if app.id not in now:
            if not await is_gone(instance.console, app.id):
                raise left_out()
            return [AppDrift(id=app.id, name=app.name, kind="deleted", what="deleted on the instance")]
        if app_file(app.id, "app.json") not in manifest.files:
            return [_new(app)] if _is_new(app, manifest) else [_unread(app, manifest)]
        return await _drifts(instance, app, load_app(store, commit, manifest, app.id), manifest, seal)

    found: list[AppDrift] = []
    async for result in fan_out(chosen, work, FanoutOptions(limit=limit)):
        match result:
            case Done(value=drifts):
                found += drifts
            case Failed(item=app, error=NotFound()) if await _is_gone_now(instance, app):
                found.append(AppDrift(id=app.id, name=app.name, kind="deleted", what="deleted a moment ago"))
            case Failed(item=app, error=error):
                found.append(AppDrift(id=app.id, name=app.name, kind="unreadable", what=error.message))
    return Drift(
        context=instance.name,
        commit=commit,
        taken_at=manifest.taken_at,
        checked_at=checked_at(store, instance.name),
        compared=len(chosen),
        apps=tuple(sorted(found, key=lambda item: (item.name, item.id, item.kind))),
        warnings=seal.warnings,
    )


async def _is_gone_now(instance: Instance, row: App) -> bool:
    """Say whether an app that was not found is gone: a new list lacks it as well."""
    try:
        return row.id not in {app.id async for app in instance.console.apps()}
    except DifyopsError:
        return False


async def _drifts(instance: Instance, row: App, kept: Kept, manifest: Manifest, seal: Seal) -> list[AppDrift]:
    check_mode(row)
    app = merged(row, await instance.console.app(row.id))
    if app.has_workflow and app.live_version is None:
        await check_never_published(instance.console, row, kept.record.live_version)
    found = [_flags(app, kept)] if _flags_moved(app, kept) else []
    if app.is_agent:
        return found + await _agent_drifts(instance, app, kept, manifest, seal)
    if not app.has_workflow:
        changes = diff(kept.live or {}, seal.redact(config_of(app)).document)
        if changes:
            config = app.raw.get("model_config") or {}
            when = _when(config.get("updated_at") or app.updated_at)
            found.append(_live(app, changes, None, when))
        return found
    if app.live_version == kept.record.live_version:
        draft = await instance.console.draft(app.id)
    else:
        live, draft = await instance.console.live_and_draft(app.id, app.live_version)
        clear = (await read_clear(instance.console, app.id, live, exports=False)).document if live else {}
        document = seal.redact(clear).document
        changes = diff(kept.live or {}, document)
        if changes:
            found.append(
                _live(app, changes, live.created_by if live else None, _when(live.created_at if live else None))
            )
        kept = replace(kept, live=document if live else None, dsl=None)  # such a draft was published, not edited
    if not manifest.live_only:
        found += await _draft(instance, app, kept, draft, seal)
    return found


async def _agent_drifts(instance: Instance, app: App, kept: Kept, manifest: Manifest, seal: Seal) -> list[AppDrift]:
    now = await agent_now(instance, app, kept.record.live_version)
    found: list[AppDrift] = []
    if not now.is_known:
        document = seal.redact(now.live.document).document if now.live else None
        changes = diff(kept.live or {}, document or {})
        if changes:
            found.append(_live(app, changes, None, _when(now.live.created_at if now.live else None)))
        kept = replace(kept, live=document, dsl=None)
    return found if manifest.live_only else [*found, *await _draft(instance, app, kept, now.state.draft, seal)]


async def _draft(
    instance: Instance, app: App, kept: Kept, draft: Workflow | AgentVersion | None, seal: Seal
) -> list[AppDrift]:
    if draft is None:
        return []
    document = seal.redact(draft.document).document
    known = kept.draft if kept.draft is not None else kept.live
    if not diff(known or {}, document) or not diff(kept.live or {}, document):
        return []
    document = json.loads((await sealed_draft(instance.console, app.id, draft, seal))[0])  # with its variables in clear
    changes = diff(known or {}, document)
    if not changes or not diff(kept.live or {}, document):
        return []
    who, when = draft.updated_by or draft.created_by, _when(draft.updated_at)
    what = f"{len(changes)} unpublished change{'s' * (len(changes) != 1)}"
    return [AppDrift(id=app.id, name=app.name, kind="draft edited", who=who, when=when, what=what, changes=changes)]


def _live(app: App, changes: tuple[Change, ...], who: str | None, when: str | None) -> AppDrift:
    kind, what = "live changed", f"{len(changes)} change{'s' * (len(changes) != 1)}"
    if all(change.is_secret_variable for change in changes):
        kind, what = "secret changed", f"{what} of a sealed value"
    return AppDrift(id=app.id, name=app.name, kind=kind, who=who, when=when, what=what, changes=changes)


def _flags_moved(app: App, kept: Kept) -> bool:
    record = kept.record
    return (record.enable_api, record.enable_site) != (app.enable_api, app.enable_site)


def _flags(app: App, kept: Kept) -> AppDrift:
    moved = [
        f"{label} switched {'on' if now else 'off'}"
        for label, before, now in (
            ("API", kept.record.enable_api, app.enable_api),
            ("site", kept.record.enable_site, app.enable_site),
        )
        if before != now
    ]
    return AppDrift(id=app.id, name=app.name, kind="flags changed", when=_when(app.updated_at), what=", ".join(moved))


def _new(app: App) -> AppDrift:
    return AppDrift(
        id=app.id, name=app.name, kind="new", who=app.author, when=_when(app.created_at), what="not in the snapshot"
    )


def _is_new(app: App, manifest: Manifest) -> bool:
    """Say whether the snapshot knew nothing of an app, because there was nothing and not because it failed to look."""
    failed = {str(item.get("id")) for item in manifest.failed}
    return app.id not in failed and app.id not in manifest.apps and not _is_blind(manifest)


def _is_blind(manifest: Manifest) -> bool:
    return bool(manifest.failed) and not any(path.endswith("/app.json") for path in manifest.files)


def _unread(app: App, manifest: Manifest) -> AppDrift:
    what = "the snapshot could not read it then; there is nothing to compare with"
    if _is_blind(manifest):
        what = "the snapshot could read no app; there is nothing to compare with"
    return AppDrift(id=app.id, name=app.name, kind="unreadable", what=what)


def _when(seconds: object) -> str | None:
    moment = from_unix(float(seconds)) if isinstance(seconds, (int, float)) else None
    return iso(moment) if moment else None
