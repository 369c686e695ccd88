"""What may become a branch, a tag, a path, an author or a remote. Pure text; no git, no files.

Everything a person or an instance supplies passes here before git sees it, so that no text can be taken for an option,
a revision expression or a path outside the tree. The rules for references are those of ``git check-ref-format``.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Iterable

from difyops.errors import UsageError
from difyops.secret_text import scrub

UNBORN = "nothing-checked-out"
NEWEST = ("latest", "HEAD")

_REF_FORBIDDEN = re.compile(r"[\x00-\x20\x7f~^:?*\[\\]|\.\.|@\{|//|\ud800|[\ud800-\udfff]")
_NOT_IN_PATHS = re.compile(r"[\\\x00-\x1f\x7f\ud800-\udfff]")
_FULL_ID = re.compile(r"(?:[0-9a-f]{40}|[0-9a-f]{64})\Z")
_SOME_ID = re.compile(r"[0-9a-f]{4,64}\Z")
_STEPS_BACK = re.compile(r"(?s)(.*?)(?:~(\d{0,6})|(\^))?\Z")
_GIT_OWN = re.compile(r"\.git(modules)?|git~\d+")
_SCHEMES = frozenset({"file", "git", "http", "https", "ssh", "git+ssh", "ssh+git"})
_LONGEST = 200  # bytes of a name; a file of that name plus ".lock" must fit into 255


def is_ref(text: str) -> bool:
    """Tell whether ``text`` can be the tail of a reference name and never looks like an option."""
    parts = text.split("/")
    return (
        bool(text)
        and text != "@"
        and not text.startswith("-")
        and not text.endswith(".")
        and not _REF_FORBIDDEN.search(text)
        and len(text.encode(errors="replace")) <= _LONGEST
        and all(part and not part.startswith(".") and not part.endswith(".lock") for part in parts)
    )


def branch(text: str) -> str:
    """Return ``text`` when it can be the branch of a context.

    Raises:
        UsageError: it cannot; a slash is refused as well, it separates the context from the tag in a tag's name.
    """
    if not is_ref(text) or "/" in text or text in ("HEAD", UNBORN) or is_full_id(text):
        raise UsageError(
            f"{shown(text)} cannot be the name of a branch in the snapshot store.",
            hint="Use letters, digits, dots, dashes and underscores, starting with a letter or digit.",
        )
    return text


def tag(text: str) -> str:
    """Return ``text`` when it can be a tag of a context.

    Raises:
        UsageError: it cannot, or it is a word that already means the newest snapshot.
    """
    if not is_tag(text):
        raise UsageError(
            f"{shown(text)} cannot be the name of a tag.",
            hint="Use letters, digits, dots, dashes and underscores; latest, HEAD and previous have a meaning already.",
        )
    return text


def is_tag(text: str) -> bool:
    """Tell whether ``text`` can be a tag's name."""
    return is_ref(text) and text not in (*NEWEST, "previous")


def is_full_id(text: str) -> bool:
    """Tell whether ``text`` is a complete object id (SHA-1 or SHA-256)."""
    return bool(_FULL_ID.match(text))


def is_some_id(text: str) -> bool:
    """Tell whether ``text`` can be an object id or the beginning of one (four digits or more)."""
    return bool(_SOME_ID.match(text))


def steps_back(text: str) -> tuple[str, int]:
    """Split ``latest~2`` into the name and the number of snapshots before it; ``~`` and ``^`` are one step."""
    match = _STEPS_BACK.match(text)
    name, count, caret = match.groups() if match else (text, None, None)
    if count is None and caret is None:
        return name, 0
    return name, int(count or 1)


def path(text: str) -> str:
    """Return ``text`` when it is a posix path relative to the root of the tree.

    Raises:
        UsageError: it is absolute, leaves the tree, or has a segment that git or a file system would take for more
            than a name (empty, ``.``, ``..``, ``.git`` in any disguise, control characters, backslashes).
    """
    if not is_path(text):
        raise UsageError(f"{shown(text)} cannot be a path in the snapshot store.")
    return text


def is_path(text: str) -> bool:
    """Tell whether ``text`` passes ``path``."""
    if _NOT_IN_PATHS.search(text):
        return False
    return all(_is_segment(segment) for segment in text.split("/"))


