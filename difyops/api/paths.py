"""Ids and names as parts of an address: quoted, so that no character of theirs means anything there."""

from __future__ import annotations

from urllib.parse import quote

from difyops.errors import UnreadableAnswer

_LONGEST = 400


def part(text: str, *, slashes: bool = False) -> str:
    """Return ``text`` quoted for one segment of a path; with ``slashes`` for several (``langgenius/openai/openai``).

    Raises:
        UnreadableAnswer: nothing can stand for it there (empty, dots alone, no Unicode text, too long).
    """
    segments = text.split("/") if slashes else [text]
    if len(text) > _LONGEST or any(segment in ("", ".", "..") for segment in segments):
        raise UnreadableAnswer(f"The id {text[:40]!r} cannot stand in an address.")
    try:
        return quote(text, safe="/" if slashes else "")
    except UnicodeEncodeError as error:
        raise UnreadableAnswer(f"The id {text[:40]!r} cannot stand in an address.") from error
