"""What the store holds: the list of snapshots, one snapshot in detail, one app of it. No server calls."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from difyops.api.model import App
from difyops.errors import SelectorError, StoreError
from difyops.git_store import GitStore, ObjectReader
from difyops.snapshot.layout import Manifest, RecordedApp, app_file, read_json, read_manifest, record_of
from difyops.targets import pick, select


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryRow:
    """One line of ``snapshot list``. ``state``: complete, live only, partial.

    ``listed``: how many apps the instance had; ``coverage``: what was asked for so far, where that is not the whole.
    """

    commit: str
    when: datetime
    tags: tuple[str, ...]
    state: str
    apps: int
    failed: int
    subject: str
    listed: int | None = None
    coverage: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class SnapshotHistory:
    """The snapshots of one context, newest first, and when the instance was last looked at."""

    context: str
    rows: tuple[HistoryRow, ...]
    checked_at: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownSnapshot:
    """One snapshot: its manifest, the commit, and the apps with what is kept of each."""

    commit: str
    manifest: Manifest
    apps: tuple[RecordedApp, ...]
    changes: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """One app as a snapshot holds it: record, live document, draft document, portable DSL, its sealed values.

    ``instance`` and ``workspace_id`` say where it was taken; ``former_id``: of which app, where it stands for one that
    was restored from it; ``told``: what it is, where that is no snapshot.
    """

    commit: str
    record: RecordedApp
    live: dict[str, Any] | None
    draft: dict[str, Any] | None
    dsl: str | None
    age: bytes | None = field(default=None, repr=False)
    instance: str = ""
    workspace_id: str = ""
    former_id: str | None = None
    told: str = ""

    def as_app(self, app_id: str) -> Kept:
        """Return it as what the app ``app_id`` goes back to, which was restored from the one that was kept."""
        if app_id == self.record.id:
            return self
        return replace(self, record=replace(self.record, id=app_id), former_id=self.record.id)


def history(store: GitStore, context: str, *, limit: int = 20) -> SnapshotHistory:
    """Return the newest snapshots of ``context``."""
    rows = []
    for info in store.log(context, limit=limit):
        manifest = read_manifest(store, info.id)
        rows.append(
            HistoryRow(
                commit=info.id,
                when=info.when,
                tags=info.tags,
                state=manifest.state,
                apps=len(manifest.apps),
                failed=len(manifest.failed),
                subject=info.subject,
                listed=manifest.counts.get("listed"),
                coverage=() if manifest.covers_all else manifest.coverage,
            )
        )
    return SnapshotHistory(context=context, rows=tuple(rows), checked_at=checked_at(store, context))


def checked_at(store: GitStore, context: str) -> str | None:
    """Return when the whole instance was last read into the store, also when nothing had changed.

    Before the first complete look it is the time of the last partial one; ``None`` when there was none.
    """
    note = store.read_note(context)
    try:
        return str(json.loads(note)["checked_at"]) if note else None
    except (ValueError, KeyError, TypeError, RecursionError):
        return None


def show(store: GitStore, context: str, revision: str) -> ShownSnapshot:
    """Return one snapshot in detail.

    Raises:
        StoreError: there is no such snapshot.
    """
    commit = store.resolve(revision, branch=context)
    manifest = read_manifest(store, commit)
    paths = [path for path in manifest.files if path.endswith("/app.json")]
    records = [record_of(content) for content in store.read_many(commit, paths).values()]
    infos = [info for info in store.log(context, limit=1000) if info.id == commit]
    return ShownSnapshot(
        commit=commit,
        manifest=manifest,
        apps=tuple(sorted(records, key=lambda record: (record.name, record.id))),
        changes=infos[0].body if infos else "",
    )


def kept_app(store: GitStore, commit: str, selector: str) -> Kept:
    """Return one app of a snapshot, named by id, name or slug.

    Raises:
        SelectorError: the snapshot does not hold it, or holds several of that name. StoreError: its files are damaged.
    """
    manifest = read_manifest(store, commit)
    try:
        app = pick(apps_of(manifest), selector)
    except SelectorError as error:
        raise SelectorError(f"Snapshot {commit[:10]}: {error.message}", hint=error.hint) from error
    return load_app(store, commit, manifest, app.id)


def kept_apps(store: GitStore, commit: str, selectors: tuple[str, ...]) -> list[App]:
    """Return the apps of a snapshot that ``selectors`` mean."""
    return select(apps_of(read_manifest(store, commit)), selectors, may_be_empty=True)


def apps_of(manifest: Manifest) -> list[App]:
    """Return the apps of a snapshot in the form that selectors work on."""
    return [App(id=app_id, name=entry.name, mode=entry.mode) for app_id, entry in manifest.apps.items()]


def load_app(store: GitStore, commit: str, manifest: Manifest, app_id: str) -> Kept:
    """Return one app of a snapshot by id. For many of them: ``read_kept`` with one reader.

    Raises:
        StoreError: the snapshot has no content for it (it could not be read then).
    """
    with store.at(commit) as files:
        return read_kept(files, manifest, app_id)


def read_kept(files: ObjectReader, manifest: Manifest, app_id: str) -> Kept:
    """Return one app of a snapshot whose tree is being read. Raises as ``load_app``."""
    path = app_file(app_id, "app.json")
    if path not in manifest.files:
        name = manifest.apps[app_id].name if app_id in manifest.apps else app_id
        raise StoreError(f"Snapshot {files.commit[:10]} has no content for {name!r}: it could not be read then.")

    def document(name: str) -> dict[str, Any] | None:
        place = app_file(app_id, name)
        return read_json(files, place) if place in manifest.files else None

    dsl, age = app_file(app_id, "live.dsl.yml"), app_file(app_id, "sealed.age")
    return Kept(
        commit=files.commit,
        record=record_of(files.read(path)),
        live=document("live.json"),
        draft=document("draft.json"),
        dsl=files.read(dsl).decode() if dsl in manifest.files else None,
        age=files.read(age) if age in manifest.files else None,
        instance=manifest.instance,
        workspace_id=manifest.workspace_id,
    )
