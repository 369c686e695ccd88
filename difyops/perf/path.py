"""``perf path``: the waterfall of one run, its critical path marked."""

from __future__ import annotations

from difyops.errors import UsageError
from difyops.history import archive
from difyops.history.apps import ENDED
from difyops.history.store import History
from difyops.perf.facts import ReadFacts, Scope, nodes_of, runs, sampled, shapes
from difyops.perf.timeline import Timeline, plan, timeline


def path_of(history: History, context: str, wanted: str) -> tuple[str, Timeline]:
    """Return the app's name and the timeline of the run that ``wanted`` (its id, or the beginning of it) means.

    Raises:
        UsageError: no such run is kept, several begin so, or its node records were not read.
    """
    columns, test = "app, id, started, version", "context = ? AND id >= ? AND id < ? LIMIT 2"
    rows = archive.anywhere(history, "run", columns, test, [context, wanted, wanted + "\U0010ffff"])
    if len(rows) != 1:
        word = "several" if rows else "no"
        raise UsageError(f"{wanted!r} means {word} runs that are kept.", hint="difyops history sync")
    app, run, started, version = rows[0]
    name = history.one("SELECT name FROM app WHERE context = ? AND id = ?", [context, app]) or app
    scope = Scope(context=context, app=app, name=name, since=started, until=started + 1, version=version)
    found = next((read for read in sampled(history, scope, most=10**9) if read.run.id == run), None)
    found = found or _unweighted(history, scope, run)
    if found is None or not found.nodes:
        raise UsageError(
            f"The node records of run {run} were not read.", hint="difyops history sync --nodes 100% reads them all."
        )
    return name, timeline(plan(found.run, found.nodes, shapes(history, scope).get(version)))


def _unweighted(history: History, scope: Scope, run: str) -> ReadFacts | None:
    """Return a run whose chance is not known (another was read in its place): fit to be shown, not to be counted."""
    found = next((item for item in runs(history, scope) if item.id == run and item.status in ENDED), None)
    if found is None:
        return None
    return ReadFacts(run=found, reason="", chance=1.0, nodes=tuple(nodes_of(history, scope, [run]).get(run, ())))
