"""What differs, in meaning: between two snapshots, a snapshot and the instance, or a draft and what is live."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from difyops.api.instance import Instance
from difyops.api.model import App
from difyops.counting import counted
from difyops.dsl.diff import Difference, diff
from difyops.dsl.secrets import redact
from difyops.errors import DifyopsError, PartialFailure
from difyops.fanout import Done, Failed, FanoutOptions, fan_out
from difyops.git_store import GitStore, ObjectReader
from difyops.sealing.access import Access
from difyops.sealing.store import Seal, seal_to_compare
from difyops.snapshot.agent_apps import agent_now
from difyops.snapshot.agreement import check_mode, is_gone, left_out
from difyops.snapshot.belonging import held_by, is_same_place, place_of
from difyops.snapshot.history import apps_of, read_kept
from difyops.snapshot.in_clear import read_clear
from difyops.snapshot.layout import Manifest, app_file, read_json, read_manifest, record_of
from difyops.snapshot.reading import config_of
from difyops.targets import select

JsonObject = dict[str, Any]
Progress = Callable[[int, int, str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class AppDiff:
    """What differs in one app. ``state``: same, changed, added, removed; ``error`` when it could not be read."""

    id: str
    name: str
    state: str
    changes: tuple[Difference, ...] = ()
    error: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """The differing apps between ``left`` and ``right`` (words for people), and how many were compared."""

    left: str
    right: str
    compared: int
    apps: tuple[AppDiff, ...]
    warnings: tuple[str, ...] = ()

    @property
    def error(self) -> DifyopsError | None:
        """Return a partial failure when something could not be compared; differences are no failure."""
        unread = sum(app.state == "failed" for app in self.apps)
        return PartialFailure(f"{unread} of {counted(self.compared, 'app')} could not be compared.") if unread else None


def between(store: GitStore, context: str, left: str, right: str, selectors: Sequence[str]) -> Comparison:
    """Compare two snapshots of a context."""
    one, other = (store.resolve(text, branch=context) for text in (left, right))
    old, new = read_manifest(store, one), read_manifest(store, other)
    everything = {app.id: app for app in (*apps_of(old), *apps_of(new))}
    chosen = select(list(everything.values()), selectors, may_be_empty=True)
    with store.at(one) as before, store.at(other) as after:
        diffs = [_stored(_Side(before, old), _Side(after, new), app) for app in chosen]
    return Comparison(left=left, right=right, compared=len(chosen), apps=_differing(diffs))


async def with_live(
    instance: Instance,
    store: GitStore,
    revision: str,
    selectors: Sequence[str],
    *,
    access: Access | None = None,
    limit: int = 4,
    progress: Progress | None = None,
) -> Comparison:
    """Compare a snapshot with what is live now; secrets are compared by their fingerprints.

    A workflow whose live version is the kept one is not read. A snapshot of another instance is compared all the same,
    and said to be of another one.

    Raises:
        NothingKept: no such snapshot. SelectorError: a selector matches nothing. DifyopsError: the list of apps cannot
        be read; an app that cannot be read is in the result, with its error.
    """
    seal = seal_to_compare(store, instance.name, access or Access())
    commit = store.resolve(revision, branch=instance.name)
    manifest = read_manifest(store, commit)
    now = {app.id: app async for app in instance.console.apps()}
    everything = {**{app.id: app for app in apps_of(manifest)}, **now}
    chosen = select(list(everything.values()), selectors, may_be_empty=True)

    place = await place_of(instance)
    told = (
        ()
        if is_same_place(store, instance.name, held_by(manifest), place)
        else (f"{revision} is of {held_by(manifest)}",)
    )
    with store.at(commit) as files:

        async def work(app: App) -> AppDiff:
            if app.id not in now:
                if not await is_gone(instance.console, app.id):
                    raise left_out()
                return AppDiff(id=app.id, name=app.name, state="removed")
            path = app_file(app.id, "app.json")
            if path not in manifest.files:
                return AppDiff(id=app.id, name=app.name, state="added")
            version = record_of(files.read(path)).live_version
            if version is not None and version == app.live_version and not told:
                return AppDiff(id=app.id, name=app.name, state="same")
            before = read_kept(files, manifest, app.id).live
            return _judged(app, before, await live_document(instance, app, seal))

        diffs = await _all(chosen, work, limit, progress)
    return Comparison(
        left=revision,
        right="live",
        compared=len(chosen),
        apps=_differing(diffs),
        warnings=(*seal.warnings, *told),
    )


async def draft_with_live(
    instance: Instance, selectors: Sequence[str], *, limit: int = 4, progress: Progress | None = None
) -> Comparison:
    """Compare drafts with what is live: the edits that nobody published. Secrets are compared as the server masks them.

    Raises:
        SelectorError: a selector matches nothing. DifyopsError: the list of apps cannot be read.
    """
    apps = [app async for app in instance.console.apps()]
    chosen = [app for app in select(apps, selectors, may_be_empty=True) if app.has_workflow or app.is_agent]

    async def work(app: App) -> AppDiff:
        if app.is_agent:
            now = await agent_now(instance, app)
            before = redact(now.live.document).document if now.live else None
            return _judged(app, before, redact(now.state.draft.document).document)
        live, draft = await instance.console.live_and_draft(app.id, app.live_version)
        before = redact(live.document).document if live else None
        after = redact(draft.document).document if draft else None
        return _judged(app, before, after)

    return Comparison(
        left="live", right="draft", compared=len(chosen), apps=_differing(await _all(chosen, work, limit, progress))
    )


async def live_document(instance: Instance, app: App, seal: Seal) -> JsonObject | None:
    """Return what is live of an app, secrets as marks; ``None`` when nothing was ever published.

    Raises:
        NotSupported: apps of this mode are not known.
    """
    check_mode(app)
    if app.is_agent:
        agent = await agent_now(instance, app)
        return seal.redact(agent.live.document).document if agent.live else None
    if not app.has_workflow:
        return seal.redact(config_of(await instance.console.app(app.id))).document
    workflow = await instance.console.published(app.id)
    if workflow is None:
        return None
    clear = await read_clear(instance.console, app.id, workflow, exports=False)
    return seal.redact(clear.document).document


@dataclass(frozen=True, slots=True)
class _Side:
    """One of two snapshots."""

    files: ObjectReader
    manifest: Manifest

    def live(self, app: App) -> JsonObject | None:
        """Return the live document of an app."""
        path = app_file(app.id, "live.json")
        return read_json(self.files, path) if path in self.manifest.files else None


def _stored(old: _Side, new: _Side, app: App) -> AppDiff:
    path, record = app_file(app.id, "live.json"), app_file(app.id, "app.json")
    sides = (old.manifest, new.manifest)
    if any(app.id in side.apps and record not in side.files for side in sides):
        return AppDiff(id=app.id, name=app.name, state="failed", error="a snapshot could not read it, and kept nothing")
    was, is_now = (app.id in side.apps for side in sides)
    if was != is_now:
        return AppDiff(id=app.id, name=app.name, state="added" if is_now else "removed")
    if old.manifest.files.get(path) == new.manifest.files.get(path):
        return AppDiff(id=app.id, name=app.name, state="same")
    return _judged(app, old.live(app), new.live(app))


def _judged(app: App, before: JsonObject | None, after: JsonObject | None) -> AppDiff:
    changes = diff(before or {}, after or {})
    return AppDiff(id=app.id, name=app.name, state="changed" if changes else "same", changes=changes)


async def _all(apps: Sequence[App], work: Any, limit: int, progress: Progress | None) -> list[AppDiff]:
    found: list[AppDiff] = []
    async for result in fan_out(apps, work, FanoutOptions(limit=limit)):
        match result:
            case Done(value=value):
                found.append(value)
            case Failed(item=app, error=error):
                found.append(AppDiff(id=app.id, name=app.name, state="failed", error=error.message))
        if progress:
            progress(len(found), len(apps), result.item.name)
    return found


def _differing(diffs: Sequence[AppDiff]) -> tuple[AppDiff, ...]:
    return tuple(sorted((item for item in diffs if item.state != "same"), key=lambda item: (item.name, item.id)))
