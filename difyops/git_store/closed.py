"""A store's own settings are data: git works on the store without ever reading them.

The settings of a repository can name programs in dozens of places (hooks, filters, helpers, promisors, and more with
every version of git), so they are not overridden one by one. Git is given a *common folder* (``GIT_COMMON_DIR``) with a
``config`` of ours, no hooks and no attributes, whose references, logs and work trees are links into the store; objects,
``HEAD`` and index are the store's own. What counts of the store's settings (object format, shared modes, the addresses
of remotes) is read as text, without includes.
"""

from __future__ import annotations

import fcntl
import functools
import os
import shutil
import stat
import tempfile
import time
import weakref
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from difyops.atomic_file import PRIVATE, made_folder, store_error
from difyops.errors import Refused, StoreError
from difyops.file_owner import open_once
from difyops.git_store import ref_files
from difyops.git_store.plumbing import Git

_PREFIX = "difyops-git-"
_ABANDONED = 600.0  # seconds; what is younger may be about to be locked, or in use by a git whose caller was killed
_LINKS = ("refs", "packed-refs", "logs", "worktrees", "shallow")
_PROMISES = (".promisor", ".partialclonefilter")
_OPENED = ("HEAD", "config", "index", "packed-refs", "shallow")
_WALKED = ("refs", "objects/info", "objects/pack")
_FORMATS = ("sha1", "sha256")
_SHARED = frozenset({"umask", "group", "all", "world", "everybody", "true", "false", "0", "1", "2"})
_UNDERSTOOD = frozenset({"objectformat", "noop", "preciousobjects", "worktreeconfig", "relativeworktrees"})


@dataclass(frozen=True, slots=True, kw_only=True)
class GitSettings:
    """What counts of a store's settings. ``remotes``: name -> the addresses that a push to it goes to."""

    object_format: str = "sha1"
    bare: bool = False
    shared: str | None = None
    remotes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


def read(path: Path) -> GitSettings:
    """Return what counts of the settings of the store ``path``.

    Raises:
        Refused: it leaves objects to a promisor, whose program git would call for what is missing.
        StoreError: the settings cannot be read, or ask for what is not understood here.
    """
    return read_file(path / ".git" / "config")


def read_file(config: Path) -> GitSettings:
    """Return what counts of the settings in the file ``config`` of a repository. Raises as ``read``."""
    path = config.parent.parent if config.parent.name == ".git" else config.parent
    pairs = _pairs(path, config)
    said = {key: value for key, value in pairs if key.startswith(("core.", "extensions."))}
    _refuse_promisors(path, pairs)
    unknown = [
        key for key in said if key.startswith("extensions.") and key.removeprefix("extensions.") not in _UNDERSTOOD
    ]
    object_format = said.get("extensions.objectformat", "sha1")
    if unknown or object_format not in _FORMATS:
        raise StoreError(
            f"The snapshot store {path} is of a kind that is not understood here ({(unknown or [object_format])[0]}).",
            hint="Make an ordinary copy of it: git clone --ref-format=files",
        )
    shared = said.get("core.sharedrepository", "").lower()
    known = shared in _SHARED or (shared.startswith("0") and shared.isdigit())
    bare = said.get("core.bare", "false").lower() in ("", "true", "yes", "on", "1")
    return GitSettings(
        object_format=object_format,
        bare=bare,
        shared=shared if known else None,
        remotes=_remotes(pairs),
    )


def _pairs(path: Path, config: Path) -> list[tuple[str, str]]:
    """Return every setting, key and value, as git reads the text of the file; what the file includes is not."""
    try:
        content = open_once(config).content
    except FileNotFoundError:
        return []
    except (OSError, ValueError) as error:
        raise StoreError(f"{config} cannot be read: {getattr(error, 'strerror', None) or error}.") from error
    plain = ref_files.settings(content)
    if plain is not None:
        return plain
    answer = Git.nowhere().run("config", "--file", "-", "--no-includes", "-z", "--list", stdin=content, fine=range(256))
    if answer.status:
        raise StoreError(
            f"{config.parent} is not a working git repository: its config cannot be read.",
            hint=f"Restore it from a copy (git clone), or move it aside: mv {path} {path}.broken",
        )
    rows = [row for row in answer.output.decode(errors="surrogateescape").split("\0") if row]
    return [(key, value) for key, _, value in (row.partition("\n") for row in rows)]


def _refuse_promisors(path: Path, pairs: list[tuple[str, str]]) -> None:
    for key, value in pairs:
        is_off = value.lower() in ("false", "no", "off", "0")
        if key == "extensions.partialclone" or (key.startswith("remote.") and key.endswith(_PROMISES) and not is_off):
            raise Refused(
                f"The snapshot store {path} is a partial clone ({key} in its config): git would fetch what is missing, "
                "by whatever program that names. It is not opened.",
                hint=f"Make a whole copy of it: git clone URL {path}.whole",
            )


def _remotes(pairs: list[tuple[str, str]]) -> dict[str, tuple[str, ...]]:
    found: dict[str, dict[str, list[str]]] = {}
    for key, value in pairs:
        head, _, tail = key.rpartition(".")
        if head.startswith("remote.") and tail in ("url", "pushurl"):
            found.setdefault(head.removeprefix("remote."), {}).setdefault(tail, []).append(value)
    return {name: tuple(kinds.get("pushurl") or kinds["url"]) for name, kinds in found.items()}


