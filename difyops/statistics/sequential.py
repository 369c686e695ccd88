"""A test that may be looked at after every call: does the new side fail more often than the old one?

An e-process: a wager against "both fail alike" that is fair while they do, so it ever reaches ``1 / alpha`` with a
chance of at most ``alpha``, however often somebody looks (Ville). The stake is spread over several ratios of the
failure rates (Lindon and others, KDD 2022). A block is one new call and the old calls it is held against; given how
many of them failed, the chance that the new one is among those is known, whatever the rate is.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

RATIOS = (1.5, 2.0, 3.0, 5.0, 8.0)


@dataclass(slots=True)
class FailureTest:
    """The wager so far. ``calls`` of the new side were counted; ``informative`` of them could tell anything."""

    alpha: float = 0.01
    ratios: tuple[float, ...] = RATIOS
    calls: int = 0
    informative: int = 0
    highest: float = 1.0
    _wealth: list[float] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._wealth = [0.0] * len(self.ratios)

    @property
    def e(self) -> float:
        """Return the wager's worth now; it began at 1."""
        peak = max(self._wealth)
        total = math.fsum(math.exp(item - peak) for item in self._wealth)
        return math.exp(min(700.0, peak + math.log(total / len(self.ratios))))

    @property
    def limit(self) -> float:
        """Return the worth that is proof."""
        return 1 / self.alpha

    @property
    def is_proven(self) -> bool:
        """Say whether the new side was proven to fail more often, at this or an earlier look."""
        return self.highest >= self.limit

    def take(self, failed: bool, chance: float) -> None:
        """Count one event: whether the new call failed, and the chance of that if both sides fail alike.

        A ``chance`` of 0 or 1 (nobody failed, everybody did) tells nothing.
        """
        self.calls += 1
        if not 0.0 < chance < 1.0:
            return
        self.informative += 1
        for place, ratio in enumerate(self.ratios):
            more = chance * ratio / (chance * ratio + 1 - chance)
            self._wealth[place] += math.log(more / chance if failed else (1 - more) / (1 - chance))
        self.highest = max(self.highest, self.e)

    def take_block(self, failed: bool, old_failed: int, old: int) -> None:
        """Count one new call held against ``old`` calls of the other side, of which ``old_failed`` failed."""
        self.take(failed, (old_failed + failed) / (old + 1))
