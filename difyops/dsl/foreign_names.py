"""The names of secrets in other languages as people type them: with an accent or without, joined in any way."""

from __future__ import annotations

import re
import unicodedata
from typing import Final

from difyops.dsl import secret_rules as rules

_PLAIN: Final = str.maketrans({"ł": "l", "ø": "o", "æ": "ae", "ß": "ss", "đ": "d", "ı": "i"})
_EDGE: Final = r"(?<![a-z])"
_LEAST: Final = 8  # letters of a joined name that is found anywhere
_LITERAL: Final = re.compile(r"[a-z]+")


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
            patterns.append((_EDGE if is_short else "") + re.sub("[ -]", "[ _-]?", one) + bracket + rest)
    return patterns


_WORDS: Final = rules.FOREIGN_NAMES.split("|")
NAMES: Final = "|".join(pattern for word in _WORDS for pattern in _spellings(word, edged=True))
# What is searched for in texts begins with letters everywhere: such a pattern is searched for much faster.
_IN_TEXTS: Final = [pattern for word in _WORDS for pattern in _spellings(word, edged=False)]
IN_TEXTS: Final = "|".join(_IN_TEXTS)
IN_OTHER_LETTERS: Final = "|".join(pattern for pattern in _IN_TEXTS if not pattern.isascii())
_ASCII: Final = tuple(
    _plain(word.partition("(")[0])
    for word in (*_WORDS, *rules.FOREIGN_LOGINS.replace("?", "").split("|"))
    if _plain(word.partition("(")[0]).isascii()
)
# One of these stands in a text of ASCII characters that holds a name: the longest piece of each.
PIECES: Final = tuple(sorted({max(_LITERAL.findall(word), key=len) for word in _ASCII}))
