"""Completion of names on Tab: apps, tags, contexts, snapshots, kinds, runbooks, formats.

Nothing here asks a server, reads the configuration or imports what is heavy: names come from a small file in the state
folder that commands leave behind when they listed the apps, and from what lies on the disk.
"""

from __future__ import annotations

import json
import os
import sys

TYPE_CHECKING = False  # as typing has it: importing that, or pathlib, takes longer than all of a Tab
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path
    from typing import Any

    Completer = Callable[[str], list[str]]

FILE = "completion.json"
_CLI = os.path.dirname(os.path.abspath(__file__))  # noqa: PTH100, PTH120
_PACKAGE = os.path.dirname(_CLI)  # noqa: PTH120


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
    known = read(f"{state}/{FILE}")
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
    found: list[str] = read(f"{state_folder()}/{FILE}").get("contexts", [])
    return found


def _snapshots() -> list[str]:
    """Return the tags of the store, read from git's own files."""
    known = read(f"{state_folder()}/{FILE}")
    store = known.get("store")
    if not store:
        return ["latest"]
    git = f"{store}/.git" if os.path.isdir(f"{store}/.git") else store  # noqa: PTH112
    tags = f"{git}/refs/tags"
    names = {f"{folder}/{name}".removeprefix(f"{tags}/") for folder, _, files in os.walk(tags) for name in files}
    try:
        with open(f"{git}/packed-refs", encoding="utf-8") as packed:  # noqa: PTH123
            names |= {line.rstrip("\n").partition(" refs/tags/")[2] for line in packed if " refs/tags/" in line}
    except OSError:
        pass
    return ["latest", *sorted(name.removeprefix(f"{known.get('last', '')}/") for name in names if name)]


def _runbooks() -> list[str]:
    folders = (f"{_PACKAGE}/runbook/shipped", f"{os.path.dirname(_PACKAGE)}/runbooks", "runbooks")  # noqa: PTH120
    return sorted({name for folder in folders for name in _stems(folder, ".yaml")})


def _kinds() -> list[str]:
    names = _stems(f"{_PACKAGE}/rotation/kinds", ".py")
    return sorted(name.replace("_", "-") for name in names if not name.startswith("_"))


def _schemas() -> list[str]:
    return sorted(_stems(f"{_PACKAGE}/schemas", ".json"))


def _topics() -> list[str]:
    return sorted(_stems(f"{_CLI}/topics", ".md"))


def _stems(folder: str, ending: str) -> list[str]:
    try:
        return [name.removesuffix(ending) for name in os.listdir(folder) if name.endswith(ending)]  # noqa: PTH208
    except OSError:
        return []


def _reports() -> list[str]:
    return ["junit", "sarif", "tap", "nagios", "prometheus", "markdown"]


def _instance() -> Any:
    known = read(f"{state_folder()}/{FILE}")
    wanted = os.environ.get("DIFYOPS_CONTEXT") or known.get("last")
    return known.get("instances", {}).get(wanted, {})


def read(path: str) -> dict[str, Any]:
    """Return what a file of ours holds, nothing where it cannot be read."""
    try:
        with open(path, "rb") as file:  # noqa: PTH123
            found = json.load(file)
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def state_folder() -> str:
    """Return the state folder as ``config`` does, without what that has to import."""
    if folder := os.environ.get("DIFYOPS_STATE"):
        return os.path.expanduser(folder)  # noqa: PTH111
    if folder := os.environ.get("XDG_STATE_HOME"):
        return f"{folder}/difyops"
    home = "~/Library/Application Support" if sys.platform == "darwin" else "~/.local/state"
    return os.path.expanduser(f"{home}/difyops")  # noqa: PTH111


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
