"""The node that failed in a run which is not in the history yet, read from the server: what ``whose`` judges by."""

from __future__ import annotations

from collections.abc import Iterable

from difyops.api.instance import Instance
from difyops.api.model import App
from difyops.api.run_feed import node_rows
from difyops.api.run_records import NodeRecord, error_kind
from difyops.errors import DifyopsError
from difyops.history.failures import FailedRun

_BROKE = ("failed", "exception")


async def failure_of(instance: Instance, app: App, run_id: str | None, error: str) -> FailedRun:
    """Return what is known of one failed run; its nodes are left out where they cannot be read.

    ``run_id``: of the workflow run, ``None`` where there is none.
    """
    kind = error_kind(error) or "other"
    if not app.has_workflow:
        return FailedRun(kind=kind, has_nodes=False)
    if run_id is None:
        return FailedRun(kind=kind)
    try:
        rows = [NodeRecord.of(row) for row in await node_rows(instance, app.id, run_id)]
    except DifyopsError:
        return FailedRun(kind=kind)
    node = failing_node(rows)
    if node is None:
        return FailedRun(kind=kind)
    return FailedRun(kind=kind, node_type=node.type, node_kind=error_kind(node.error) or kind)


def failing_node(rows: Iterable[NodeRecord]) -> NodeRecord | None:
    """Return the node that broke last; failed tries that were repeated do not count."""
    broke = [row for row in rows if row.status in _BROKE and not row.attempt]
    return max(broke, key=lambda row: (row.finished or row.started, row.index), default=None)
