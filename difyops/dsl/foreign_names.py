"""The names of secrets in other languages as people type them: with an accent or without, joined in any way."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from itertools import product
from typing import Final

from difyops.dsl import secret_rules as rules

_PLAIN: Final = str.maketrans({"ł": "l", "ø": "o", "æ": "ae", "ß": "ss", "đ": "d", "ı": "i"})
_EDGE: Final = r"(?<![a-z])"
_LEAST: Final = 8  # letters of a joined name that is found anywhere
_JOINT: Final = "[ _-]?"


def _plain(word: str) -> str:
    """Return a word without its accents."""
    parts = unicodedata.normalize("NFKD", word.translate(_PLAIN))
    return "".join(char for char in parts if not unicodedata.combining(char))


def _spellings(word: str, *, edged: bool) -> list[str]:
    """Return the patterns of one name; ``word`` may end in a pattern of what must not follow.

    ``edged``: one that is joined of short plain words begins where a word does (``clé api``, not ``article_api``).
    """
    name, bracket, rest = word.partition("(")
    plain = _plain(name)
    found = [name, plain] if plain.isascii() and plain != name else [name]
    patterns = []
    for one in found:
        is_short = one.isascii() and len(one) < _LEAST and (" " in one or "-" in one)
        if edged or not is_short:
            patterns.append((_EDGE if is_short else "") + re.sub("[ -]", _JOINT, one) + bracket + rest)
    return patterns


def _joined(parts: list[str]) -> Iterator[str]:
    """Yield the parts of a name joined in each of the ways that ``_JOINT`` takes."""
    for joints in product(("", " ", "_", "-"), repeat=len(parts) - 1):
        yield parts[0] + "".join(joint + part for joint, part in zip(joints, parts[1:], strict=True))


_WORDS: Final = rules.FOREIGN_NAMES.split("|")
NAMES: Final = "|".join(pattern for word in _WORDS for pattern in _spellings(word, edged=True))
# What is searched for in texts begins with letters everywhere: such a pattern is searched for much faster.
_IN_TEXTS: Final = [pattern for word in _WORDS for pattern in _spellings(word, edged=False)]
IN_TEXTS: Final = "|".join(_IN_TEXTS)
# The same names and the words of logins, letter by letter: with one of these each match begins.
LITERALS: Final = tuple(
    dict.fromkeys(
        "".join(parts)
        for pattern in (*_IN_TEXTS, *rules.FOREIGN_LOGINS.split("|"))
        for parts in _joined(pattern.partition("(")[0].split(_JOINT))
    )
)
