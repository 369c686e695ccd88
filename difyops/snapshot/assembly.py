"""From readings to a tree: which files a snapshot writes, keeps and drops, and the manifest that says it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from difyops import __version__
from difyops.api.instance import Instance
from difyops.api.model import App
from difyops.errors import DifyopsError
from difyops.git_store import GitStore
from difyops.sealing.store import FILES as SEAL_FILES
from difyops.sealing.store import Seal
from difyops.sealing.values import SealedFound, encrypted, summarized, summary
from difyops.snapshot.layout import (
    PARTS,
    WHOLE,
    Manifest,
    ManifestEntry,
    app_file,
    app_files,
    digest,
    read_manifest,
    record_of,
)
from difyops.snapshot.reading import AppReading, Before
from difyops.targets import expanded

_SHORT = ("app.json", "live.json", "live.dsl.yml", "draft.json", "sealed.json", "sealed.age")
_KINDS = {
    "env": "variables",
    "conversation": "variables",
    "node": "nodes",
    "config": "model settings",
    "soul": "agents",
}
Files = dict[str, bytes | None]


@dataclass(slots=True)
class GatheredApp:
    """What one pass over the instance brought."""

    readings: dict[str, AppReading] = field(default_factory=dict)
    failed: dict[str, DifyopsError] = field(default_factory=dict)
    gone: set[str] = field(default_factory=set)


@dataclass(frozen=True, slots=True, kw_only=True)
class Base:
    """The snapshot that this one builds on."""

    commit: str | None
    manifest: Manifest | None
    apps: Mapping[str, Before]


@dataclass(frozen=True, slots=True, kw_only=True)
class Assembling:
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
    seal: Seal

    @property
    def whole(self) -> bool:
        """Say whether the whole workspace was asked for."""
        return WHOLE in self.selection


def read_base(store: GitStore | None, branch: str) -> Base:
    """Return the newest snapshot of a branch: its manifest and what it holds of each app. No store, no snapshot."""
    commit = store.head(branch) if store else None
    if store is None or commit is None:
        return Base(commit=None, manifest=None, apps={})
    manifest = read_manifest(store, commit)
    wanted = [path for path in manifest.files if path.endswith(("/app.json", "/sealed.json"))]
    held = store.read_many(commit, wanted)
    apps: dict[str, Before] = {}
    for path in (path for path in wanted if path.endswith("/app.json")):
        record = record_of(held[path])
        start = path.removesuffix("app.json")
        own = {name: manifest.files[start + name] for name in _SHORT if start + name in manifest.files}
        sealed = summarized(held[start + "sealed.json"]) if "sealed.json" in own else SealedFound()
        seal = manifest.apps[record.id].seal if record.id in manifest.apps else ""
        apps[record.id] = Before(record=record, files=own, sealed=sealed, seal=seal)
    return Base(commit=commit, manifest=manifest, apps=apps)


@dataclass(slots=True)
class _Tree:
    """The new tree while it is put together: checksums of all its files, and content of those to write."""

    old: Mapping[str, str]
    rewrites: bool
    files: Files = field(default_factory=dict)
    sums: dict[str, str] = field(default_factory=dict)

    def put(self, path: str, content: bytes) -> None:
        """Have ``content`` at ``path``; what the manifest says is there already is not written, unless all is."""
        self.sums[path] = digest(content)
        if self.rewrites or self.old.get(path) != self.sums[path]:
            self.files[path] = content

    def keep(self, path: str) -> None:
        """Leave a file as it is."""
        self.sums[path] = self.old[path]


def assemble(resources: Assembling, base: Base, gathered: GatheredApp) -> tuple[Files, Manifest]:
    """Return the files to write (``None`` deletes) and the manifest of the whole new tree."""
    tree = _Tree(old=dict(base.manifest.files) if base.manifest else {}, rewrites=resources.full)
    entries: dict[str, ManifestEntry] = {}
    named = _named(resources, base)
    for app_id, reading in gathered.readings.items():
        entries[app_id] = ManifestEntry(name=reading.record.name, mode=reading.record.mode, seal=resources.seal.state)
        _put_app(reading, tree)
        _put_sealed(reading, base.apps.get(app_id), resources.seal, tree)
    for app_id, error in gathered.failed.items():
        name, mode = named[app_id]
        seal = base.apps[app_id].seal if app_id in base.apps else ""
        told = f"{error.code}: {error.message}"
        entries[app_id] = ManifestEntry(name=name, mode=mode, state="failed", error=told, seal=seal)
        for path in app_files(tree.old, app_id):
            tree.keep(path)
    for app_id, before in base.apps.items():
        if app_id in entries or app_id in gathered.gone:
            continue
        name, mode = before.record.name, before.record.mode
        entries[app_id] = ManifestEntry(name=name, mode=mode, state="carried", seal=before.seal)
        for path in app_files(tree.old, app_id):
            tree.keep(path)
    _put_inventory(resources.inventory, tree)
    for path in SEAL_FILES:
        if path in resources.seal.files:
            tree.put(path, resources.seal.files[path])
    tree.files.update({path: None for path in tree.old if path not in tree.sums})
    return tree.files, _manifest(resources, base, gathered, entries, tree.sums)


def _manifest(
    resources: Assembling,
    base: Base,
    gathered: GatheredApp,
    entries: Mapping[str, ManifestEntry],
    sums: Mapping[str, str],
) -> Manifest:
    failed = _failures(gathered, resources, base)
    return Manifest(
        context=resources.instance.name,
        instance=resources.instance.context.url,
        workspace_id=str(resources.workspace.get("id", "")),
        workspace_name=str(resources.workspace.get("name", "")),
        server_version=resources.instance.capabilities.text,
        taken_at=resources.taken_at,
        tool=f"difyops {__version__}",
        selection=resources.selection,
        live_only=resources.live_only,
        complete=resources.whole and not failed and not (resources.live_only and base.commit is not None),
        counts=_counts(entries, gathered, base, len(resources.apps)),
        apps=dict(sorted(entries.items())),
        failed=failed,
        files=dict(sorted(sums.items())),
        coverage=_coverage(resources, base),
    )


def _coverage(resources: Assembling, base: Base) -> tuple[str, ...]:
    """Return what the snapshots of this branch hold up to this one: the whole workspace, or these selections of it."""
    if resources.whole or (base.manifest is not None and base.manifest.covers_all):
        return (WHOLE,)
    former = base.manifest.coverage if base.manifest else ()
    return tuple(sorted({*former, *expanded(resources.selection)}))


def _put_app(reading: AppReading, tree: _Tree) -> None:
    app_id = reading.record.id
    for name in reading.kept:
        tree.keep(app_file(app_id, name))
    for name, content in {**reading.files, "app.json": reading.record.encoded()}.items():
        tree.put(app_file(app_id, name), content)


def _put_inventory(parts: Mapping[str, bytes], tree: _Tree) -> None:
    for part in PARTS:
        path = f"workspace/{part}.json"
        if part in parts:
            tree.put(path, parts[part])
        elif path in tree.old:
            tree.keep(path)


def _put_sealed(reading: AppReading, before: Before | None, seal: Seal, tree: _Tree) -> None:
    """Write the marks of an app and, for recipients, their values; an unchanged set is not encrypted anew."""
    app_id, found = reading.record.id, reading.sealed
    if not found.places and not found.draft:
        return
    tree.put(app_file(app_id, "sealed.json"), summary(found))
    if not seal.recipients or not found.places:
        return
    path, marks = app_file(app_id, "sealed.age"), set(found.places.values())
    is_there = before is not None and before.seal == seal.state and path in tree.old
    if is_there and before and (found.places == before.sealed.places or not marks <= found.values.keys()):
        tree.keep(path)
    else:
        tree.put(path, encrypted(app_id, found, seal.recipients))


def _named(resources: Assembling, base: Base) -> dict[str, tuple[str, str]]:
    """Return name and mode of every app that is listed now or stands in the last snapshot."""
    kept = {app_id: (before.record.name, before.record.mode) for app_id, before in base.apps.items()}
    return kept | {app.id: (app.name, app.mode) for app in resources.apps}


def sealed_kinds(base: Base, gathered: GatheredApp) -> dict[str, int]:
    """Count the sealed values of the live versions of all apps, by the kind of place: variables, nodes, settings."""
    kinds = {app_id: before.sealed for app_id, before in base.apps.items() if app_id not in gathered.gone}
    kinds |= {app_id: reading.sealed for app_id, reading in gathered.readings.items()}
    counted = Counter(
        _KINDS.get(place.split(":", 2)[1], "other settings")
        for found in kinds.values()
        for place in found.places
        if place.startswith("live:")
    )
    return dict(sorted(counted.items()))


def _failures(gathered: GatheredApp, resources: Assembling, base: Base) -> tuple[Mapping[str, str], ...]:
    named = _named(resources, base)
    apps = [
        {"id": app_id, "name": named[app_id][0], "code": error.code, "message": error.message}
        for app_id, error in sorted(gathered.failed.items())
    ]
    inventory = [
        {"id": f"workspace/{part}", "name": f"workspace {part}", "code": error.code, "message": error.message}
        for part, error in resources.inventory_failed.items()
    ]
    return (*apps, *inventory)


def _counts(entries: Mapping[str, ManifestEntry], gathered: GatheredApp, base: Base, listed: int) -> dict[str, int]:
    states = [entry.state for entry in entries.values()]
    return {
        "apps": len(entries),
        "listed": listed,
        "read": len(gathered.readings),
        "failed": states.count("failed"),
        "carried": states.count("carried"),
        "new": sum(app_id not in base.apps for app_id in gathered.readings),
        "gone": sum(app_id not in entries for app_id in base.apps),
    }
