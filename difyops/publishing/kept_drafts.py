"""Drafts that could not be put back because somebody had saved a newer one, each in a file of its own."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from difyops import atomic_file
from difyops.clock import iso
from difyops.errors import SelectorError, StoreError
from difyops.sealing.access import Access
from difyops.sealing.kept import is_sealed, opened_body, seal_older


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptDraft:
    """A draft that is kept in a private file: its name, whose app, since when. ``document`` may hold secrets; it is
    empty in a list where it ``is_sealed``.
    """

    name: str
    title: str
    app_id: str
    kept_at: str
    place: str
    document: dict[str, Any] = field(repr=False)
    is_sealed: bool = False


def kept_drafts(state: Path) -> list[KeptDraft]:
    """Return the drafts that are kept, oldest first.

    Raises:
        StoreError: a file cannot be read.
    """
    seal_older(state)
    found = [_read(path) for path in sorted((state / "kept").glob("*.json"))]
    return sorted(found, key=lambda item: (item.kept_at, item.name))


def kept_draft(state: Path, name: str, access: Access) -> KeptDraft:
    """Return one kept draft by name, or by the beginning of its name where only one begins so.

    Raises:
        SelectorError: there is none, or several begin so. CannotOpen: it is sealed, and no identity is here.
    """
    every = kept_drafts(state)
    found = [item for item in every if item.name == name] or [item for item in every if item.name.startswith(name)]
    if len(found) != 1:
        known = ", ".join(item.name for item in every) or "none"
        raise SelectorError(f"No one kept draft is called {name!r} (there are: {known}).", hint="difyops changes draft")
    return _read(Path(found[0].place), access)


def _read(path: Path, access: Access | None = None) -> KeptDraft:
    try:
        body = kept = json.loads(atomic_file.read_private(path))
        if access is not None:
            body = opened_body(kept, access)
        document = {} if is_sealed(body) else dict(body["document"])
    except (ValueError, KeyError, TypeError) as error:
        raise StoreError(f"The kept draft {path} is damaged.", hint="Look at it.") from error
    return KeptDraft(
        name=path.stem,
        title=str(body.get("title") or ""),
        app_id=str(body.get("app_id") or ""),
        kept_at=str(body.get("kept_at") or iso(datetime.fromtimestamp(path.stat().st_mtime, UTC))),
        place=str(path),
        document=document,
        is_sealed=is_sealed(kept),
    )
