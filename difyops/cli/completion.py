"""Completion of names on Tab: apps, tags, contexts, snapshots, kinds, runbooks, formats.

Nothing here asks a server, reads the configuration or imports what is heavy: names come from a small file in the state
folder that commands leave behind when they listed the apps, and from what lies on the disk.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

FILE = "completion.json"
Completer = Callable[[str], list[str]]


def completer_for(metavar: str | None, formats: Iterable[str] = ()) -> Completer | None:
    """Return what completes an argument or option by the word that stands for it in the help, if anything does."""
    word = "".join(character for character in metavar or "" if character not in "[].")
    if word == "FORMAT":
        return _of(lambda: list(formats))
    found = [_BY_WORD[part] for part in (word, *word.split("|")) if part in _BY_WORD]
    return found[0] if found else None


def remember(state: Path, context: str, contexts: Iterable[str], store: Path, apps: Iterable[tuple[str, Any]]) -> None:
    """Keep the names of an instance's apps and their tags for the next Tab; a folder that cannot be written is fine."""
    listed = sorted(apps)
    known = _read(state / FILE)
    found = dict(known)
    found["contexts"] = sorted(contexts)
    found["last"] = context
    found["store"] = str(store)
    tags = sorted({tag for _, names in listed for tag in names})
    found["instances"] = {**known.get("instances", {}), context: {"apps": [name for name, _ in listed], "tags": tags}}
    if found != known:
        from difyops import atomic_file
        from difyops.errors import StoreError

        try:
            atomic_file.make_private_folder(state)
            atomic_file.write(state / FILE, json.dumps(found).encode(), mode=atomic_file.PRIVATE)
        except (OSError, StoreError):
            return


def app_names() -> list[str]:
    """Return the names of the apps that were listed last."""
    found: list[str] = _instance().get("apps", [])
    return found


def _of(names: Callable[[], list[str]]) -> Completer:
    def complete(incomplete: str) -> list[str]:
        return [name for name in names() if name.startswith(incomplete)]

    return complete


def _selectors() -> list[str]:
    tags = [f"tag:{name}" for name in _instance().get("tags", [])]
    return [*app_names(), *tags, "all"]


def _contexts() -> list[str]:
    found: list[str] = _read(_state() / FILE).get("contexts", [])
    return found


def _snapshots() -> list[str]:
    """Return the tags of the store, read from git's own files."""
    store = _read(_state() / FILE).get("store")
    if not store:
        return ["latest"]
    folder = Path(store)
    git = folder / ".git" if (folder / ".git").is_dir() else folder
    names = {item.relative_to(git / "refs" / "tags").as_posix() for item in (git / "refs" / "tags").rglob("*")}
    try:
        lines = (git / "packed-refs").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names |= {line.partition(" refs/tags/")[2] for line in lines if " refs/tags/" in line}
    context = _read(_state() / FILE).get("last", "")
    return ["latest", *sorted(name.removeprefix(f"{context}/") for name in names if name)]


def _runbooks() -> list[str]:
    package = Path(__file__).resolve().parents[1]
    folders = (package / "runbook" / "shipped", package.parent / "runbooks", Path("runbooks"))
    return sorted({item.stem for folder in folders for item in folder.glob("*.yaml")})


def _kinds() -> list[str]:
    folder = Path(__file__).resolve().parents[1] / "rotation" / "kinds"
    return sorted(item.stem.replace("_", "-") for item in folder.glob("*.py") if not item.name.startswith("_"))


def _schemas() -> list[str]:
    return sorted(item.stem for item in (Path(__file__).resolve().parents[1] / "schemas").glob("*.json"))


def _topics() -> list[str]:
    return sorted(item.stem for item in (Path(__file__).resolve().parent / "topics").glob("*.md"))


def _reports() -> list[str]:
    return ["junit", "sarif", "tap", "nagios", "prometheus", "markdown"]


def _instance() -> Any:
    known = _read(_state() / FILE)
    wanted = os.environ.get("DIFYOPS_CONTEXT") or known.get("last")
    return known.get("instances", {}).get(wanted, {})


def _read(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _state() -> Path:
    """Return the state folder as ``config`` does, without what that has to import."""
    if folder := os.environ.get("DIFYOPS_STATE"):
        return Path(folder).expanduser()
    if folder := os.environ.get("XDG_STATE_HOME"):
        return Path(folder) / "difyops"
    home = "~/Library/Application Support" if sys.platform == "darwin" else "~/.local/state"
    return Path(home).expanduser() / "difyops"


_BY_WORD: dict[str, Completer] = {
    "APP": _of(app_names),
    "SELECTOR": _of(_selectors),
    "CONTEXT": _of(_contexts),
    "SNAPSHOT": _of(_snapshots),
    "FROM TO": _of(_snapshots),
    "RUNBOOK": _of(_runbooks),
    "KIND": _of(_kinds),
    "TOPIC|COMMAND": _of(_topics),
    "FORMAT=FILE": _of(_reports),
    "JSON-KIND": _of(_schemas),
}
