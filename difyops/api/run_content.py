"""What a run, or an answered message, came to: its text and its outputs, as the console tells them.

workflow, advanced-chat   ``GET /apps/APP/workflow-runs/RUN``
the others                ``GET /apps/APP/messages/MESSAGE`` (chatflows too, where their runs are not listed)
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from difyops.api import answers
from difyops.api.instance import Instance
from difyops.api.model import App
from difyops.api.paths import part
from difyops.api.run_answer import text_of


@dataclass(frozen=True, slots=True, kw_only=True)
class RunContent:
    """The answer as text, and the outputs by name."""

    answer: str = ""
    outputs: Mapping[str, Any] = field(default_factory=dict)


async def content_of(instance: Instance, app: App, run_id: str) -> RunContent:
    """Return what a run came to.

    Raises:
        DifyopsError: it cannot be read.
    """
    is_flow = app.mode == "workflow" or (app.mode == "advanced-chat" and instance.capabilities.can("runs_by_trigger"))
    if not is_flow:
        path = f"/apps/{part(app.id)}/messages/{part(run_id)}"
        row = await instance.console.get(path, doing="read an answer", shape=answers.run(run_id))
        return RunContent(answer=str(row.get("answer") or ""))
    path = f"/apps/{part(app.id)}/workflow-runs/{part(run_id)}"
    row = await instance.console.get(path, doing="read a run", shape=answers.run(run_id))
    outputs = _mapping(row.get("outputs"))
    answer = outputs.get("answer") if app.mode == "advanced-chat" else None
    return RunContent(answer=str(answer) if answer is not None else text_of(outputs), outputs=outputs)


def _mapping(value: Any) -> Mapping[str, Any]:
    """Return an object that may come as its text."""
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            value = None
    return value if isinstance(value, Mapping) else {}
