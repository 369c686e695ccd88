"""Whose failure a run is. The one classifier: goals, reports and runbooks that tell failures apart ask here.

good       succeeded, also with exceptions that the workflow caught
ours       the workflow, its code, its keys, the platform: also whatever cannot be told apart
provider   a model provider was down, too slow, or refused for its rate or quota
caller     the reader left, or what was handed in did not fit
stopped    somebody stopped it
paused     it waits for a person
running    it has not ended
gone       the server does not know it any more

A key that a provider refuses is ours: we keep it. A service that a workflow calls over HTTP is ours to choose. What is
judged is the node that failed; where its records were not read, what the same trouble of the same app was elsewhere,
and else only a rate limit is taken for the provider's.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

GOOD, OURS, PROVIDER, CALLER = "good", "ours", "provider", "caller"
STOPPED, PAUSED, RUNNING, GONE = "stopped", "paused", "running", "gone"
CLASSES = (GOOD, OURS, PROVIDER, CALLER, STOPPED, PAUSED, RUNNING, GONE)
ASKS_MODELS = frozenset({"llm", "agent", "question-classifier", "parameter-extractor", "knowledge-retrieval"})
_ELSEWHERE = frozenset({"rate_limit", "timeout", "unavailable"})
_BY_STATUS = {
    "succeeded": GOOD,
    "partial-succeeded": GOOD,
    "cut-off": CALLER,
    "stopped": STOPPED,
    "paused": PAUSED,
    "running": RUNNING,
    "gone": GONE,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class FailedRun:
    """A failed run: its kind of trouble, and type and trouble of the node that failed (blank where not read)."""

    kind: str
    node_type: str = ""
    node_kind: str = ""
    has_nodes: bool = True


def by_status(status: str) -> str | None:
    """Return the class that a status alone decides; ``None`` for a failure, and for a status nobody knows."""
    return _BY_STATUS.get(status)


def whose(failed: Mapping[str, FailedRun]) -> dict[str, str]:
    """Return the class of each failed run of one app, by the runs' ids."""
    found = {run: _by_node(item) for run, item in failed.items()}
    alike: dict[str, Counter[str]] = {}
    for run, item in failed.items():
        if (name := found[run]) is not None and item.node_type:
            alike.setdefault(item.kind, Counter())[name] += 1
    return {run: name or _by_likeness(failed[run], alike.get(failed[run].kind)) for run, name in found.items()}


def shares(classes: Iterable[str]) -> dict[str, int]:
    """Return how many there are of each class, in the order of ``CLASSES``."""
    counts = Counter(classes)
    return {name: counts[name] for name in CLASSES if counts[name]}


def _by_node(item: FailedRun) -> str | None:
    """Return whose failure it is by the node that failed, or by the message of an app without nodes."""
    if item.kind == "stopped" or item.node_kind == "stopped":
        return STOPPED
    if not item.has_nodes:
        return PROVIDER if item.kind in _ELSEWHERE else OURS
    if not item.node_type:
        return None
    if item.node_type in ASKS_MODELS:
        return PROVIDER if (item.node_kind or item.kind) in _ELSEWHERE else OURS
    return CALLER if item.node_type == "start" else OURS


def _by_likeness(item: FailedRun, alike: Counter[str] | None) -> str:
    if alike:
        return alike.most_common(1)[0][0]
    return PROVIDER if item.kind == "rate_limit" else OURS
