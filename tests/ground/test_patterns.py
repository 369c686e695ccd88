"""No regular expression of the package needs more than linear time: each gets a long text of what it likes least.

Steps cannot be counted, so what takes suspiciously long is tried at four times the length: a quadratic pattern needs
sixteen times as long, a linear one four. A megabyte of it would take the quadratic one minutes.
"""

from __future__ import annotations

import re
import time

from tests.ground.patterns import Found, patterns, starts

LENGTH, LONGER = 1_000, 4_000
SUSPICIOUS, GROWTH = 0.003, 9


def spent(pattern: re.Pattern[str], call: str, text: str) -> float:
    started = time.process_time()
    if call in ("match", "fullmatch"):
        getattr(pattern, call)(text)
    else:
        for _ in pattern.finditer(text):
            pass
    return time.process_time() - started


def worst(found: Found) -> str | None:
    pattern = re.compile(found.text, found.flags)
    for start in filter(None, starts(found.text, found.flags)):
        text, longer = (start * (length // len(start)) + "\0" for length in (LENGTH, LONGER))
        if spent(pattern, found.call, text) < SUSPICIOUS:
            continue
        short = min(spent(pattern, found.call, text) for _ in range(3))
        if short > SUSPICIOUS / 2 and spent(pattern, found.call, longer) > GROWTH * short:
            return f"{found.place}: {found.call} of {start!r}"
    return None


def test_no_pattern_is_quadratic() -> None:
    every = list(patterns())
    assert len(every) > 100
    assert [said for found in every if (said := worst(found))] == []


def test_the_test_finds_one_that_is() -> None:
    assert worst(Found("here", r"\s*end", 0, "search"))
