"""``make bench``: every figure, as a ratio against a raw baseline in the same run. Never a timed test."""

from __future__ import annotations

import importlib
import sys

from tests.bench.table import Figure, table

MODULES = (
    "snapshot",
    "broadcast",
    "validation",
    "reading",
    "slow_inputs",
    "runbook",
    "history",
    "cost",
    "damaged",
    "drill",
    "finding",
    "webhook",
    "trigger",
    "release",
    "whole",
    "fleet",
    "state",
    "trial",
)


def main() -> int:
    """Run the benchmarks named on the command line (default: all) and print one table."""
    figures: list[Figure] = []
    for name in sys.argv[1:] or MODULES:
        figures += importlib.import_module(f"tests.bench.{name}").main()
    print(table(figures))
    return 0 if all(figure.holds for figure in figures) else 1


if __name__ == "__main__":
    raise SystemExit(main())
