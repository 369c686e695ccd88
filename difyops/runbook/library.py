"""Where runbooks are: a file, the project's folder, or those that come with difyops. The first of a name wins."""

from __future__ import annotations

import difflib
import os
import stat
from collections.abc import Iterable
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from difyops.config import Config
from difyops.errors import ConfigError, SelectorError
from difyops.runbook.fields import Problem
from difyops.runbook.load import lint
from difyops.runbook.model import Runbook

_ENDINGS = (".yaml", ".yml")


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One runbook on disk. ``origin``: project, shipped, file; ``hides`` a shipped one of the same name."""

    name: str
    path: Path
    origin: str
    runbook: Runbook | None
    problems: tuple[Problem, ...] = ()
    hides: bool = False


def shipped_folder() -> Path:
    """Return the folder of the runbooks that come with difyops: in the package, or beside it in a source tree."""
    inside = Path(str(resources.files("difyops.runbook"))) / "shipped"
    return inside if inside.is_dir() else Path(__file__).resolve().parents[2] / "runbooks"


def folders(config: Config) -> list[tuple[str, Path]]:
    """Return where to look, first to last: the folders that ``runbooks:`` of the configuration names, ``runbooks/``
    beside the project file, and what is shipped.

    Raises:
        ConfigError: ``runbooks:`` is neither a folder nor a list of folders.
    """
    base = config.project_file.parent if config.project_file else Path.cwd()
    named = config.sections.get("runbooks")
    if isinstance(named, str):
        named = [named]
    if named is not None and (not isinstance(named, list) or any(not isinstance(item, str) for item in named)):
        raise ConfigError("runbooks: expected a folder, or a list of folders.")
    found = [("project", base / Path(item).expanduser()) for item in named or ()]
    if config.project_file is not None:
        found.append(("project", base / "runbooks"))
    shipped = shipped_folder()
    return [item for item in found if item[1].resolve() != shipped.resolve()] + [("shipped", shipped)]


def entries(config: Config) -> list[Entry]:
    """Return every runbook that has a name here, sorted by it; broken ones with their problems."""
    found: dict[str, Entry] = {}
    for origin, folder in folders(config):
        for path in _files(folder):
            if path.stem in found:
                if origin == "shipped":
                    found[path.stem] = _hiding(found[path.stem])
                continue
            found[path.stem] = _entry(path, origin)
    return [found[name] for name in sorted(found)]


def find(config: Config, wanted: str) -> Path:
    """Return the file of a runbook, named or given as a path.

    Raises:
        SelectorError: there is none; names what is close.
    """
    if wanted.endswith(_ENDINGS) or os.sep in wanted:
        path = Path(wanted).expanduser()
        if path.is_file():
            return path
        raise SelectorError(f"There is no file {wanted}.", hint="difyops runbook list")
    names: list[str] = []
    for _, folder in folders(config):
        for path in _files(folder):
            if path.stem == wanted:
                return path
            names.append(path.stem)
    close = difflib.get_close_matches(wanted, names, n=3)
    hint = f"Did you mean {' or '.join(close)}?" if close else "difyops runbook list"
    raise SelectorError(f"There is no runbook {wanted!r}.", hint=hint)


def is_own(path: Path) -> bool:
    """Say whether only we (or root) can write a file and its folder: what may name programs to run."""
    try:
        found = [path.stat(), path.resolve().parent.stat()]
    except OSError:
        return False
    mine = all(item.st_uid in (os.geteuid(), 0) for item in found)
    sticky = bool(found[1].st_mode & stat.S_ISVTX)
    closed = not found[0].st_mode & 0o022 and (sticky or not found[1].st_mode & 0o022)
    return mine and closed


def _files(folder: Path) -> Iterable[Path]:
    if not folder.is_dir():
        return []
    return sorted(path for path in folder.iterdir() if path.suffix in _ENDINGS and path.is_file())


def _entry(path: Path, origin: str) -> Entry:
    runbook, problems = lint(path)
    return Entry(name=path.stem, path=path, origin=origin, runbook=runbook, problems=tuple(problems))


def _hiding(entry: Entry) -> Entry:
    return Entry(
        name=entry.name,
        path=entry.path,
        origin=entry.origin,
        runbook=entry.runbook,
        problems=entry.problems,
        hides=True,
    )
