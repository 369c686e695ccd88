"""``difyops schema``: the JSON Schema of what ``-o json`` prints, by kind."""

from __future__ import annotations

import json
from importlib import resources
from typing import Annotated, Any

import typer

from difyops.cli.door import command, group
from difyops.cli.session import Session
from difyops.errors import UsageError
from difyops.outcome import Outcome, Table

noun = group("Print the JSON Schema of what -o json prints.")


@command(noun, "schema")
def schema(
    session: Session,
    kind: Annotated[str | None, typer.Argument(metavar="[JSON-KIND]", help="As the envelope names it.")] = None,
) -> Outcome:
    """Print the JSON Schema of a kind, envelope included; without one, list the kinds.

    Examples:
        difyops schema
        difyops schema app.list
    """
    known = kinds()
    if kind is None:
        rows = [{"kind": name, "data": _summary(name)} for name in known]
        table = Table(columns=("kind", "data"), rows=[tuple(row.values()) for row in rows])
        return Outcome(kind="schema.list", data=rows, blocks=[table], names=known)
    if kind not in known:
        raise UsageError(f"There is no kind {kind!r}.", hint=f"One of: {', '.join(known)}.")
    document = envelope_of(kind)
    raw = (json.dumps(document, indent=2) + "\n").encode()
    return Outcome(kind="schema", data=document, raw=raw, names=[kind])


def kinds() -> list[str]:
    """Return the names of all kinds: one file in ``difyops/schemas`` is one kind."""
    return sorted(item.name.removesuffix(".json") for item in _folder().iterdir() if item.name.endswith(".json"))


def data_of(kind: str) -> dict[str, Any]:
    """Return the schema of the ``data`` of a kind."""
    found: dict[str, Any] = json.loads((_folder() / f"{kind}.json").read_text(encoding="utf-8"))
    return found


def envelope_of(kind: str) -> dict[str, Any]:
    """Return the schema of the whole document: envelope and data. Fields may be added, never taken away."""
    error = {
        "type": ["object", "null"],
        "properties": {
            "code": {"type": "string"},
            "message": {"type": "string"},
            "hint": {"type": ["string", "null"]},
            "retryable": {"type": "boolean"},
            "details": {"type": "object"},
        },
        "required": ["code", "message", "hint", "retryable"],
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": kind,
        "type": "object",
        "properties": {
            "schema": {"const": "difyops/v1"},
            "kind": {"const": kind},
            "ok": {"type": "boolean"},
            "data": data_of(kind),
            "warnings": {"type": "array", "items": {"type": "string"}},
            "error": error,
        },
        "required": ["schema", "kind", "ok", "data", "warnings", "error"],
        "additionalProperties": False,
    }


def _summary(kind: str) -> str:
    """Return what the data is, in a few words."""
    shape = data_of(kind)
    rows = shape.get("items") or shape
    names = list(rows.get("properties") or {})
    what = "rows of " if "items" in shape else ""
    return what + (", ".join(names[:8]) + (", ..." if len(names) > 8 else "") or str(shape.get("type", "anything")))


def _folder() -> Any:
    return resources.files("difyops") / "schemas"
