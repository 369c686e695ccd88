"""Datasets as checks and actions name them: by id or exact name."""

from __future__ import annotations

from typing import Any

from difyops.api.instance import Instance
from difyops.counting import counted
from difyops.errors import SelectorError


async def datasets_named(instance: Instance, wanted: list[str] | None) -> list[dict[str, Any]]:
    """Return the datasets with these ids or names; all of them without any, or for ``all``.

    Raises:
        SelectorError: one does not exist (or means several); lists what there is.
    """
    rows = [row async for row in instance.workspace.datasets()]
    if not wanted or wanted == ["all"]:
        return rows
    found = []
    for word in wanted:
        matches = [row for row in rows if word in (row.get("id"), row.get("name"))]
        if len(matches) != 1:
            known = ", ".join(sorted({str(row.get("name")) for row in rows})[:12]) or "none"
            said = f"{word!r} means {counted(len(matches), 'dataset')}" if matches else f"There is no dataset {word!r}"
            raise SelectorError(f"{said}.", hint=f"There are: {known}.")
        found += matches
    return found
