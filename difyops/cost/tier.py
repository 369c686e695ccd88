"""The plan of a test: would a smaller model do, what would it save, how many cases show it, what does the test cost.

Nothing is asked here. The number of cases is that of a test for "not worse by more than the margin": no true
difference, and a share of the cases whose verdict changes either way.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from difyops.cost.diff import CHAT, CostDiff, CostSum, compare_costs, priced_nodes
from difyops.cost.money import tidy
from difyops.cost.prices import Prices
from difyops.cost.recorded import RecordedCalls
from difyops.dsl.model import as_dict, as_list
from difyops.errors import UsageError
from difyops.statistics import cases_for_margin

CHANGED = 0.1
_PER = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class TierPlan:
    """The plan. ``saves``: of 1,000 runs, by currency; ``costs``: both sides of ``needed`` cases, by currency; blank
    where a node has no record or no price (``incomplete`` names it). ``margin`` is a share of all cases.
    """

    app: str
    model: str
    nodes: tuple[str, ...]
    margin: float
    changed: float
    needed: int
    calls: int
    saves: tuple[CostSum, ...]
    costs: Mapping[str, Decimal]
    difference: CostDiff
    incomplete: tuple[str, ...]


def plan_tier(
    app: str, document: Mapping[str, Any], model: str, recorded: RecordedCalls, prices: Prices, *, day: int,
    nodes: Sequence[str] = (), margin: float = 0.02,
) -> TierPlan:  # fmt: skip
    """Plan the test of ``model`` (a name, or provider/name) in an app's nodes that call another one.

    Raises:
        UsageError: no node would change, or one that was named is none.
    """
    target, changed = with_model(document, model, nodes)
    found = compare_costs(app, (("as it is", document), (model, target)), recorded, prices, day=day)
    needed = cases_for_margin(margin, CHANGED)
    costs = {item.currency: tidy(round((item.before + item.after) / _PER * needed, 6)) for item in found.sums}
    return TierPlan(
        app=app, model=model, nodes=tuple(changed), margin=margin, changed=CHANGED, needed=needed, calls=2 * needed,
        saves=found.sums, costs=costs, difference=found, incomplete=found.incomplete,
    )  # fmt: skip


def with_model(document: Mapping[str, Any], model: str, nodes: Sequence[str] = ()) -> tuple[dict[str, Any], list[str]]:
    """Return a copy of a document whose nodes (all that call a model, or those named) call ``model``, and their titles.

    Raises:
        UsageError: none would change, or one that was named calls no model.
    """
    provider, _, name = model.rpartition("/")
    known = {key: item for key, item in priced_nodes(document).items() if item.calls_model}
    for wanted in nodes:
        if not any(wanted in (item.id, item.title) for item in known.values()):
            there = ", ".join(item.title for item in known.values()) or "none"
            raise UsageError(f"{wanted!r} is no node that calls a model (there are: {there}).")
    target = copy.deepcopy(dict(document))
    changed = []
    for key, item in known.items():
        if (nodes and item.id not in nodes and item.title not in nodes) or item.model == name:
            continue
        _choose(target, key, provider, name)
        changed.append(item.title)
    if not changed:
        raise UsageError(f"No node would change: all call {name} already, or none calls a model.")
    return target, changed


def _choose(document: dict[str, Any], node: str, provider: str, name: str) -> None:
    """Write another model where a node's is chosen; a blank provider stays as it is."""
    soul = as_dict(document.get("agent_soul"))
    if soul:
        chosen = as_dict(soul.get("model"))
        chosen["model"] = name
        if provider:
            chosen |= {"model_provider": provider, "plugin_id": provider.rpartition("/")[0] or provider}
        return
    place = as_dict(_place(document, node))
    place["name"] = name
    if provider:
        place["provider"] = provider


def _place(document: dict[str, Any], node: str) -> object:
    """Return the dict that chooses the model of a node."""
    if node == CHAT and "model_config" in document:
        return as_dict(document["model_config"]).get("model")
    rows = [item for item in as_list(as_dict(document.get("graph")).get("nodes")) if isinstance(item, dict)]
    return next((as_dict(item.get("data")).get("model") for item in rows if item.get("id") == node), None)
