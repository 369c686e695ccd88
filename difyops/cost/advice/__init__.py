"""What would cost less: one rule a file. A rule reads what was recorded of an app and tells what could be saved.

A module is a rule: its file name is its name, its docstring the help, ``advise`` yields advice. A saving is a range:
what the records prove at least, and what is possible at most, in money of a thousand runs by the dated list. Others
add theirs under the entry points ``difyops.cost_advice``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal

from difyops.cost.knowledge import Retrieval
from difyops.cost.money import tidy
from difyops.cost.prices import ModelRate
from difyops.plugins import Registry

LEAST = 20  # calls; fewer say nothing
MODEL_TYPES = ("llm", "question-classifier", "parameter-extractor")
_PER = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeCall:
    """One recorded call of a node; ``weight`` is one over the chance that its run was read. Sizes in characters."""

    run: str
    weight: float
    prompt: int
    completion: int
    prompt_size: int
    output_size: int
    prefix: str
    output: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AdviceNode:
    """What is recorded of one node, and what its newest version reads. ``rate``: its list price, ``None`` unpriced.

    ``contents``: what it put out, where content is kept. ``retrieval``: how a retrieval node is set and what its
    datasets are like, where the server could be asked.
    """

    id: str
    title: str
    type: str
    provider: str
    model: str
    calls: Sequence[NodeCall] = field(repr=False)
    reads: tuple[str, ...] = ()
    rate: ModelRate | None = None
    contents: Sequence[str] = field(default=(), repr=False)
    retrieval: Retrieval | None = None

    def mean(self, values: Sequence[float]) -> float:
        """Return the mean of one value a call, weighted."""
        total = sum(call.weight for call in self.calls)
        return (
            sum(call.weight * value for call, value in zip(self.calls, values, strict=True)) / total if total else 0.0
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class AppRecord:
    """What is recorded of an app: ``runs`` is the weighted number of those that were read."""

    app: str
    runs: float
    days: float
    nodes: Mapping[str, AdviceNode]

    def readers(self, node: str) -> list[AdviceNode]:
        """Return the nodes that read from a node."""
        return [item for item in self.nodes.values() if node in item.reads]

    def per_thousand(self, node: AdviceNode, tokens: float, price: Decimal) -> Decimal:
        """Return what a number of tokens in every call of a node comes to in a thousand runs."""
        calls = sum(call.weight for call in node.calls) / self.runs if self.runs else 0.0
        return tidy(round(Decimal(repr(calls * tokens * _PER)) * price, 6))


@dataclass(frozen=True, slots=True, kw_only=True)
class Saving:
    """What could be saved in a thousand runs, at least and at most; ``basis`` says how that was found."""

    low: Decimal
    high: Decimal
    currency: str
    basis: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CostAdvice:
    """One piece of advice. ``saving`` is ``None`` where the model has no price; ``n`` calls stand behind it."""

    rule: str
    node: str
    title: str
    n: int
    evidence: Mapping[str, float | int | str]
    saving: Saving | None
    steps: tuple[str, ...]


RULES = Registry(package=__name__, group="difyops.cost_advice", member="advise", word="cost rule")
