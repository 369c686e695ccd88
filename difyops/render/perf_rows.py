"""Figures of performance as flat rows, for ``-o ndjson`` and ``-o csv``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from difyops.perf.nodes import NodeProfile
    from difyops.perf.summary import Period
    from difyops.statistics import Interval, Quantile


def period_row(source: str, found: Period) -> dict[str, object]:
    """Return a period as one flat row."""
    return {
        "source": source, "since": found.since, "until": found.until, "runs": found.runs, **found.statuses,
        "succeeded_share": found.success.share, "minimum": found.minimum, "average": found.average,
        "maximum": found.maximum, **percentile_columns(found.percentiles), "tokens": found.tokens,
    }  # fmt: skip


def node_row(node: NodeProfile) -> dict[str, object]:
    """Return a node as one flat row."""
    found: dict[str, object] = {"node": node.node, "title": node.title, "type": node.type, "n": node.n}
    found |= percentile_columns(node.percentiles)
    return found | {
        "failed": node.failures.hits, "seen": node.failures.n, "retries": node.retries,
        **_bounds("retries", node.retries_interval), "retry_seconds": node.retry_seconds,
        **_bounds("retry_seconds", node.retry_seconds_interval), "path_share": node.path_share,
        **_bounds("path_share", node.path_interval), "drag": node.drag, **_bounds("drag", node.drag_interval),
        "tail": node.tail, "variance_share": node.variance_share,
        **_bounds("variance_share", node.variance_interval), "tokens": node.tokens,
        **_bounds("tokens", node.tokens_interval),
    }  # fmt: skip


def percentile_columns(found: Sequence[Quantile]) -> dict[str, object]:
    """Return percentiles as p50, p50_low, p50_high, ...; blank where none is told."""
    row: dict[str, object] = {}
    for item in found:
        name = f"p{100 * item.share:g}"
        row |= {name: item.value, **_bounds(name, item.interval)}
    return row


def _bounds(name: str, found: Interval | None) -> dict[str, object]:
    return {f"{name}_low": found and found.low, f"{name}_high": found and found.high}
