"""A workflow that asks a person, put into an emulator."""

from __future__ import annotations

from typing import Any

from difyops.emulator import Emulator
from difyops.emulator.shapes import JsonDict
from difyops.emulator.store import App

NOTE = {"type": "paragraph", "output_variable_name": "note",
        "default": {"type": "constant", "selector": [], "value": ""}}  # fmt: skip
ACTIONS = [{"id": "ok", "title": "Approve", "button_style": "primary"}, {"id": "no", "title": "Reject"}]


def graph_with_person(actions: list[dict[str, Any]] | None = None, **settings: Any) -> JsonDict:
    """Return start -> person -> one end for each action."""
    actions = actions or ACTIONS
    form = {"type": "human-input", "title": "Approval", "form_content": "May {{#start.text#}}? {{#$output.note#}}",
            "inputs": [NOTE], "user_actions": actions, "timeout": 1, "timeout_unit": "hour", **settings}  # fmt: skip
    variable = {"variable": "text", "label": "text", "type": "text-input", "required": True, "options": []}
    nodes: list[JsonDict] = [
        {"id": "start", "data": {"type": "start", "title": "Start", "variables": [variable]}},
        {"id": "ask", "data": form},
    ]
    edges: list[JsonDict] = [{"source": "start", "target": "ask", "sourceHandle": "source"}]
    for action in actions:
        end = f"end-{action['id']}"
        outputs = [{"variable": "note", "value_selector": ["ask", "note"], "value_type": "string"},
                   {"variable": "took", "value_selector": ["start", "text"], "value_type": "string"}]  # fmt: skip
        nodes.append({"id": end, "data": {"type": "end", "title": end, "outputs": outputs}})
        edges.append({"source": "ask", "target": end, "sourceHandle": action["id"]})
    return {"nodes": nodes, "edges": edges}


def with_person(emulator: Emulator, name: str = "wf-echo", **settings: Any) -> App:
    """Put the graph live in a known workflow app, and return the app."""
    app = emulator.app_named(name)
    assert app.live is not None
    app.live.store_graph(graph_with_person(**settings), app.live.features)
    return app
