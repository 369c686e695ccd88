"""New objects: through one ``git fast-import`` into a side folder, then into the store as one pack.

The side folder (``.git/difyops-incoming-*``) is a repository of its own to ``fast-import``: writers of several branches
never meet there, and a lock of a reference that somebody left in the store stops none. What a dead writer left of it is
removed by a later one (``writers``). Nothing refers to new objects before ``refs.move``.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from difyops.atomic_file import PRIVATE, flush_folder, made_folder, make_private_folder, store_error
from difyops.git_store import names
from difyops.git_store.plumbing import Git
from difyops.git_store.tree import PLAIN, Change, Write
from difyops.git_store.writers import INCOMING

_NO_REF = "refs/heads/incoming"  # fast-import wants a name; it is withdrawn in the same stream and never exists

# Measured on 3,000 files (51 MB): deltas cost half the time and save nothing between unlike files, and the lightest
# compression writes twice as fast for a twelfth more space; `git gc` packs tighter later.
MANY_OBJECTS, MANY_PACKS = 6700, 50  # from so many on git packs the store tighter
_SAMPLE = "17"  # as git does it: one of 256 folders tells how many objects lie by themselves
_FAST = ("pack.compression=1", "fastimport.unpackLimit=0")


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A commit to be written: ``parent`` is ``None`` for the first one. ``note``: a blob beside it.

    ``null_id``: how no object is written, as long as the ids of the repository are.
    """

    parent: str | None
    changes: Sequence[Change]
    message: str
    author: str
    when: datetime
    null_id: str
    note: bytes | None = None


def write(git: Git, draft: Draft) -> tuple[str, str | None]:
    """Write a commit with all it needs and return its id and that of its note; no reference points to them yet.

    Raises:
        StoreError: git failed or the disk is full; nothing was added to the store.
    """
    try:
        folder = made_folder(INCOMING, git.folder)
    except OSError as error:
        raise store_error(error, git.path) from error
    try:
        _make_side_repository(git, folder)
        answer = git.feed(
            "fast-import",
            "--quiet",
            "--done",
            "--depth=0",
            "--date-format=raw",
            chunks=_stream(draft),
            settings=_FAST,
            environment={
                "GIT_DIR": str(folder),
                "GIT_COMMON_DIR": str(folder),
                "GIT_OBJECT_DIRECTORY": str(folder / "objects"),
                "GIT_ALTERNATE_OBJECT_DIRECTORIES": str(git.folder / "objects"),
            },
        )
        _take_over(folder / "objects" / "pack", git.folder / "objects" / "pack")
        *notes, commit = answer.lines
        return commit, next(iter(notes), None)
    except OSError as error:
        raise store_error(error, git.path) from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _make_side_repository(git: Git, folder: Path) -> None:
    for each in (folder / "refs", folder / "objects" / "pack"):
        make_private_folder(each)
    files = {"HEAD": f"ref: {_NO_REF}\n".encode()}
    if git.common is not None:
        files["config"] = (git.common.path / "config").read_bytes()
    for name, content in files.items():
        (folder / name).write_bytes(content)
        (folder / name).chmod(PRIVATE)  # a umask may have taken away what its owner may


def write_tag(git: Git, *, name: str, commit: str, message: str, author: str, when: datetime) -> str:
    """Write an annotated tag object and return its id. ``name`` is the tail of its reference, for git's own checks."""
    head = f"object {commit}\ntype commit\ntag {name}\ntagger ".encode()
    body = b"%s%s %s\n\n%s" % (head, names.author(author), _moment(when), names.message(message))
    return git.run("mktag", stdin=body).lines[0]


def write_blob(git: Git, content: bytes) -> str:
    """Write one blob and return its id."""
    return git.run("hash-object", "-w", "--stdin", stdin=content).lines[0]


def has_piled_up(git: Git) -> bool:
    """Say whether git might find enough to pack tighter; it counts in the same way, and decides."""
    objects = git.folder / "objects"
    loose = sum(1 for _ in (objects / _SAMPLE).glob("*"))
    return loose > MANY_OBJECTS // 256 or sum(1 for _ in (objects / "pack").glob("*.pack")) > MANY_PACKS


def _stream(draft: Draft) -> Iterator[bytes]:
    if draft.note is not None:
        yield b"blob\nmark :2\ndata %d\n" % len(draft.note)
        yield draft.note
        yield b"\nget-mark :2\n"
    who = b"%s %s" % (names.author(draft.author), _moment(draft.when))
    text = names.message(draft.message)
    yield f"commit {_NO_REF}\nmark :1\n".encode()
    yield b"author %s\ncommitter %s\ndata %d\n%s\n" % (who, who, len(text), text)
    if draft.parent is not None:
        yield f"from {draft.parent}\n".encode()
    for change in draft.changes:
        path = _quoted(change.path)
        if not isinstance(change, Write):
            yield b"D %s\n" % path
        elif change.content is None:
            yield b"M %s %s %s\n" % (PLAIN.encode(), change.id.encode(), path)
        else:
            yield b"M %s inline %s\ndata %d\n" % (PLAIN.encode(), path, len(change.content))
            yield change.content
            yield b"\n"
    yield b"\nget-mark :1\n"
    yield f"reset {_NO_REF}\nfrom {draft.null_id}\ndone\n".encode()


def _quoted(path: str) -> bytes:
    raw = path.encode(errors="surrogateescape")
    for plain, escaped in ((b"\\", b"\\\\"), (b'"', b'\\"'), (b"\n", b"\\n")):
        raw = raw.replace(plain, escaped)
    return b'"%s"' % raw


def _moment(when: datetime) -> bytes:
    return b"%d +0000" % max(0, int(when.timestamp()))


def _take_over(source: Path, target: Path) -> None:
    """Move a finished pack in, its index last (that is what readers look for), and flush the folder's entries."""
    target.mkdir(parents=True, exist_ok=True)
    for each in sorted(source.iterdir(), key=lambda file: file.suffix == ".idx"):
        each.rename(target / each.name)
    for folder in (target, target.parent):
        flush_folder(folder)