def no_file_is_a_folder(paths: Collection[str]) -> None:
    """Check that no path is the folder of another one.

    Raises:
        UsageError: ``a`` and ``a/b`` are both there; the message names the file.
    """
    folders: set[str] = set()
    for each in paths:
        folder = each.rpartition("/")[0]
        while folder and folder not in folders:
            folders.add(folder)
            folder = folder.rpartition("/")[0]
    for clash in sorted(folders.intersection(paths)):
        raise UsageError(f"{shown(clash)} cannot be a file and a folder at once.")


def author(text: str) -> bytes:
    """Return ``Name <mail>`` as git wants it; missing parts are filled, what would break the line is dropped."""
    name, _, mail = one_line(text).partition("<")
    name = re.sub(r"[<>]", "", name).strip() or "difyops"
    mail = re.sub(r"[<>\s]", "", mail) or "difyops@localhost"
    return f"{name} <{mail}>".encode(errors="replace")


def message(text: str) -> bytes:
    """Return a commit or tag message: no secrets, no control characters, one line end at its end."""
    clean = "".join(char for char in scrub(text) if char in "\n\t" or not _is_control(char))
    return clean.strip().encode(errors="replace") + b"\n"


def one_line(text: str) -> str:
    """Return ``text`` without secrets and control characters, on one line."""
    return "".join(" " if _is_control(char) else char for char in scrub(text)).strip()


def remote(text: str) -> str:
    """Return ``text`` when it can be the name or the address of a remote.

    Raises:
        UsageError: it looks like an option or a helper program, has control characters, or carries a password, which
            would show in the list of processes.
    """
    if not text or text.startswith("-") or "::" in text or any(_is_control(char) for char in text):
        raise UsageError(f"{shown(without_userinfo(text))} cannot be a git remote.")
    if re.match(r"(?i)https?://[^/@]*@", text) or re.match(r"(?i)[a-z+]+://[^/@:]*:[^/@]*@", text):
        raise UsageError(
            f"The address {without_userinfo(text)} carries credentials; refused, they would show in the process list.",
            hint="Leave them out and use SSH or a git credential helper.",
        )
    return text


def address(text: str) -> str:
    """Return ``text`` when it can be the address of a remote that the store defines.

    Raises:
        UsageError: git would take it for an option, or for a program to run.
    """
    scheme = re.match(r"([A-Za-z][A-Za-z0-9+.-]*)://", text)
    known = scheme is None or scheme[1].lower() in _SCHEMES
    host = re.sub(r"^([A-Za-z0-9+.-]*://)?([^/]*@)?", "", text)
    if not text or "::" in text.partition("/")[0] or "-" in (text[0], host[:1]) or not known:
        raise UsageError(
            f"The store's remote leads to {shown(without_userinfo(text))}, which is no address.",
            hint="Give the address itself: difyops snapshot push URL",
        )
    return text


def is_local(text: str) -> bool:
    """Say whether an address is a folder of this machine, as git reads it: no scheme, and no ``host:``."""
    if "://" in text:
        return text.lower().startswith("file://")
    head, colon, _ = text.partition(":")
    return not colon or "/" in head


def without_userinfo(text: str) -> str:
    """Return ``text`` with ``user:password@`` removed from every address in it."""
    return re.sub(r"(?i)([a-z][a-z0-9+.-]{0,30}://)[^/\s'\"]*@", r"\1", text)


def shown(text: str) -> str:
    """Return ``text`` quoted for a message: shortened, escaped, without secrets."""
    clean = scrub(text)
    return repr(clean if len(clean) <= 80 else clean[:77] + "...")


def listed(items: Iterable[str], *, most: int = 5) -> str:
    """Return the first few items as ``a, b, c and 7 more``."""
    everything = list(items)
    more = len(everything) - most
    return ", ".join(everything[:most]) + (f" and {more} more" if more > 0 else "")


def _is_control(char: str) -> bool:
    return unicodedata.category(char) in ("Cc", "Cs") or char in "\u2028\u2029"


def _is_segment(segment: str) -> bool:
    if segment in ("", ".", "..") or len(segment.encode()) > 255:
        return False
    if segment.isascii() and ".git" not in segment.casefold() and "~" not in segment:
        return True
    # HFS+ ignores invisible characters, NTFS trailing dots and spaces and what follows a colon: all spell ".git"
    visible = "".join(char for char in segment if unicodedata.category(char) != "Cf")
    plain = unicodedata.normalize("NFKC", visible).casefold().partition(":")[0].rstrip(". ")
    return not _GIT_OWN.fullmatch(plain)
