"""From readings to a tree: which files a snapshot writes, keeps and drops, and the manifest that says it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from difyops import __version__
from difyops.api.instance import Instance
from difyops.api.model import App
from difyops.errors import DifyopsError
from difyops.git_store import GitStore
from difyops.snapshot.layout import PARTS, Entry, Manifest, app_file, app_files, digest, read_manifest, record_of
from difyops.snapshot.reading import Before, Reading

_SHORT = ("app.json", "live.json", "live.dsl.yml", "draft.json")
Files = dict[str, bytes | None]


@dataclass(slots=True)
class Gathered:
    """What one pass over the instance brought."""

    readings: dict[str, Reading] = field(default_factory=dict)
    failed: dict[str, DifyopsError] = field(default_factory=dict)
    gone: set[str] = field(default_factory=set)


@dataclass(frozen=True, slots=True, kw_only=True)
class Base:
    """The snapshot that this one builds on."""

    commit: str | None
    manifest: Manifest | None
    apps: Mapping[str, Before]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """What holds for the whole snapshot: the instance, its app list, its workspace, what was asked for and when."""

    instance: Instance
    apps: Sequence[App]
    workspace: Mapping[str, Any]
    inventory: Mapping[str, bytes]
    inventory_failed: Mapping[str, DifyopsError]
    selection: tuple[str, ...]
    live_only: bool
    full: bool
    taken_at: str

    @property
    def whole(self) -> bool:
        """Say whether the whole workspace was asked for."""
        return "all" in self.selection


def read_base(store: GitStore | None, branch: str) -> Base:
    """Return the newest snapshot of a branch: its manifest and what it holds of each app. No store, no snapshot."""
    commit = store.head(branch) if store else None
    if store is None or commit is None:
        return Base(commit=None, manifest=None, apps={})
    manifest = read_manifest(store, commit)
    records = store.read_many(commit, [path for path in manifest.files if path.endswith("/app.json")])
    apps: dict[str, Before] = {}
    for path, content in records.items():
        record = record_of(content)
        start = path.removesuffix("app.json")
        own = {name: manifest.files[start + name] for name in _SHORT if start + name in manifest.files}
        apps[record.id] = Before(record=record, files=own)
    return Base(commit=commit, manifest=manifest, apps=apps)


def assemble(scene: Scene, base: Base, gathered: Gathered) -> tuple[Files, Manifest]:
    """Return the files to write (``None`` deletes) and the manifest of the whole new tree."""
    old = dict(base.manifest.files) if base.manifest else {}
    known = {} if scene.full else old
    files: Files = {}
    sums: dict[str, str] = {}
    entries: dict[str, Entry] = {}
    named = _named(scene, base)
    for app_id, reading in gathered.readings.items():
        entries[app_id] = Entry(name=reading.record.name, mode=reading.record.mode)
        _put_app(reading, old, known, files, sums)
    for app_id, error in gathered.failed.items():
        name, mode = named[app_id]
        entries[app_id] = Entry(name=name, mode=mode, state="failed", error=f"{error.code}: {error.message}")
        sums.update({path: old[path] for path in app_files(old, app_id)})
    for app_id, before in base.apps.items():
        if app_id in entries or app_id in gathered.gone:
            continue
        entries[app_id] = Entry(name=before.record.name, mode=before.record.mode, state="carried")
        sums.update({path: old[path] for path in app_files(old, app_id)})
    _put_inventory(scene.inventory, old, known, files, sums)
    files.update({path: None for path in old if path not in sums})
    return files, _manifest(scene, base, gathered, entries, sums)


def _manifest(
    scene: Scene, base: Base, gathered: Gathered, entries: Mapping[str, Entry], sums: Mapping[str, str]
) -> Manifest:
    failed = _failures(gathered, scene, base)
    return Manifest(
        context=scene.instance.name,
        instance=scene.instance.context.url,
        workspace_id=str(scene.workspace.get("id", "")),
        workspace_name=str(scene.workspace.get("name", "")),
        server_version=scene.instance.capabilities.text,
        taken_at=scene.taken_at,
        tool=f"difyops {__version__}",
        selection=scene.selection,
        live_only=scene.live_only,
        complete=scene.whole and not failed and not (scene.live_only and base.commit is not None),
        counts=_counts(entries, gathered, base),
        apps=dict(sorted(entries.items())),
        failed=failed,
        files=dict(sorted(sums.items())),
    )


def _put_app(
    reading: Reading, old: Mapping[str, str], known: Mapping[str, str], files: Files, sums: dict[str, str]
) -> None:
    app_id = reading.record.id
    for name in reading.kept:
        path = app_file(app_id, name)
        sums[path] = old[path]
    for name, content in {**reading.files, "app.json": reading.record.encoded()}.items():
        _put(app_file(app_id, name), content, known, files, sums)


def _put_inventory(
    parts: Mapping[str, bytes], old: Mapping[str, str], known: Mapping[str, str], files: Files, sums: dict[str, str]
) -> None:
    for part in PARTS:
        path = f"workspace/{part}.json"
        if part in parts:
            _put(path, parts[part], known, files, sums)
        elif path in old:
            sums[path] = old[path]


def _put(path: str, content: bytes, known: Mapping[str, str], files: Files, sums: dict[str, str]) -> None:
    sums[path] = digest(content)
    if known.get(path) != sums[path]:
        files[path] = content


def _named(scene: Scene, base: Base) -> dict[str, tuple[str, str]]:
    """Return name and mode of every app that is listed now or stands in the last snapshot."""
    kept = {app_id: (before.record.name, before.record.mode) for app_id, before in base.apps.items()}
    return kept | {app.id: (app.name, app.mode) for app in scene.apps}


def _failures(gathered: Gathered, scene: Scene, base: Base) -> tuple[Mapping[str, str], ...]:
    named = _named(scene, base)
    apps = [
        {"id": app_id, "name": named[app_id][0], "code": error.code, "message": error.message}
        for app_id, error in sorted(gathered.failed.items())
    ]
    inventory = [
        {"id": f"workspace/{part}", "name": f"workspace {part}", "code": error.code, "message": error.message}
        for part, error in scene.inventory_failed.items()
    ]
    return (*apps, *inventory)


def _counts(entries: Mapping[str, Entry], gathered: Gathered, base: Base) -> dict[str, int]:
    states = [entry.state for entry in entries.values()]
    return {
        "apps": len(entries),
        "read": len(gathered.readings),
        "failed": states.count("failed"),
        "carried": states.count("carried"),
        "new": sum(app_id not in base.apps for app_id in gathered.readings),
        "gone": sum(app_id not in entries for app_id in base.apps),
    }
