"""Model providers as checks and actions need them: found by a short or full name, their paths, their masks."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from difyops.api.console import HIDDEN
from difyops.requirements import same_provider

__all__ = ["HIDDEN", "credential_path", "credentials_of", "is_mask", "provider_named", "same_provider"]

_STARS = 6


def provider_named(rows: Iterable[dict[str, Any]], wanted: str) -> dict[str, Any] | None:
    """Return the row of ``model-providers`` with that name, the exact one first."""
    found = list(rows)
    exact = [row for row in found if row.get("provider") == wanted]
    close = [row for row in found if same_provider(str(row.get("provider")), wanted)]
    return next(iter([*exact, *close]), None)


def credential_path(provider: str) -> str:
    """Return the console path of a provider's credentials (slashes stay as they are)."""
    return f"/workspaces/current/model-providers/{provider}/credentials"


def credentials_of(row: dict[str, Any]) -> tuple[list[dict[str, Any]], str | None]:
    """Return a provider's credentials (``credential_id``, ``credential_name``) and the id of the current one."""
    configuration = row.get("custom_configuration") or {}
    found = [item for item in configuration.get("available_credentials") or () if isinstance(item, dict)]
    current = configuration.get("current_credential_id")
    return found, str(current) if current else None


def is_mask(value: object) -> bool:
    """Say whether a value is a server's mask of a secret."""
    return isinstance(value, str) and "*" * _STARS in value
