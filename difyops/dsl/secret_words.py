"""Where the words begin that may name a secret: one pass over a text, however many words there are.

A regular expression with many branches begins anew at each character; the automaton of Aho and Corasick reads each
character once. It only says where to look: whether a name stands there is for the patterns of ``secret_names``.
"""

from __future__ import annotations

from functools import cache
from itertools import accumulate
from typing import Final, NamedTuple

import ahocorasick_rs

from difyops.dsl import foreign_names
from difyops.dsl import secret_rules as rules

_GROUPS: Final = (rules.KEYWORDS, foreign_names.LITERALS, rules.SHORT_KEYWORDS, rules.WORDS_OF_MAPPINGS)
_ENDS: Final = tuple(accumulate(map(len, _GROUPS)))


class Words(NamedTuple):
    """Offsets in characters at which words begin, in order: English ones, those of other languages, short ones.

    ``of_mappings``: whether a word stands in the text that names a mapping of accounts, headers or variables.
    """

    keywords: list[int]
    foreign: list[int]
    short: list[int]
    of_mappings: bool


def words_in(lowered: str) -> Words:
    """Return where a text in small letters holds words that may name a secret."""
    keywords, foreign, short, of_mappings = set[int](), set[int](), set[int](), False
    first, second, third, _ = _ENDS
    for word, start, _ in _automaton().find_matches_as_indexes(lowered, overlapping=True):
        if word < first:
            keywords.add(start)
        elif word < second:
            foreign.add(start)
        elif word < third:
            short.add(start)
        else:
            of_mappings = True
    return Words(sorted(keywords), sorted(foreign), sorted(short), of_mappings)


@cache
def _automaton() -> ahocorasick_rs.AhoCorasick:
    return ahocorasick_rs.AhoCorasick([word for group in _GROUPS for word in group])
