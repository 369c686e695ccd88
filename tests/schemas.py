"""What ``-o json`` prints is held to the published schema of its kind, and those schemas are learned from it.

Every envelope that a test sees through the ``cli`` fixture is checked. With ``DIFYOPS_LEARN=FOLDER`` it is kept
instead, and ``python -m tests.schemas FOLDER`` brings ``difyops/schemas`` up to date: types and fields add up, a field
is required while every object had it, so a schema only ever becomes wider; ``--anew`` forgets what it was. A kind
without a file is not checked.

An object whose names are ours is closed: its schema names every field and says which are always there. Open are the
mappings (names of apps, models, causes), and what people or servers fill in (``ANYTHING``).
"""

from __future__ import annotations

import functools
import json
import os
import re
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import jsonschema_rs

from difyops.cli.schema import data_of, kinds, printed_of

PLACE = Path(__file__).parents[1] / "difyops" / "schemas"
_LEARNS = os.environ.get("DIFYOPS_LEARN", "")  # before tests empty the environment
_FIELD = re.compile(r"[a-z][a-z0-9_]{0,40}")
_NEVER_NULL = 12  # and before what was never null counts as that
ANYTHING = frozenset(
    {
        "inputs", "outputs", "with", "data", "evidence", "sealed", "classes", "causes", "document", "graph", "features",
        "details", "parameters", "errors", "repairs", "rungs", "changes[].before", "changes[].after", ".failed",
    }
)  # fmt: skip
"""Fields that hold what people or servers named, or counts of words that come and go; by the field above, too."""
Schema = dict[str, Any]


def hold(printed: str) -> None:
    """Fail when a printed envelope does not fit the schema of its kind; keep it, when schemas are being learned."""
    if not printed.startswith('{\n  "schema": "difyops/v1"'):
        return
    document = json.loads(printed)
    if document["data"] is None:
        return
    if _LEARNS:
        with (Path(_LEARNS) / f"{os.getpid()}.ndjson").open("a") as file:
            file.write(json.dumps({"kind": document["kind"], "data": document["data"]}) + "\n")
        return
    if (check := _checker(document["kind"])) is not None:
        check.validate(document["data"])


@functools.cache
def _checker(kind: str) -> Any:
    return jsonschema_rs.validator_for(printed_of(kind)) if kind in kinds() else None


def shape_of(value: Any) -> Schema:
    """Return the schema of one value; ``seen`` counts objects."""
    if isinstance(value, dict):
        shapes = {name: shape_of(item) for name, item in value.items()}
        if not all(_FIELD.fullmatch(name) for name in value):
            return {
                "type": ["object"],
                "additionalProperties": _all(shapes.values()),
                "seen": 1,
            }
        return {"type": ["object"], "properties": shapes, "required": sorted(value), "seen": 1}
    if isinstance(value, list):
        return {"type": ["array"], "items": _all(map(shape_of, value))}
    names = {bool: "boolean", int: "integer", float: "number", str: "string", type(None): "null"}
    return {"type": [names[type(value)]]}


def _all(shapes: Iterable[Schema]) -> Schema:
    found: Schema = {}
    for shape in shapes:
        found = merged(found, shape)
    return found


def merged(one: Schema, other: Schema) -> Schema:
    """Return the schema of what fits either."""
    if not one or not other:
        return one or other
    types = {*one["type"], *other["type"]}
    if {"integer", "number"} <= types:
        types.discard("integer")
    both: Schema = {"type": sorted(types)}
    if "array" in types:
        both["items"] = merged(one.get("items", {}), other.get("items", {}))
    if "object" in types:
        both |= _merged_objects(one, other)
    return both


