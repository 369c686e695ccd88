"""Where runbooks are: a file, the project's folder, or those that come with difyops. The first of a name is meant.

A runbook that was named as a path is its caller's. One that is found by its name in a project's folder came with that
folder: it runs programs, reads references and stands in for a shipped one of its name only when its owner trusted it,
by its own hash. ``shipped:NAME`` always means the one that comes with difyops.
"""

from __future__ import annotations

import difflib
import hashlib
import os
import stat
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from difyops.config import Config
from difyops.errors import SelectorError
from difyops.file_owner import Opened, open_once
from difyops.runbook.load import RunbookError, checked, lint
from difyops.runbook.model import Runbook
from difyops.setting_problems import Problem, source_of
from difyops.setting_values import Name
from difyops.settings import Reader
from difyops.trust import Ask, Trust, TrustBook, is_reference

_ENDINGS = (".yaml", ".yml")
_SHIPPED = "shipped:"


@dataclass(frozen=True, slots=True, kw_only=True)
class LibraryEntry:
    """One runbook on disk. ``origin``: project, shipped, file; ``hides`` a shipped one of the same name."""

    name: str
    path: Path
    origin: str
    runbook: Runbook | None
    problems: tuple[Problem, ...] = ()
    hides: bool = False


def shipped_folder() -> Path:
    """Return the folder of the runbooks that come with difyops: in the package, or beside it in a source tree."""
    inside = Path(str(files("difyops.runbook"))) / "shipped"
    return inside if inside.is_dir() else Path(__file__).resolve().parents[2] / "runbooks"


def folders(config: Config) -> list[tuple[str, Path]]:
    """Return where to look, first to last: the folders that ``runbooks:`` of the configuration names, ``runbooks/``
    beside the project file, and what is shipped.

    Raises:
        ConfigError: ``runbooks:`` is neither a folder nor a list of folders.
        Refused: it stands in a found file that nobody trusted.
    """
    base = config.project_file.parent if config.project_file else Path.cwd()
    named = config.sections.get("runbooks")
    if named is not None:
        config.require("runbooks", f"read the runbooks in {named}")
    reader = Reader(source_of(config.sections, "runbooks"))
    texts = () if named is None else reader.value(tuple[Name, ...], named, ("runbooks",))
    reader.finish()
    found = [("project", base / Path(item).expanduser()) for item in texts]
    if config.project_file is not None:
        found.append(("project", base / "runbooks"))
    shipped = shipped_folder()
    return [item for item in found if item[1].resolve() != shipped.resolve()] + [("shipped", shipped)]


def entries(config: Config) -> list[LibraryEntry]:
    """Return every runbook that has a name here, sorted by it; broken ones with their problems."""
    found: dict[str, LibraryEntry] = {}
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
    only_shipped = wanted.startswith(_SHIPPED)
    wanted = wanted.removeprefix(_SHIPPED)
    names: list[str] = []
    for _, folder in [("shipped", shipped_folder())] if only_shipped else folders(config):
        for path in _files(folder):
            if path.stem == wanted:
                return path
            names.append(path.stem)
    close = difflib.get_close_matches(wanted, names, n=3)
    hint = f"Did you mean {' or '.join(close)}?" if close else "difyops runbook list"
    raise SelectorError(f"There is no runbook {wanted!r}.", hint=hint)


@dataclass(frozen=True, slots=True, kw_only=True)
class ChosenRunbook:
    """A runbook to run, read once. ``may_act``: it may run programs and read references."""

    runbook: Runbook
    may_act: bool


