"""Stretches of time: what is missing of one, given what is covered."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from difyops.history.store import Stretch


@dataclass(frozen=True, slots=True, kw_only=True)
class Gap:
    """From ``t0`` to ``t1`` nothing is known to be complete."""

    t0: float
    t1: float


def gaps(covered: Sequence[Stretch], since: float, until: float) -> list[Gap]:
    """Return what is missing between ``since`` and ``until``, oldest first."""
    found: list[Gap] = []
    at = since
    for stretch in covered:
        if stretch.t0 > at and at < until:
            found.append(Gap(t0=at, t1=min(stretch.t0, until)))
        at = max(at, stretch.t1)
    if at < until:
        found.append(Gap(t0=at, t1=until))
    return found