class CommonFolder:
    """The folder that stands in for a store's settings; it goes when the process ends."""

    def __init__(self, repository: Path, settings: GitSettings) -> None:
        self._repository = repository
        self._settings = settings
        self._folder: Path | None = None

    @property
    def path(self) -> Path:
        """Return the folder; it is made again when somebody cleared the folder for temporary files.

        Raises:
            StoreError: no temporary file can be made.
        """
        if self._folder is None or not (self._folder / "config").exists():
            self._folder = self._made()
        return self._folder

    def _made(self) -> Path:
        _sweep(Path(tempfile.gettempdir()))
        try:
            folder = made_folder(_PREFIX)
            weakref.finalize(self, _remove, folder, os.getpid(), _held(folder))
            for name in _LINKS:
                (folder / name).symlink_to(self._repository.absolute() / name)
            (folder / "config").write_text(self._config())
            (folder / "config").chmod(PRIVATE)
        except OSError as error:
            raise store_error(error, Path(tempfile.gettempdir())) from error
        return folder

    def _config(self) -> str:
        is_old = self._settings.object_format == "sha1"
        lines = ["[core]", f"\trepositoryFormatVersion = {0 if is_old else 1}"]
        lines.append(f"\tbare = {str(self._settings.bare).lower()}")
        if self._settings.shared:
            lines.append(f"\tsharedRepository = {self._settings.shared}")
        if not is_old:
            lines += ["[extensions]", f"\tobjectFormat = {self._settings.object_format}"]
        return "\n".join([*lines, ""])


def _held(folder: Path) -> int:
    """Lock a folder as long as this process lives, or a child that it leaves behind."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    with suppress(OSError):  # some shared disks cannot; then the folder's age alone counts
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    return descriptor


def _remove(folder: Path, owner: int, descriptor: int) -> None:
    if os.getpid() == owner:  # a forked child uses its parent's
        shutil.rmtree(folder, ignore_errors=True)
        os.close(descriptor)


@functools.cache
def _sweep(temporary: Path) -> None:
    """Remove the folders of processes that were killed: old enough, ours, locked by nobody. Once a process."""
    for folder in temporary.glob(f"{_PREFIX}*"):
        with suppress(OSError):
            descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
            try:
                about = os.fstat(descriptor)
                if about.st_uid == os.geteuid() and time.time() - about.st_mtime > _ABANDONED:
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    shutil.rmtree(folder, ignore_errors=True)
            finally:
                os.close(descriptor)


def refuse_pipes(folder: Path) -> None:
    """Refuse a repository in which a pipe or a device stands where git opens a file, or in whose references a link
    leads elsewhere: it would wait, or read, for ever.

    Raises:
        StoreError: names the first.
    """
    places = [folder / name for name in _OPENED]
    for start in _WALKED:
        if (folder / start).is_symlink():
            raise _no_file(folder / start, "a link to another folder")
        for at, folders, names in os.walk(folder / start):
            places += [Path(at) / name for name in names]
            for name in folders:
                if os.path.islink(f"{at}/{name}"):  # noqa: PTH114 - thousands of them
                    raise _no_file(Path(at) / name, "a link to another folder")
    for place in places:
        with suppress(OSError):
            if stat.S_IFMT(os.stat(place).st_mode) not in (stat.S_IFREG, stat.S_IFDIR):  # noqa: PTH116
                raise _no_file(place, "a pipe or a device")


def _no_file(place: Path, what: str) -> StoreError:
    return StoreError(f"{place} is {what}, and no part of a repository; the store is not opened.", hint=f"rm {place}")


def refuse_foreign(path: Path) -> None:
    """Refuse a repository of another user, as git does; ``safe.directory`` of the user's own git settings allows it.

    Raises:
        Refused: the folder, its ``.git`` or what they are links to belongs to somebody else.
    """
    allowed = {os.geteuid()}
    if os.geteuid() == 0 and (caller := os.environ.get("SUDO_UID", "")).isdigit():
        allowed.add(int(caller))
    for each in (path, path.resolve(), path / ".git", (path / ".git").resolve()):
        if not os.path.lexists(each):  # a repository without a work tree has no .git in it
            continue
        owner = os.lstat(each).st_uid
        if owner not in allowed and not _is_safe(path):
            raise Refused(
                f"The snapshot store {each} belongs to another user (uid {owner}); it is not opened.",
                hint=f"If you trust what it holds: git config --global --add safe.directory {path.resolve()}",
            )


def _is_safe(path: Path) -> bool:
    answer = Git.nowhere(users_own_settings=True).run(
        "config", "-z", "--path", "--get-all", "safe.directory", fine=range(256)
    )
    here = str(path.resolve())
    safe = False
    for entry in answer.output.decode(errors="surrogateescape").split("\0")[:-1]:
        if entry == "":
            safe = False
        elif entry in ("*", here) or (entry.endswith("/*") and here.startswith(entry[:-1])):
            safe = True
    return safe
