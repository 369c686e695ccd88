"""Documents and exports as a real instance answered them, fresh for each test, and a workflow full of secrets."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

_FOLDER = Path(__file__).parent / "samples"


def text(name: str) -> str:
    return (_FOLDER / name).read_text("utf-8")


def draft() -> dict[str, Any]:
    return dict(json.loads(text("draft.json")))


def published() -> dict[str, Any]:
    return dict(json.loads(text("published.json")))


def chat() -> dict[str, Any]:
    return dict(json.loads(text("chat.json")))


def node(key: str, kind: str, /, **data: Any) -> dict[str, Any]:
    return {"id": key, "type": "custom", "data": {"type": kind, "title": key.upper(), **data}}


def workflow(*nodes: dict[str, Any], **parts: Any) -> dict[str, Any]:
    return {
        "graph": {"nodes": list(nodes), "edges": []},
        "features": {},
        "environment_variables": [],
        "conversation_variables": [],
        **parts,
    }


def env(name: str, value: object, kind: str = "secret") -> dict[str, Any]:
    return {"id": f"id-{name}", "name": name, "value": value, "value_type": kind, "description": ""}


def http(**data: Any) -> dict[str, Any]:
    return workflow(node("http1", "http-request", **data))
