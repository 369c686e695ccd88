"""No regular expression of the package needs more than linear time: each gets a long text of what it likes least.

Steps cannot be counted, so the measure is a pattern known to be quadratic, in the same run and on the same machine.
What needs more than a small part of its time for the same length is suspicious, and is tried at a quarter of it: a
quadratic pattern needs a sixteenth of the time there, a linear one a quarter. Only processor time counts, not what
others take.
"""

from __future__ import annotations

import re
import time
from functools import cache

import pytest

from tests.ground.patterns import Found, keeps_a_group, patterns, starts, unknown

LENGTHS = (20, 200, 4_000)
"""Short ones first: what is worse than quadratic shows there, and would not end on the long one."""
MEGABYTE = 1_000_000
REFERENCE = re.compile(r"\s*end")
PART, GROWTH = 1 / 10, 9


def spent(pattern: re.Pattern[str], call: str, text: str) -> float:
    started = time.process_time()
    if call in ("match", "fullmatch"):
        getattr(pattern, call)(text)
    else:
        for _ in pattern.finditer(text):
            pass
    return time.process_time() - started


def least(pattern: re.Pattern[str], call: str, text: str) -> float:
    return min(spent(pattern, call, text) for _ in range(3))


@cache
def allowed() -> float:
    """Return the time that no pattern may need for the longest text: linear ones need a hundredth of it."""
    return PART * least(REFERENCE, "search", " " * LENGTHS[-1])


def long_text(start: str, again: str, length: int) -> str:
    return start + again * (length // len(again)) + "\0"


def worst(found: Found) -> str | None:
    """Return where a pattern needs more than linear time."""
    pattern = re.compile(found.text, found.flags)
    for start, again in starts(found.text, found.flags):
        for length in LENGTHS:
            if spent(pattern, found.call, text := long_text(start, again, length)) < allowed():
                continue
            if least(pattern, found.call, text) < allowed():  # once it was something else: a collection of garbage
                continue
            shorter = long_text(start, again, length // 4)
            if length < LENGTHS[-1] or (
                least(pattern, found.call, text) > GROWTH * least(pattern, found.call, shorter)
            ):
                return f"{found.place}: {found.call} of {start!r} and {length} characters of {again!r}"
    return None


@cache
def every_pattern() -> list[Found]:
    return list(patterns(without=""))


def test_no_pattern_is_quadratic() -> None:
    every = [found for found in every_pattern() if not found.place.startswith("validation/")]
    assert len(every) > 100
    assert [said for found in every if (said := worst(found))] == []


def test_every_pattern_is_looked_at() -> None:
    """The others: a table that is looked at, price lists that are shipped, found secrets, the emulator's own."""
    assert unknown() == {
        "api/run_faults.py", "cost/prices.py", "dsl/secrets.py", "emulator/control.py", "emulator/routing.py",
    }  # fmt: skip


@pytest.mark.long
def test_every_pattern_reads_a_megabyte_of_what_it_likes_least() -> None:
    """A megabyte takes 250 times as long as the 4,000 characters before; four times that is too much."""
    most, slow = 4 * MEGABYTE / LENGTHS[-1], []
    for found in patterns():
        pattern = re.compile(found.text, found.flags)
        times = {
            pair: spent(pattern, found.call, long_text(*pair, LENGTHS[-1])) for pair in starts(found.text, found.flags)
        }
        for pair in sorted(times, key=lambda pair: -times[pair])[:3]:
            short = max(least(pattern, found.call, long_text(*pair, LENGTHS[-1])), allowed() / 100)
            if spent(pattern, found.call, long_text(*pair, MEGABYTE)) > most * short:
                slow.append(f"{found.place}: {found.call} of a megabyte of {pair}")
    assert slow == []


@pytest.mark.parametrize("text", [r"\s*end", r"[a-z]+\d", r"(?:ab?)*?c\Z", r"=\s*,?\s*y", r"(a+)+b"])
def test_the_test_finds_one_that_is(text: str) -> None:
    assert worst(Found("here", text, 0, "search"))


@pytest.mark.parametrize("text", ["end", r"\s{0,20}end", r"(?<!\s)\s+end", "(?i)one|two|three|four|five|six|seven"])
def test_a_linear_one_passes(text: str) -> None:
    assert worst(Found("here", text, 0, "search")) is None


def test_no_pattern_keeps_a_group() -> None:
    """Python 3.11 up to its fourth correction reads such patterns wrongly: one of them matched nothing, for ever."""
    assert [found.place for found in every_pattern() if keeps_a_group(found.text, found.flags)] == []
    assert keeps_a_group(r"(?:[^,]|:(?=/))*+", 0)
    assert not keeps_a_group(r"[ \t]*+x", 0)
