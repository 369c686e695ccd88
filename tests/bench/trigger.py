"""The figure of ``trigger audit``: seeded faults over the clock changes of six zones that it finds, and false ones."""

from __future__ import annotations

import random
from datetime import timedelta

from tests.bench.table import Figure
from tests.trigger.seeding import CHANGES, CRONS, at, faults, judged, seeded, slots

_SEEDS = 10


def main() -> list[Figure]:
    """Seed and look."""
    sown = found = said = 0
    for seed in range(_SEEDS):
        for zone, changes in CHANGES.items():
            for change in changes:
                for cron in CRONS:
                    expected = slots(cron, zone, at(change) - timedelta(days=2), at(change) + timedelta(days=2))
                    runs, wanted = seeded(expected, random.Random(f"{seed}{zone}{change}{cron}"))
                    there, got = faults(wanted), faults(judged(expected, runs))
                    sown += there.total()
                    found += (there & got).total()
                    said += (got - there).total()
    how = f"{found} of {sown} missed, late and doubled slots, {len(CHANGES)} zones, both changes of a year"
    return [
        Figure("trigger audit: seeded faults found, %", 100 * found / sown, 100, how, least=True),
        Figure("trigger audit: faults said that are none", said, 0),
    ]
