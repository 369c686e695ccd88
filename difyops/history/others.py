"""What other machines have read, where several share the ledger: each tells what its history covers after a sync.

A machine believes only its own coverage, for the rows are there. Of the others it knows what they cover, and so who has
what is missing here: a server keeps its log for some weeks, the other machine may have read it in time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from difyops.history.gaps import gaps
from difyops.history.store import History
from difyops.ledger import Ledger, this_host

Coverage = Mapping[str, Mapping[str, Sequence[tuple[float, float]]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Elsewhere:
    """Another machine, as of its newest sync. ``is_whole``: it left no gap and no app out.

    ``covered`` holds its stretches by app and list; ``fills`` counts the gaps of this machine in which it has read.
    """

    host: str
    until: datetime
    is_whole: bool
    fills: int = 0
    covered: Coverage = field(default_factory=dict, repr=False)


def tell_others(ledger: Ledger, history: History, context: str, *, until: float, is_whole: bool) -> None:
    """Tell what this machine's history of a context covers, in the place of what it told before."""
    covered: dict[str, dict[str, list[tuple[float, float]]]] = {}
    for app, feed in _feeds(history, context):
        covered.setdefault(app, {})[feed] = [(item.t0, item.t1) for item in history.stretches(context, app, feed)]
    value = {"host": this_host(), "until": until, "is_whole": is_whole, "covered": covered}
    ledger.note(f"{_prefix(context)}{this_host()}", value)


def elsewhere(ledger: Ledger, history: History, context: str) -> list[Elsewhere]:
    """Return what each other machine told, by its name, and how many gaps here it could fill."""
    missing = {
        (app, feed): gaps(found, found[0].t0, found[-1].t1)
        for app, feed in _feeds(history, context)
        if (found := history.stretches(context, app, feed))
    }
    told = []
    for value in ledger.notes(_prefix(context)).values():
        covered = {
            app: {feed: [(float(t0), float(t1)) for t0, t1 in pairs] for feed, pairs in feeds.items()}
            for app, feeds in value["covered"].items()
        }
        fills = sum(
            any(t0 < gap.t1 and t1 > gap.t0 for t0, t1 in covered.get(app, {}).get(feed, ()))
            for (app, feed), found in missing.items()
            for gap in found
        )
        told.append(
            Elsewhere(
                host=str(value["host"]), until=datetime.fromtimestamp(value["until"], UTC),
                is_whole=bool(value["is_whole"]), fills=fills, covered=covered,
            )
        )  # fmt: skip
    return sorted((item for item in told if item.host != this_host()), key=lambda item: item.host)


def _prefix(context: str) -> str:
    return f"history of {context} on "


def _feeds(history: History, context: str) -> list[tuple[str, str]]:
    query = "SELECT DISTINCT app, feed FROM covered WHERE context = ? ORDER BY app, feed"
    return [(str(app), str(feed)) for app, feed in history.all(query, [context])]
