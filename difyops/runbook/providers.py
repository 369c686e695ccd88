"""Model providers as checks and actions name them: by a short or full name."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from difyops.requirements import same_provider

__all__ = ["provider_named", "same_provider"]


def provider_named(rows: Iterable[dict[str, Any]], wanted: str) -> dict[str, Any] | None:
    """Return the row of ``model-providers`` with that name, the exact one first."""
    found = list(rows)
    exact = [row for row in found if row.get("provider") == wanted]
    close = [row for row in found if same_provider(str(row.get("provider")), wanted)]
    return next(iter([*exact, *close]), None)
