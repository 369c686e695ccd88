"""Credentials that a document names and the workspace has not: restore, rollback and runbooks look for them alike.

A tool of a workflow or agent may name one credential by its id; once that is deleted the node fails for good.
"""

from __future__ import annotations

from collections.abc import Iterable

from difyops.api.instance import Instance
from difyops.dsl.model import ToolUse


async def lost_credentials(instance: Instance, used: Iterable[ToolUse]) -> list[tuple[str, str]]:
    """Return ``(provider, credential id)`` of each credential that these tools name and that is not there, sorted.

    Nothing is found on servers that keep one credential per tool (before 1.7).
    """
    if not instance.capabilities.can("tool_credentials"):
        return []
    named = {(provider, credential) for provider, kind, _, credential in used if credential and kind == "builtin"}
    known: set[tuple[str, str]] = set()
    for provider in sorted({provider for provider, _ in named}):
        rows = await instance.workspace.tool_credentials(provider)
        known |= {(provider, str(row.get("id"))) for row in rows}
    return sorted(named - known)
