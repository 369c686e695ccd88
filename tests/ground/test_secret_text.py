"""A secret cannot be printed by accident, and known ones do not come through in any text."""

from __future__ import annotations

import copy
import dataclasses
import json
import logging
import pickle
import traceback

import pytest
from hypothesis import given
from hypothesis import strategies as st

from difyops import secret_text
from difyops.secret_text import STARS, SecretText, remember, scrub

CANARY = "canary-s3cret-4711"
# what is made here stays known to this process: a prefix keeps it out of other tests' words
unlikely = st.text(max_size=30).map("canary-{}".format)
secrets = unlikely.filter(lambda text: "*" not in text)


@dataclasses.dataclass
class Holder:
    key: SecretText


@pytest.mark.parametrize(
    "shown",
    [
        str(SecretText(CANARY)),
        repr(SecretText(CANARY)),
        f"{SecretText(CANARY)}",
        f"{SecretText(CANARY)!r:>40}",
        f"{SecretText(CANARY):>40}",
        "%s %r" % (SecretText(CANARY), [SecretText(CANARY)]),  # noqa: UP031 - the old way is what is tested
        repr(Holder(SecretText(CANARY))),
        repr({SecretText(CANARY): 1}),
        json.dumps({"key": SecretText(CANARY)}, default=str),
    ],
)
def test_no_way_of_printing_shows_it(shown: str) -> None:
    assert "canary" not in shown
    assert STARS in shown


def test_it_is_not_in_a_log_record(caplog: pytest.LogCaptureFixture) -> None:
    logging.getLogger("difyops.test").warning("using %s and %r", SecretText(CANARY), SecretText(CANARY))
    assert "canary" not in caplog.text


def test_it_is_not_in_a_traceback_with_locals() -> None:
    key = SecretText(CANARY)
    try:
        raise ValueError(key)
    except ValueError as error:
        shown = "".join(traceback.TracebackException.from_exception(error, capture_locals=True).format())
    assert key.reveal() not in shown


def test_it_is_never_pickled_nor_copied_by_accident() -> None:
    for act in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError, match="never pickled"):
            act(SecretText(CANARY))


def test_it_is_gone_only_where_it_is_revealed() -> None:
    secret = SecretText(CANARY)
    assert secret.reveal() == CANARY
    assert (len(secret), bool(secret), bool(SecretText(""))) == (len(CANARY), True, False)


@given(unlikely, unlikely)
def test_equality_is_that_of_the_texts(one: str, other: str) -> None:
    assert (SecretText(one) == SecretText(other)) is (one == other)
    assert len({SecretText(one), SecretText(one)}) == 1
    assert SecretText(one) != one


@given(st.text(), secrets, st.text())
def test_a_known_secret_never_comes_through(before: str, secret: str, after: str) -> None:
    remember(secret)
    assert secret not in scrub(f"{before}{secret}{after}")


@given(st.lists(secrets, min_size=1, max_size=4), st.text())
def test_overlapping_secrets_never_come_through(known: list[str], between: str) -> None:
    for secret in known:
        remember(secret)
        remember(secret + "-and-more")
    shown = scrub(between.join(known) + known[0] + "-and-more")
    assert all(secret not in shown for secret in known)


@given(st.lists(st.text("abc-*", min_size=6, max_size=9), max_size=40), st.text("abc- *", max_size=200), st.booleans())
def test_many_known_values_are_found_as_one_by_one(known: list[str], text: str, are_many: bool) -> None:
    """Beginnings that several values share, values in values, values across others: as a plain loop has it."""
    secret_text.forget_all()
    for secret in known:
        remember(f"zz{secret}")
        remember(secret)
    for number in range(200 if are_many else 0):
        remember(f"quite-{number:04}-another")
    shown = scrub(text)
    secret_text.forget_all()  # they would be stars in other tests
    values = sorted({value for item in known for value in (item, f"zz{item}")}, key=len, reverse=True)
    wanted = text
    for value in values:
        if len(value.strip()) >= 6 and set(value) != {"*"} and value in text:
            wanted = wanted.replace(value, STARS)
    assert shown == wanted


@given(st.text())
def test_scrubbing_twice_is_scrubbing_once(text: str) -> None:
    assert scrub(scrub(text)) == scrub(text)


def test_stars_and_short_words_are_not_taken_for_secrets() -> None:
    for text in (STARS, "***********", "yes", "12345", "      ", ""):
        SecretText(text)
    assert scrub("yes, 12345 stars: ****** and      spaces") == "yes, 12345 stars: ****** and      spaces"


@pytest.mark.parametrize(
    "text",
    [
        "Authorization: Bearer abcdef123456789",
        "authorization: bearer eyJhbGciOi1.abc",
        "key app-abcdefghijklmnopqrstuvwx is wrong",
        "key dataset-abcdefghijklmnopqrstuvwx",
        "Incorrect API key provided: sk-canary1234567890abcd",
        "sk-proj-canary1234567890abcd",
        "https://x:ghp_abcdefghijklmnop1234@github.com",
        "glpat-abcdefghijklmnop12",
        "xoxb-123456789012-abcdefgh",
        "token eyJhbGciOiJIUzI1.eyJzdWIiOiIx.c2lnbmF0dXJl",
    ],
)
def test_keys_of_known_shapes_are_recognised_in_remote_texts(text: str) -> None:
    assert STARS in scrub(text)


@pytest.mark.parametrize(
    "text",
    [
        "The bearer of bad news",
        "app-store and app-of-the-year",
        "451abd81-f1d6-4ed6-97f5-e837d70820fe",
        "sk-learn is a library",
        "dataset-2026-final",
        "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    ],
)
def test_ordinary_words_and_ids_stay(text: str) -> None:
    assert scrub(text) == text
