"""What a snapshot changed against the one before, a line an app: the commit message, the tag's text, the summary."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from difyops.api.model import App
from difyops.dsl.diff import diff
from difyops.git_store import GitStore
from difyops.snapshot.layout import WHOLE, Manifest, ManifestEntry, RecordedApp, app_file, parsed, record_of
from difyops.targets import matching


def changelog(
    store: GitStore | None,
    commit: str | None,
    before: Manifest | None,
    files: Mapping[str, bytes | None],
    after: Manifest,
) -> list[str]:
    """Return one line per app that was added, removed or changed, and one per changed part of the workspace."""
    if store is None or commit is None or before is None:
        return [f"first snapshot: {_counted(len(after.apps))}{_selected(after)}"]
    lines = _added(before, after)
    lines += [f"removed {entry.name}" for key, entry in before.apps.items() if key not in after.apps]
    touched = {path.split("/")[1] for path in files if path.startswith("apps/")}
    changed = sorted(touched & set(before.apps) & set(after.apps))
    wanted = [path for app_id in changed for path in _own(app_id) if path in files and path in before.files]
    old = store.read_many(commit, wanted)
    for app_id in changed:
        changes = _changes(app_id, old, files)
        if changes:
            lines.append(f"{after.apps[app_id].name}: {', '.join(changes)}")
    lines += [f"workspace {path.split('/')[1].removesuffix('.json')} changed" for path in files if path[:4] == "work"]
    lines += [f"not read: {item['name']} ({item['code']})" for item in after.failed]
    return lines or (["values sealed anew"] if any("seal" in path for path in files) else ["no change"])


def _added(before: Manifest, after: Manifest) -> list[str]:
    """Return a line for each app that is new on the instance, and one for those that nobody asked for before."""
    added = [key for key in after.apps if key not in before.apps]
    if before.covers_all:
        return [f"added {after.apps[key].name}" for key in added]
    first = [key for key in added if not covers(before.coverage, key, after.apps[key])]
    lines = [f"added {after.apps[key].name}" for key in added if key not in first]
    return [*lines, *([f"kept for the first time: {_counted(len(first))}{_selected(after)}"] if first else [])]


def _counted(number: int) -> str:
    return f"{number} app{'s' * (number != 1)}"


def _selected(manifest: Manifest) -> str:
    return "" if WHOLE in manifest.selection else f" ({', '.join(manifest.selection)})"


def covers(coverage: Sequence[str], app_id: str, app: ManifestEntry | App) -> bool:
    """Say whether an app is among those that snapshots were asked for."""
    tags = app.tags if isinstance(app, App) else ()
    row = App(id=app_id, name=app.name, mode=app.mode, tags=tags)
    return any(matching([row], selector) for selector in coverage)


def _own(app_id: str) -> list[str]:
    return [app_file(app_id, name) for name in ("live.json", "draft.json", "app.json")]


def _changes(app_id: str, old: Mapping[str, bytes], files: Mapping[str, bytes | None]) -> list[str]:
    live, draft, record = _own(app_id)
    said = [
        _what(old.get(path), files[path], word) for path, word in ((live, "live"), (draft, "draft")) if path in files
    ]
    content = files.get(record)
    if content is None or record not in old:
        return said
    return said + _record_changes(record_of(old[record]), record_of(content), live_said=live in files)


def _record_changes(old: RecordedApp, new: RecordedApp, *, live_said: bool) -> list[str]:
    said = [f"renamed from {old.name}"] if old.name != new.name else []
    said += [
        f"{label} {'on' if getattr(new, flag) else 'off'}"
        for flag, label in (("enable_api", "API"), ("enable_site", "site"))
        if getattr(old, flag) != getattr(new, flag)
    ]
    if old.tags != new.tags:
        said.append("tags")
    if old.live_version != new.live_version and not live_said:
        said.append("published again")
    return said


def _what(old: bytes | None, content: bytes | None, word: str) -> str:
    if content is None:
        return f"{word} removed" if word == "live" else "draft published or dropped"
    if old is None:
        return f"{word} new" if word == "live" else "draft edited"
    changes = diff(parsed(old), parsed(content))
    return f"{word} {len(changes)} change{'s' * (len(changes) != 1)}" if changes else f"{word} cosmetic"
