"""One pass over a text finds each place at which a pattern of names begins."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from difyops.dsl import foreign_names
from difyops.dsl import secret_rules as rules
from difyops.dsl.secret_names import _FOREIGN_KEYWORD, _KEYWORD, _SHORT_KEYWORD
from difyops.dsl.secret_words import words_in

PIECES = (*rules.KEYWORDS, *rules.SHORT_KEYWORDS, *foreign_names.LITERALS, *rules.FOREIGN_NAMES.split("|"))


@given(st.lists(st.sampled_from((*PIECES, " ", "_", "-", "=", "é", "密", "x", "wort", "\n")), max_size=12).map("".join))
def test_each_match_begins_where_a_word_was_found(text: str) -> None:
    words = words_in(text)
    for pattern, starts in (
        (_KEYWORD, words.keywords),
        (_FOREIGN_KEYWORD, words.foreign),
        (_SHORT_KEYWORD, words.short),
    ):
        assert {found.start() for found in pattern.finditer(text)} <= set(starts)
        assert starts == sorted(set(starts))


@pytest.mark.parametrize("joint", ["", " ", "_", "-"])
@pytest.mark.parametrize("name", rules.FOREIGN_NAMES.split("|"))
def test_a_name_is_found_however_it_is_joined(name: str, joint: str) -> None:
    text = "ab " + re.sub("[ -]", joint, name.partition("(")[0]) + " = 1"
    pattern = re.compile(foreign_names.IN_TEXTS)
    found = [match.start() for match in pattern.finditer(text)]
    assert set(found) <= set(words_in(text).foreign)


@pytest.mark.parametrize(("text", "expected"), [("headers = {", True), ("Die Kosten", False), ("users: [", True)])
def test_words_of_mappings_are_told(text: str, expected: bool) -> None:
    assert words_in(text.lower()).of_mappings is expected
