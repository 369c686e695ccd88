"""What a snapshot changed against the one before, a line an app: the commit message, the tag's text, the summary."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from difyops.dsl.diff import diff
from difyops.git_store import GitStore
from difyops.snapshot.layout import Manifest, app_file, record_of


def changelog(
    store: GitStore | None,
    commit: str | None,
    before: Manifest | None,
    files: Mapping[str, bytes | None],
    after: Manifest,
) -> list[str]:
    """Return one line per app that was added, removed or changed, and one per changed part of the workspace."""
    if store is None or commit is None or before is None:
        return [f"first snapshot: {len(after.apps)} apps"]
    lines = [f"added {after.apps[key].name}" for key in after.apps if key not in before.apps]
    lines += [f"removed {entry.name}" for key, entry in before.apps.items() if key not in after.apps]
    touched = {path.split("/")[1] for path in files if path.startswith("apps/")}
    for app_id in sorted(touched & set(before.apps) & set(after.apps)):
        changes = _changes(store, commit, app_id, files)
        if changes:
            lines.append(f"{after.apps[app_id].name}: {', '.join(changes)}")
    lines += [f"workspace {path.split('/')[1].removesuffix('.json')} changed" for path in files if path[:4] == "work"]
    lines += [f"not read: {item['name']} ({item['code']})" for item in after.failed]
    return lines or ["no change"]


def _changes(store: GitStore, commit: str, app_id: str, files: Mapping[str, bytes | None]) -> list[str]:
    said: list[str] = []
    for name, word in (("live.json", "live"), ("draft.json", "draft")):
        path = app_file(app_id, name)
        if path in files:
            said.append(_what(store, commit, path, files[path], word))
    path = app_file(app_id, "app.json")
    content = files.get(path)
    if content is not None:
        old, new = record_of(store.read(commit, path)), record_of(content)
        if old.name != new.name:
            said.append(f"renamed from {old.name}")
        said += [
            f"{label} {'on' if getattr(new, flag) else 'off'}"
            for flag, label in (("enable_api", "API"), ("enable_site", "site"))
            if getattr(old, flag) != getattr(new, flag)
        ]
        if old.tags != new.tags:
            said.append("tags")
        if old.live_version != new.live_version and not any(item.startswith("live") for item in said):
            said.append("published again")
    return said


def _what(store: GitStore, commit: str, path: str, content: bytes | None, word: str) -> str:
    if content is None:
        return f"{word} removed" if word == "live" else "draft published or dropped"
    old = _parsed(store, commit, path)
    if old is None:
        return f"{word} new" if word == "live" else "draft edited"
    changes = diff(old, json.loads(content))
    return f"{word} {len(changes)} change{'s' * (len(changes) != 1)}" if changes else f"{word} cosmetic"


def _parsed(store: GitStore, commit: str, path: str) -> Any:
    if path not in store.blob_ids(commit):
        return None
    return json.loads(store.read(commit, path))
