"""The judge of a release. Pure: events of both sides in, a word for each gate out.

failures  the wager of ``statistics.sequential``: each run of the new version, in the order in which they ended, is held
          against old ones that no other run is held against; only failures that are ours count, and runs whose failure
          is the provider's or the caller's do not count at all
seconds   Mann and Whitney's test at alpha / (k (k + 1)) at the k-th look, so that all looks together keep to alpha;
tokens    fails only where the whole interval of the shift lies above zero and the shift above the allowed share
price     the same, where the plan asks for it: the nodes of runs must be read for it. What is asked for and cannot be
          judged (a price that nobody knows, two currencies) decides nothing, so it is no pass
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from difyops.counting import counted
from difyops.history.failures import GOOD, OURS
from difyops.release.plan import Gates
from difyops.statistics import FailureTest, mann_whitney

PASS, FAIL, OPEN = "pass", "fail", "inconclusive"
_MOST_AGAINST = 20
_SPENT_AT_ONCE = 6
_FEWEST_RANKED = 8
_LEAST_SHIFT = {"seconds": 0.2, "tokens": 1.0, "price": 0.0}  # less than that is no matter, whatever share it is


@dataclass(frozen=True, slots=True, kw_only=True)
class GateEvent:
    """One run that ended. ``outcome``: a class of ``history.failures``; ``ended``: unix seconds."""

    id: str
    outcome: str
    ended: float
    seconds: float | None = None
    tokens: int | None = None
    price: float | None = None
    currency: str = ""

    @property
    def counts(self) -> bool:
        """Say whether the version is to be judged by it."""
        return self.outcome in (GOOD, OURS)

    @property
    def is_bad(self) -> bool:
        """Say whether it is a failure of the version."""
        return self.outcome == OURS


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate:
    """One gate at one look: pass, fail, inconclusive, and the figures in words."""

    name: str
    word: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class GateLook:
    """One look at all gates. ``events``: runs of the new version that counted; ``e``: the wager's worth."""

    number: int
    events: int
    failed: int
    old_events: int
    old_failed: int
    e: float
    gates: tuple[Gate, ...]

    @property
    def word(self) -> str:
        """Return fail when one gate fails, pass when all pass, else inconclusive."""
        words = {gate.word for gate in self.gates}
        return FAIL if FAIL in words else PASS if words == {PASS} else OPEN

    @property
    def text(self) -> str:
        """Return what decided it, in words."""
        chosen = [gate for gate in self.gates if gate.word == self.word] or list(self.gates)
        return "; ".join(gate.text for gate in chosen)


def look(
    old: Sequence[GateEvent], new: Sequence[GateEvent], gates: Gates, *, number: int, wanted: int
) -> GateLook:  # fmt: skip
    """Judge the new version's events. ``old``: newest first; ``new``: in the order in which they ended.

    ``wanted``: how many events of the new version a pass takes.
    """
    was, now = [item for item in old if item.counts], [item for item in new if item.counts]
    test = FailureTest(alpha=gates.alpha)
    used = 0
    for place, item in enumerate(now):
        against = _against(len(was), used, place, wanted)
        if used + against > len(was):
            break
        test.take_block(item.is_bad, sum(one.is_bad for one in was[used : used + against]), against)
        used += against
    alpha = gates.alpha / (number * (number + 1))
    found = [
        _failures(test, now, was, wanted),
        _ranked("seconds", _seconds(was), _seconds(now), gates.slower, alpha),
        _ranked("tokens", _tokens(was), _tokens(now), gates.dearer, alpha),
    ]
    if gates.pricier is not None:
        found.append(_price(was, now, gates.pricier, alpha))
    bad, was_bad = sum(item.is_bad for item in now), sum(item.is_bad for item in was)
    return GateLook(
        number=number,
        events=len(now),
        failed=bad,
        old_events=len(was),
        old_failed=was_bad,
        e=test.e,
        gates=tuple(found),
    )


def _against(old: int, used: int, place: int, wanted: int) -> int:
    """Return how many old runs the next new one is held against.

    One is kept for each run that a pass still takes, where there are so many; the first ones get most of the rest, so
    that what is broken shows at once.
    """
    kept = max(0, wanted - place) if old >= wanted else 0
    return max(1, min(_MOST_AGAINST, (old - used - kept) // _SPENT_AT_ONCE))


def _failures(test: FailureTest, now: Sequence[GateEvent], was: Sequence[GateEvent], wanted: int) -> Gate:
    bad, was_bad = sum(item.is_bad for item in now), sum(item.is_bad for item in was)
    told = f"{bad} of {counted(len(now), 'run')} failed, {was_bad} of {len(was)} before"
    if test.is_proven:
        return Gate(name="failures", word=FAIL, text=f"{told} (e = {test.highest:.3g}, proof from {test.limit:g} on)")
    if test.calls < wanted:
        least = f"{test.calls} of {counted(wanted, 'run')} could be held against the old version"
        return Gate(name="failures", word=OPEN, text=f"{least}; {told}")
    return Gate(name="failures", word=PASS, text=told)


def _ranked(name: str, was: Sequence[float], now: Sequence[float], allowed: float, alpha: float) -> Gate:
    """Judge one figure; too few values, or none at all, are no reason to hold a version back."""
    found = mann_whitney(was, now, confidence=1 - alpha)
    if found is None or min(len(was), len(now)) < _FEWEST_RANKED:
        return Gate(name=name, word=PASS, text=f"{name}: too few runs to compare")
    middle = median(was)
    told = f"{name}: {median(now):.3g} in the median, {middle:.3g} before"
    bounds = found.interval
    least = max(allowed * middle, _LEAST_SHIFT[name])
    is_worse = found.p < alpha and found.shift > least and bounds is not None and bounds.low > 0
    return Gate(name=name, word=FAIL if is_worse else PASS, text=told + (f" (p = {found.p:.2g})" if is_worse else ""))


def _seconds(events: Sequence[GateEvent]) -> list[float]:
    """Return the times of runs that came to a result: a failure may be quick."""
    return [item.seconds for item in events if item.seconds is not None and item.outcome == GOOD]


def _tokens(events: Sequence[GateEvent]) -> list[float]:
    found = [float(item.tokens) for item in events if item.tokens is not None and item.outcome == GOOD]
    return found if any(found) else []


def _price(was: Sequence[GateEvent], now: Sequence[GateEvent], allowed: float, alpha: float) -> Gate:
    """Judge what runs cost; where too few came to a result to compare anything, nothing is wanted of it."""
    for side, events in (("the old version", was), ("the new version", now)):
        good = [item for item in events if item.outcome == GOOD]
        if len(good) >= _FEWEST_RANKED and all(item.price is None for item in good):
            return Gate(name="price", word=OPEN, text=f"price: nobody knows what runs of {side} cost")
    currencies = sorted({item.currency for item in (*was, *now) if item.price and item.currency})
    if len(currencies) > 1:
        return Gate(name="price", word=OPEN, text=f"price: in {' and '.join(currencies)}, which are not compared")
    return _ranked("price", _prices(was), _prices(now), allowed, alpha)


def _prices(events: Sequence[GateEvent]) -> list[float]:
    return [item.price for item in events if item.price is not None and item.outcome == GOOD]
