"""Workflows used as tools: their tokens stand on the tool's node, and again in a run of their own.

The server links neither to the other. A tool's call is that of an inner run when a run of another app of the same
instance began and ended within it and used exactly as many tokens; each run answers for one call. Such a call is left
out, for its run is counted by itself; without such a run in the history, the call counts.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from difyops.cost.leaves import Leaf
from difyops.cost.runs import PricedQuestion
from difyops.history import archive
from difyops.history.apps import PRODUCTION, KeptApp, kept_apps
from difyops.history.store import OPEN, History

_OFF = 2.0  # seconds: times of day are whole ones, and the inner row is written a moment later


@dataclass(frozen=True, slots=True)
class _Inner:
    app: str
    id: str
    started: float
    finished: float


def without_inner(
    history: History, question: PricedQuestion, calls: Iterable[tuple[KeptApp, Leaf]]
) -> tuple[list[tuple[KeptApp, Leaf]], int]:  # fmt: skip
    """Return the tool calls that count, and the tokens of those that are runs of their own."""
    waiting = sorted(calls, key=lambda pair: pair[1].began or 0.0)
    if not waiting:
        return [], 0
    began = [leaf.began for _, leaf in waiting if leaf.began is not None]
    inner = _by_tokens(history, question, min(began, default=question.since), {leaf.tokens for _, leaf in waiting})
    left, tokens, taken = [], 0, set[tuple[str, str]]()
    for app, leaf in waiting:
        run = next(
            (run for run in inner[leaf.tokens] if _is_of(run, app, leaf) and (run.app, run.id) not in taken), None
        )
        if run is None:
            left.append((app, leaf))
        else:
            taken.add((run.app, run.id))
            tokens += leaf.tokens
    return left, tokens


def _is_of(run: _Inner, app: KeptApp, leaf: Leaf) -> bool:
    if run.app == app.id or leaf.began is None:
        return False
    end = leaf.ended if leaf.ended is not None else leaf.began
    return leaf.began - _OFF <= run.started <= end + _OFF and run.finished <= end + _OFF


def _by_tokens(
    history: History, question: PricedQuestion, since: float, sizes: set[int]
) -> dict[int, list[_Inner]]:  # fmt: skip
    found: dict[int, list[_Inner]] = defaultdict(list)
    listed = ", ".join(f"'{name}'" for name in PRODUCTION)
    for app in kept_apps(history, question.context):
        rows = archive.both(
            history, "run", "id, started, finished, tokens",
            "context = ? AND app = ? AND started >= ? AND started < ? AND tokens > 0"
            f" AND source IN ({listed}) AND status NOT IN {OPEN!r}",
            [question.context, app.id, since - _OFF, question.until + 86400], question.place(app),
        )  # fmt: skip
        for run, started, finished, tokens in rows:
            if tokens in sizes:
                found[tokens].append(_Inner(app.id, run, started, finished or started))
    return found
