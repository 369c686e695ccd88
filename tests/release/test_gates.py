"""The judge by itself: what fails, what passes, what cannot be told."""

from __future__ import annotations

import random

import pytest

from difyops.release.gates import Gate, GateEvent, GateLook, look
from difyops.release.plan import Gates


def events(count: int, *, bad: float = 0.0, seconds: float = 1.0, tokens: int = 100, seed: int = 1) -> list[GateEvent]:
    dice = random.Random(seed)
    return [
        GateEvent(
            id=str(number), outcome="ours" if dice.random() < bad else "good", ended=float(number),
            seconds=seconds * dice.uniform(0.8, 1.2), tokens=int(tokens * dice.uniform(0.8, 1.2)),
        )
        for number in range(count)
    ]  # fmt: skip


def judged(
    new: list[GateEvent], old: list[GateEvent] | None = None, *, number: int = 1, wanted: int = 40
) -> dict[str, str]:
    found = look(events(400, seed=2) if old is None else old, new, Gates(), number=number, wanted=wanted)
    return {gate.name: gate.word for gate in found.gates} | {"": found.word}


def test_alike_passes() -> None:
    assert judged(events(40)) == {"failures": "pass", "seconds": "pass", "tokens": "pass", "": "pass"}


@pytest.mark.parametrize(
    ("new", "gate"),
    [
        (events(40, bad=0.5), "failures"),
        (events(40, seconds=1.6), "seconds"),
        (events(40, tokens=160), "tokens"),
    ],
)
def test_each_gate_fails_by_itself(new: list[GateEvent], gate: str) -> None:
    found = judged(new)
    assert {name for name, word in found.items() if word == "fail"} == {gate, ""}


def test_what_is_slower_by_less_than_is_allowed_passes() -> None:
    assert judged(events(40, seconds=1.15))["seconds"] == "pass"


def test_a_shift_that_nobody_feels_is_no_matter() -> None:
    assert judged(events(40, seconds=0.02), events(400, seconds=0.01, seed=2))["seconds"] == "pass"


@pytest.mark.parametrize("outcome", ["provider", "caller", "stopped"])
def test_failures_of_others_are_no_events(outcome: str) -> None:
    new = [GateEvent(id=str(number), outcome=outcome, ended=float(number)) for number in range(100)]
    assert judged(new)[""] == "inconclusive"


def test_too_few_on_either_side_cannot_be_told() -> None:
    assert judged(events(10))["failures"] == "inconclusive"
    assert judged(events(40), events(20, seed=2))["failures"] == "inconclusive"
    assert judged(events(40), [])[""] == "inconclusive"


def test_later_looks_want_more_proof() -> None:
    slow = events(12, seconds=1.5)
    assert judged(slow, number=1, wanted=10)["seconds"] == "fail"
    assert judged(slow, number=4000, wanted=10)["seconds"] == "pass"


def test_the_words_of_a_look() -> None:
    def of(*words: str) -> str:
        gates = tuple(Gate(name=word, word=word, text=word) for word in words)
        return GateLook(number=1, events=1, failed=0, old_events=1, old_failed=0, e=1.0, gates=gates).word

    assert of("pass", "pass") == "pass"
    assert of("pass", "inconclusive") == "inconclusive"
    assert of("inconclusive", "fail") == "fail"
