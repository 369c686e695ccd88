"""What the store hands out, and the errors only it raises. No git here."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from difyops.errors import Refused, StoreError


class StoreMoved(StoreError):
    """The branch is not at the expected commit any more: somebody else wrote in between. Nothing was changed."""

    code = "store_moved"


class FileMissing(StoreError):
    """A commit has no such file."""

    code = "file_missing"


class TagExists(Refused):
    """A tag of that name is there already; tags never move. Nothing was changed."""

    code = "tag_exists"


@dataclass(frozen=True, slots=True, kw_only=True)
class CommitInfo:
    """One snapshot: full commit id, author as ``Name <mail>``, first line and the rest of the message, its tags."""

    id: str
    when: datetime
    author: str
    subject: str
    body: str
    tags: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class TagInfo:
    """One tag without the context's prefix; ``message`` is empty for a lightweight tag somebody made by hand."""

    name: str
    commit: str
    when: datetime
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FileChange:
    """A file that a snapshot added (A), changed (M) or took away (D); ``blob`` is the id of its new content."""

    status: str
    path: str
    blob: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Touched:
    """A snapshot and what it changed of the files that were asked for."""

    commit: CommitInfo
    files: tuple[FileChange, ...]
