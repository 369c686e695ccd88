"""Finding, opening and making the repository. Nothing here reads or writes snapshots."""

from __future__ import annotations

import contextlib
import shutil
import time
from pathlib import Path

from difyops.atomic_file import flush_folder, made_folder, make_private_folder, store_error
from difyops.errors import NothingKept, StoreError
from difyops.git_store import closed, ref_files
from difyops.git_store.names import UNBORN
from difyops.git_store.plumbing import Git, version

_MAY_BE_THERE = frozenset({"README.md", ".gitignore"})
_BIRTH = ".difyops-new-"
_ABANDONED = 600.0  # seconds after which a half-made repository belongs to a dead process


def find(path: Path, *, create: bool) -> tuple[Git, str]:
    """Return git bound to the repository at exactly ``path``, and its object format; one further up is never taken.

    Whose it is, is looked at before git is let near it, and its own settings are never in force.

    Raises:
        Refused: it belongs to another user, or is a partial clone.
        StoreError: git is missing or too old; there is no repository (and ``create`` is off, or the folder holds other
            things); the repository is damaged.
    """
    version()
    path = path.expanduser().absolute()
    if not (path / ".git").is_dir():
        if not create or _leads_nowhere(path):
            raise _nothing_here(path)
        _make(path)
    closed.refuse_foreign(path)
    closed.refuse_pipes(path / ".git")
    settings = closed.read(path)
    git = Git(path, common=closed.CommonFolder(path / ".git", settings))
    if not ref_files.is_whole(git.folder) and git.run("rev-parse", "--git-dir", fine=(0, 128)).status:
        raise StoreError(
            f"{path / '.git'} is not a working git repository.",
            hint=f"Restore it from a copy (git clone), or move it aside: mv {path} {path}.broken",
        )
    return git, settings.object_format


def _leads_nowhere(path: Path) -> bool:
    return path.is_symlink() and not path.exists()


def _nothing_here(path: Path) -> StoreError:
    if _leads_nowhere(path):
        return NothingKept(
            f"The snapshot store {path} is a link to {path.readlink()}, and there is nothing.",
            hint="Make that folder (is a disk not mounted?), or name another store with --store (DIFYOPS_STORE).",
        )
    if path.exists() and not path.is_dir():
        return NothingKept(f"The snapshot store {path} is not a folder.")
    what = "is not a git repository of its own" if path.exists() else "does not exist"
    return NothingKept(
        f"The snapshot store {path} {what}.",
        hint="Check --store (DIFYOPS_STORE), or take a first snapshot: difyops snapshot create",
    )


def _make(path: Path) -> None:
    """Make the repository beside its place and rename it: ``.git`` is complete or absent, whoever else makes it too."""
    try:
        make_private_folder(path)
        _refuse_other_things(path)
        birth = made_folder(_BIRTH, path)
    except OSError as error:
        raise store_error(error, path) from error
    try:
        Git(birth).run("init", "--quiet", "--template=", f"--initial-branch={UNBORN}", str(birth))
        with contextlib.suppress(FileExistsError):  # another process was first; its repository is as good
            _rename(birth / ".git", path / ".git")
    except OSError as error:
        raise store_error(error, path) from error
    finally:
        shutil.rmtree(birth, ignore_errors=True)


def _refuse_other_things(path: Path) -> None:
    for each in path.iterdir():
        if each.name.startswith(_BIRTH):
            with contextlib.suppress(FileNotFoundError):  # it was another process's, and is done
                if time.time() - each.stat().st_mtime > _ABANDONED:
                    shutil.rmtree(each, ignore_errors=True)
        elif each.name == ".git" and each.is_dir():
            continue  # made by another process since we looked
        elif each.name not in _MAY_BE_THERE:
            raise StoreError(
                f"{path} is not empty ({each.name}) and not a git repository; it is not made into a snapshot store.",
                hint="Name an empty or new folder with --store (DIFYOPS_STORE).",
            )


def _rename(source: Path, target: Path) -> None:
    try:
        source.rename(target)
    except OSError as error:
        if target.is_dir():
            raise FileExistsError(str(target)) from error
        raise
    flush_folder(target.parent)
