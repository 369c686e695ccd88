"""Advice: one rule a file. A rule looks at what was kept of an app and says what to change, why, and what it brings.

A module here is a rule: its file name begins with its id, its docstring is its help, ``CATEGORY`` is one of six,
``LEAST`` how many runs it needs, and ``advise`` yields findings. Gains come from computing schedules anew. Nobody's
texts are needed, and no model is asked.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Protocol, cast

from difyops.perf.facts import NodeFact, ReadFacts, RunFact
from difyops.perf.timeline import Timeline, TimelinePlan
from difyops.statistics import weighted_quantile

CATEGORIES = ("performance", "cost", "reliability", "scalability", "best practices", "parallelization")
SEVERITIES = ("critical", "high", "medium", "low", "info")


@dataclass(frozen=True, slots=True, kw_only=True)
class Gain:
    """What a change would bring: from ``low`` to ``high`` for four runs of five, in ``unit``; how it was found."""

    low: float
    high: float
    unit: str
    basis: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AdviceFinding:
    """One piece of advice. ``id`` is stable: rule and nodes. ``evidence`` holds numbers; ``n`` is on how many."""

    id: str
    severity: str
    title: str
    n: int
    evidence: Mapping[str, float | int | str]
    gain: Gain | None
    steps: tuple[str, ...]
    example: str


@dataclass(frozen=True, kw_only=True)
class AdviceCase:
    """What is known of an app: its runs, the runs that were read with their plans and timelines, the newest graph."""

    runs: Sequence[RunFact]
    reads: Sequence[ReadFacts]
    plans: Sequence[TimelinePlan] = field(repr=False)
    lines: Sequence[Timeline] = field(repr=False)
    shape: Mapping[str, Any] | None

    @cached_property
    def weights(self) -> list[float]:
        """Return one over the chance of each run that was read."""
        return [1 / read.chance for read in self.reads]

    @cached_property
    def average(self) -> float:
        """Return the weighted mean length of a run."""
        total = sum(one * line.total for one, line in zip(self.weights, self.lines, strict=True))
        return total / sum(self.weights) if self.reads else 0.0

    @cached_property
    def nodes(self) -> dict[str, dict[str, Any]]:
        """Return the nodes of the newest graph by id."""
        return {node["id"]: node for node in (self.shape or {}).get("nodes", ())}

    @cached_property
    def rows(self) -> dict[str, list[NodeFact]]:
        """Return the final rows of all runs that were read, by node."""
        found: dict[str, list[NodeFact]] = {}
        for read in self.reads:
            for row in read.nodes:
                if not row.attempt:
                    found.setdefault(row.node, []).append(row)
        return found

    @cached_property
    def by_chance(self) -> list[tuple[ReadFacts, Timeline]]:
        """Return the runs that were drawn by chance, or all of them: without those that were read for being slow or
        failed, which would weigh too much in a count.
        """
        pairs = zip(self.reads, self.lines, strict=True)
        return [(read, line) for read, line in pairs if read.reason in ("drawn", "all")]

    def title(self, node: str) -> str:
        """Return what people call a node."""
        return str(self.nodes.get(node, {}).get("title") or node)

    def gain(self, factor: Callable[[NodeFact], float], basis: str) -> Gain | None:
        """Return what runs would save with these factors, in seconds; ``None`` if nothing."""
        saved = [plan.actual - plan.total(factor) for plan in self.plans]
        return self.range_of(saved, "s a run", basis)

    def range_of(self, values: Sequence[float], unit: str, basis: str) -> Gain | None:
        """Return the range of values over the runs that were read; ``None`` if it is nothing."""
        pairs = list(zip(values, self.weights, strict=True))
        low, high = weighted_quantile(pairs, 0.1).value, weighted_quantile(pairs, 0.9).value
        if low is None or high is None or high <= 0:
            return None
        return Gain(low=max(0.0, low), high=high, unit=unit, basis=basis)

    def severity(self, gain: Gain | None) -> str:
        """Return how much a saving of time matters: by its middle as a share of the average run."""
        if gain is None or self.average <= 0:
            return "info"
        part = (gain.low + gain.high) / 2 / self.average
        return next((word for limit, word in ((0.5, "high"), (0.2, "medium"), (0.05, "low")) if part >= limit), "info")


class AdviceRule(Protocol):
    """What a module of this folder has."""

    __name__: str
    __doc__: str | None
    CATEGORY: str
    LEAST: int

    @staticmethod
    def advise(case: AdviceCase) -> Iterator[AdviceFinding]:
        """Yield what to change."""
        ...


def rules() -> dict[str, AdviceRule]:
    """Return the rules by id, in order."""
    names = sorted(item.name for item in pkgutil.iter_modules(__path__) if item.name[0] == "p")
    return {
        name.split("_")[0].upper(): cast(AdviceRule, importlib.import_module(f"{__name__}.{name}")) for name in names
    }