def _merged_objects(one: Schema, other: Schema) -> Schema:
    if "additionalProperties" in one or "additionalProperties" in other:
        values = [item for shape in (one, other) for item in (*shape.get("properties", {}).values(),
                  shape.get("additionalProperties", {}))]  # fmt: skip
        return {"additionalProperties": _all(values), "seen": _NEVER_NULL}
    if "object" not in one["type"] or "object" not in other["type"]:
        shape = one if "object" in one["type"] else other
        return {key: shape[key] for key in ("properties", "required", "seen") if key in shape}
    mine, theirs = one["properties"], other["properties"]
    return {
        "properties": {
            name: merged(mine.get(name, {}), theirs.get(name, {})) for name in dict.fromkeys([*mine, *theirs])
        },
        "required": sorted({*one["required"]} & {*other["required"]}),
        "seen": one["seen"] + other["seen"],
    }


def published(shape: Schema, depth: int = 0, name: str = "") -> Schema:
    """Return the schema as it is written; ``depth`` is 0 for the data itself and for its rows, ``name`` its field's."""
    if not shape or shape["type"] == ["null"]:
        return {}
    types = ["number" if each == "integer" else each for each in shape["type"]]  # what was 0 may be 0.5
    if depth and shape.get("of", 0) < _NEVER_NULL and "null" not in types:
        types = [*types, "null"]
    found: Schema = {"type": types[0] if len(types) == 1 else types}
    if "items" in shape:
        found["items"] = published(shape["items"] and shape["items"] | {"of": _NEVER_NULL}, depth, f"{name}[]")
    if "properties" in shape:
        found |= _fields(shape, depth, name)
    if "additionalProperties" in shape:
        found["additionalProperties"] = published(shape["additionalProperties"], depth + 1, f"{name}.*")
    return found


def _fields(shape: Schema, depth: int, name: str) -> Schema:
    """Return what is said of an object's fields: all of them and which are always there, where the names are ours."""
    last = name.rpartition(".")[2]
    fields = {
        key: published(item and item | {"of": shape["seen"]}, depth + 1, f"{last}.{key}")
        for key, item in shape["properties"].items()
    }
    is_ours, whole = not {name, last} & ANYTHING, len(shape["required"]) == len(fields)
    counts = all({*item.get("type", ["null"])} <= {"integer", "number"} for item in shape["properties"].values())
    if fields and counts and not (is_ours and whole):
        return {"additionalProperties": {"type": "number"}}
    if not is_ours or not fields:
        return {}
    closed = {"required": shape["required"], "additionalProperties": False} if shape["required"] else {}
    return {"properties": fields, **closed}


def read(schema: Schema) -> Schema:
    """Return the shape that a written schema stands for."""
    if not schema:
        return {}
    types = schema["type"]
    found: Schema = {"type": [types] if isinstance(types, str) else types}
    if "items" in schema:
        found["items"] = read(schema["items"])
    if schema.get("additionalProperties"):
        found |= {"additionalProperties": read(schema["additionalProperties"]), "seen": _NEVER_NULL}
    elif "object" in found["type"]:
        found["properties"] = {name: read(item) for name, item in schema.get("properties", {}).items()}
        found |= {"required": schema.get("required", []), "seen": _NEVER_NULL if "required" in schema else 1}
    return found


def learn(folder: Path, *, anew: bool = False) -> None:
    """Widen the published schemas by what was kept in ``folder``; ``anew``: those of its kinds begin with nothing."""
    shapes: dict[str, Schema] = {kind: read(data_of(kind)) for kind in kinds()} if not anew else {}
    for file in sorted(folder.glob("*.ndjson")):
        for line in file.read_text().splitlines():
            item = json.loads(line)
            shapes[item["kind"]] = merged(shapes.get(item["kind"], {}), shape_of(item["data"]))
    PLACE.mkdir(exist_ok=True)
    for kind, shape in shapes.items():
        schema = {"type": "object"} if kind == "schema" else published(shape)  # a schema is no row of ours
        (PLACE / f"{kind}.json").write_text(json.dumps(schema, indent=1) + "\n")


if __name__ == "__main__":
    learn(Path(sys.argv[1]), anew="--anew" in sys.argv)
