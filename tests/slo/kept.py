"""A history that is written down row by row, so that every event of a test is known."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime

from difyops.history.store import Batch, History, Stretch

CONTEXT = "prod"
NOW = datetime(2026, 10, 28, 12, 0, tzinfo=UTC)
AT = NOW.timestamp()
HOUR, DAY = 3600.0, 86400.0


@dataclass
class App:
    """One app with runs."""

    history: History
    id: str = "11111111-0000-4000-8000-000000000001"
    name: str = "support"
    mode: str = "workflow"
    context: str = CONTEXT
    count: int = 0
    rows: list[tuple] = field(default_factory=list)
    nodes: list[tuple] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.history.note_app(self.context, self.id, name=self.name, mode=self.mode)

    def run(
        self, at: float, status: str = "succeeded", *, elapsed: float | None = 1.0, source: str = "app-run",
        kind: str = "", node: tuple[str, str] | None = None, version: str = "2026-10-01 00:00:00.000001",
    ) -> str:  # fmt: skip
        """Add a run; ``node`` is type and kind of trouble of the node that failed."""
        self.count += 1
        run = f"{self.id[:8]}-{self.count:06}"
        times = (at, at, at + (elapsed or 0), elapsed)
        self.rows.append((self.context, self.id, run, source, status, *times, version, 10, 3, 0, kind, "u", "", ""))
        if node is not None:
            self.nodes.append((self.context, self.id, run, f"{run}-n", 2, "n", node[0], "N", "failed", at, at + 1, 1.0,
                               node[1], 0, "", None, 0, "", "", None, None, "", "", None, "", "", 0, "", 0, "", 0,
                               ""))  # fmt: skip
        return run

    def spread(self, count: int, since: float, until: float, status: str = "succeeded", **fields) -> None:
        """Add runs at even distances."""
        for number in range(count):
            self.run(since + (until - since) * (number + 0.5) / count, status, **fields)

    def write(self, *, upto: float = AT, since: float = AT - 40 * DAY) -> None:
        """Write everything, covered up to a moment."""
        feed = {"workflow": "logs", "advanced-chat": "app-run"}.get(self.mode, "messages")
        stretch = Stretch(t0=since, t1=upto, rows=len(self.rows))
        batch = Batch(rows={"run": self.rows, "node": self.nodes}, stretch=stretch)
        self.history.write(self.context, self.id, feed, batch)
        self.rows, self.nodes = [], []


def written(apps: Iterable[App]) -> None:
    """Write several apps."""
    for app in apps:
        app.write()