def choose(config: Config, wanted: str, *, ask: Ask | None = None, remembers: bool = True) -> ChosenRunbook:
    """Find, read and judge a runbook to run.

    Raises:
        SelectorError: there is none. RunbookError: it has problems.
        Refused: it came with a folder and nobody trusted it, and it runs programs, reads references or hides a shipped
            one.
    """
    path = find(config, wanted)
    try:
        opened = open_once(path)
    except OSError as error:
        raise RunbookError(f"{path}: cannot be read: {error.strerror or error}.") from error
    runbook = checked(opened.content, path)
    if _is_shipped(path):
        return ChosenRunbook(runbook=runbook, may_act=True)
    own = opened.complaint(strict=True) is None and _is_closed(path)
    if wanted.endswith(_ENDINGS) or os.sep in wanted:
        return ChosenRunbook(runbook=runbook, may_act=own)
    trust = trust_in(config, opened, runbook, hides=hides_shipped(path), ask=ask, remembers=remembers)
    if trust.would:
        trust.require(trust.would[0])
    return ChosenRunbook(runbook=runbook, may_act=own and trust.is_given)


def trust_in(
    config: Config, opened: Opened, runbook: Runbook, *, hides: bool, ask: Ask | None = None, remembers: bool = True
) -> Trust:
    """Return the standing of a runbook in a project's folder: by the hash of the whole file."""
    would = ([f"stand in for the shipped runbook {runbook.name}"] if hides else []) + deeds(runbook)
    return Trust(
        path=opened.path,
        digest=hashlib.sha256(opened.content).hexdigest(),
        would=tuple(would),
        hint=f" (the shipped one: difyops runbook run {_SHIPPED}{runbook.name})" if hides else "",
        book=TrustBook(state=config.state),
        ask=ask,
        remembers=remembers,
    )


def hides_shipped(path: Path) -> bool:
    """Say whether a file has the name of a runbook that comes with difyops."""
    return any(file.stem == path.stem for file in _files(shipped_folder()))


def project_files(config: Config) -> list[Path]:
    """Return the files of the project's own runbooks. Raises as ``folders``."""
    return [path for origin, folder in folders(config) if origin == "project" for path in _files(folder)]


def deeds(runbook: Runbook) -> list[str]:
    """Say which programs a runbook would run and which references it would read."""
    found = [_deed(runbook.ping, "ping")] if runbook.ping and is_reference(runbook.ping) else []
    for name, entry in runbook.inputs.items():
        found += [_deed(text, f"input {name}") for text in _texts(entry.default) if is_reference(text)]
    for step in runbook.steps:
        if step.tool.name == "command":
            found.append(f"run {' '.join(map(str, _texts(step.parameters.get('argv'))))} (step {step.id})")
        found += [_deed(text, f"step {step.id}") for text in _texts(step.parameters) if is_reference(text)]
    return found


def _deed(reference: str, place: str) -> str:
    kind, _, rest = reference.partition(":")
    return f"run {rest} ({place})" if kind == "cmd" else f"read {reference} ({place})"


def _texts(value: object) -> Iterator[str]:
    match value:
        case Mapping():
            for item in value.values():
                yield from _texts(item)
        case list() | tuple():
            for item in value:
                yield from _texts(item)
        case str():
            yield value


def _is_shipped(path: Path) -> bool:
    return path.resolve().parent == shipped_folder().resolve()


def _is_closed(path: Path) -> bool:
    """Say whether nobody else can put another file in a file's place."""
    folder = path.resolve().parent.stat()
    sticky = bool(folder.st_mode & stat.S_ISVTX)
    return folder.st_uid in (os.geteuid(), 0) and (sticky or not folder.st_mode & 0o022)


def _files(folder: Path) -> Iterable[Path]:
    if not folder.is_dir():
        return []
    return sorted(path for path in folder.iterdir() if path.suffix in _ENDINGS and path.is_file())


def _entry(path: Path, origin: str) -> LibraryEntry:
    runbook, problems = lint(path)
    return LibraryEntry(name=path.stem, path=path, origin=origin, runbook=runbook, problems=tuple(problems))


def _hiding(entry: LibraryEntry) -> LibraryEntry:
    return LibraryEntry(
        name=entry.name,
        path=entry.path,
        origin=entry.origin,
        runbook=entry.runbook,
        problems=entry.problems,
        hides=True,
    )
