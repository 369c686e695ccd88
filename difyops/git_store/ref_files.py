"""References and settings read from their files, where these are as git itself writes them: it costs no process.

Whatever is not just so (a link, a symbolic reference, a broken file, an unusual setting) is no answer here, ``None``:
then git is asked, and what it says counts. git's own order is kept: the file of a reference, then the packed ones.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterable
from pathlib import Path

_ID = re.compile(rb"([0-9a-f]{40}(?:[0-9a-f]{24})?)\n")
_PACKED = re.compile(rb"([0-9a-f]{40}(?:[0-9a-f]{24})?) (refs/[^\s^]+)")
_SYMBOLIC = re.compile(rb"ref: (refs/[^\s^]+)\n")
_LONGEST = 4096
_SECTION = re.compile(r"\[([A-Za-z]+)(?: \"([\w.-]+)\")?\]", re.ASCII)
_SETTING = re.compile(r"[ \t]*([A-Za-z][A-Za-z0-9-]*) = ([\w./:@~+*=-]+)", re.ASCII)

Found = dict[str, str]


def read(folder: Path, refs: Iterable[str]) -> Found | None:
    """Return the object ids of those of ``refs`` that exist in the repository ``folder``."""
    found: Found = {}
    packed: Found | None = None
    for ref in refs:
        content = _content(folder / ref)
        if content is None:
            return None
        if content:
            plain = _ID.fullmatch(content)
            if plain is None:
                return None
            found[ref] = plain[1].decode()
            continue
        packed = _packed(folder) if packed is None else packed
        if packed is None:
            return None
        if ref in packed:
            found[ref] = packed[ref]
    return found


def under(folder: Path, prefix: str) -> Found | None:
    """Return the references whose names begin with ``prefix`` (``refs/heads/``), by name."""
    names: list[str] = []
    for place, _, files in os.walk(folder / prefix):
        if Path(place).is_symlink():
            return None
        names += [str((Path(place) / name).relative_to(folder)) for name in files if not name.endswith(".lock")]
    loose, packed = read(folder, names), _packed(folder)
    if loose is None or packed is None:
        return None
    both = {ref: each for ref, each in packed.items() if ref.startswith(prefix)} | loose
    return dict(sorted(both.items()))


def head(folder: Path) -> str | None:
    """Return the branch that ``HEAD`` names."""
    content = _content(folder / "HEAD")
    named = _SYMBOLIC.fullmatch(content) if content else None
    return named[1].decode() if named else None


def is_whole(folder: Path) -> bool:
    """Say whether ``folder`` is surely what git takes for a repository: ``HEAD``, objects and references are there."""
    content = _content(folder / "HEAD")
    is_head = bool(content) and (_SYMBOLIC.fullmatch(content or b"") or _ID.fullmatch(content or b"")) is not None
    return is_head and all(os.access(folder / name, os.X_OK) for name in ("objects", "refs"))


def settings(content: bytes) -> list[tuple[str, str]] | None:
    """Return the settings of a ``config`` of plain lines only: sections, and keys with one word as value."""
    pairs: list[tuple[str, str]] = []
    section = ""
    for line in content.decode("latin-1").split("\n"):
        if opened := _SECTION.fullmatch(line):
            section = opened[1].lower() + (f".{opened[2]}" if opened[2] is not None else "")
        elif section and (setting := _SETTING.fullmatch(line)):
            pairs.append((f"{section}.{setting[1].lower()}", setting[2]))
        elif line:
            return None
    return pairs


def _packed(folder: Path) -> Found | None:
    try:
        content = (folder / "packed-refs").read_bytes()
    except FileNotFoundError:
        return {}
    except OSError:
        return None
    found: Found = {}
    for line in content.splitlines():
        if line.startswith((b"#", b"^")):
            continue
        plain = _PACKED.fullmatch(line)
        if plain is None:
            return None
        found[plain[2].decode(errors="surrogateescape")] = plain[1].decode()
    return found


def _content(path: Path) -> bytes | None:
    """Return what a small file holds, nothing where there is none; ``None`` for what is no ordinary file."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        return b""
    except OSError:
        return None
    try:
        kind = os.fstat(descriptor).st_mode
        if stat.S_ISDIR(kind):
            return b""
        content = os.read(descriptor, _LONGEST) if stat.S_ISREG(kind) else b""
        return content or None
    finally:
        os.close(descriptor)
