"""Laws of the marks: escaping is undone exactly, and what a mark cannot tell counts as equal."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from difyops.dsl.marks import MARKER, agree, escaped, is_sealed, marks, sealed_mark, unescaped
from difyops.dsl.secrets import plain, redact, reinject
from difyops.sealing.key import StoreKey

ONE, OTHER = StoreKey.new(), StoreKey.new()
PIECES = st.lists(
    st.sampled_from(["<difyops:", "literal:", "secret>", sealed_mark("0" * 8, "1" * 32), MARKER, "x", "<", ">"]),
    max_size=8,
).map("".join)


@given(PIECES)
def test_an_escaped_text_has_no_mark_and_comes_back(text: str) -> None:
    assert not list(marks(escaped(text)))
    assert unescaped(escaped(text)) == text


@given(PIECES)
def test_a_document_that_talks_about_marks_comes_back_as_it_was(text: str) -> None:
    document = {"graph": {"nodes": [{"id": "a", "data": {"type": "llm", "title": text, "prompt": text}}]}}
    redacted = redact(document, mark=ONE.mark)
    assert plain(reinject(redacted.document, redacted.secrets)[0]) == document


def test_equal_values_have_equal_marks_under_one_key_and_others_under_another() -> None:
    assert ONE.mark("swordfish") == ONE.mark("swordfish")
    assert ONE.mark("swordfish") != ONE.mark("swordfisH")
    assert ONE.mark("swordfish") != OTHER.mark("swordfish")
    assert is_sealed(ONE.mark(""))
    assert StoreKey.read(ONE.as_text().reveal()).mark("x") == ONE.mark("x")


def test_what_can_be_told_apart_is_and_what_cannot_agrees() -> None:
    one, other, foreign = ONE.mark("a"), ONE.mark("b"), OTHER.mark("a")
    assert agree(f"Bearer {one}", f"Bearer {one}")
    assert not agree(f"Bearer {one}", f"Bearer {other}")
    assert agree(f"Bearer {one}", f"Bearer {foreign}")
    assert not agree(f"Bearer {one}", f"Basic {foreign}")
    assert agree(MARKER, "shtcnAbc123"), "an old snapshot cut an id that is in clear now"
    assert agree(f"https://x/{MARKER}/y", f"https://x/{one}/y")
    assert agree(f"https://x/{MARKER}", f"https://x/{one}?key={other}")
    assert not agree(f"https://x/{MARKER}", f"https://y/{one}")
    assert not agree(one, "in clear")
