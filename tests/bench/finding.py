"""Figures of finding secrets: what of the tables of placements is found, how much is sealed in public apps, how fast.

``BENCH_DSLS`` names a folder of exported apps that others published; without it their rows are not measured. All that
is found there counts as sealed by mistake, although many of these files do hold keys: the figure is an upper bound.
"""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from difyops.dsl import secret_shapes, secret_texts
from difyops.dsl.load import dump_yaml, load_dsl
from difyops.dsl.model import DslError
from difyops.dsl.secret_places import found_in
from tests.bench.table import Figure
from tests.dsl import placements

TABLES = (
    ("secrets found, places crossed with formats", placements.generated),
    ("secrets found, lines as people write them", placements.by_hand),
    ("secrets found, lines as they are seldom written", placements.unusual),
    ("secrets found, no known name before them", placements.anywhere),
)


def main() -> list[Figure]:
    """Measure everything and return the figures."""
    return [*found(), *public(os.environ.get("BENCH_DSLS", "")), speed()]


def found() -> list[Figure]:
    """Return the share of each table that is found whole."""
    figures = []
    for name, table in TABLES:
        items = list(table())
        total = sum(len(item.secrets) for item in items)
        missed = sum(len(placements.missed(item)) for item in items)
        figures.append(Figure(name, 1 - missed / total, 0.98, f"{total} secrets", least=True))
    return figures


def public(folder: str) -> list[Figure]:
    """Count what is sealed in each file of ``folder``."""
    if not folder:
        return [Figure("sealed in public apps", float("nan"), None, "not measured: BENCH_DSLS names no folder")]
    files = list(documents(Path(folder)))
    counts = sorted(sum(map(len, found_in(document).values())) for _, document in files)
    _forget()
    started = time.process_time()
    for _, document in files:
        found_in(document)
    rate = sum(size for size, _ in files) / 1e6 / (time.process_time() - started)
    note = f"{len(files)} files of others, real keys counted too"
    return [
        Figure("sealed in a public app, median", statistics.median(counts), 0.0, note),
        Figure("sealed in a public app, 95 % of files at most", float(counts[int(0.95 * len(counts))]), 3.0, note),
        Figure("finding, MB of public apps a second", rate, 5.0, note, least=True),
    ]


def documents(folder: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield the size and the content of each app in ``folder``."""
    for path in sorted([*folder.rglob("*.yml"), *folder.rglob("*.yaml")]):
        try:
            text = path.read_text(encoding="utf-8")
            dsl = load_dsl(text)
        except (DslError, UnicodeDecodeError):
            continue
        yield len(text.encode()), dsl.get("workflow") or {"model_config": dsl.get("model_config")}


def _forget() -> None:
    secret_texts.forget()
    secret_shapes.forget()


def speed() -> Figure:
    """Return how many MB of DSL text are gone through in a second, on the placements as exported apps."""
    items = [item.document for item in (*placements.generated(), *placements.by_hand(1))]
    size = sum(len(dump_yaml(item).encode()) for item in items) / 1e6
    rates = []
    for _ in range(5):
        _forget()
        started = time.process_time()
        for item in items:
            found_in(item)
        rates.append(size / (time.process_time() - started))
    return Figure("finding, MB a second where every text holds a secret", max(rates), None, f"{len(items)} documents")


if __name__ == "__main__":
    from tests.bench.table import table

    print(table(main()))
