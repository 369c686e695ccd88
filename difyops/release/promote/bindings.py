"""The bindings file: what stands for what between two contexts. It is committed; secrets stand in it as references.

```yaml
bindings:
  - from: dev
    to: prod
    apps: {support-dev: support}                  # default: the same name
    datasets: {handbook-dev: handbook}            # ids or names; default: the same name
    models: {openai/gpt-4o-mini: openai/gpt-4o}   # default: the same provider and model
    tools: {lookup-dev: lookup}                   # workflow, API and MCP tools; default: the same name
    credentials: {ID: ID}                         # ids or names; default: the same name of the same provider
    variables: {BASE_URL: keep, LIMIT: take, REGION: "=eu"}
    secrets: {API_TOKEN: env:PROD_TOKEN}          # a reference; default: what is live in the target
```

``keep``: what the target has; ``take``: what the source has; ``=TEXT``: this text.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from difyops.dsl.load import SourceLines, load_yaml_with_lines
from difyops.dsl.model import DslError
from difyops.errors import UsageError

KEEP, TAKE = "keep", "take"
_MAPS = ("apps", "datasets", "models", "tools", "credentials", "variables", "secrets")


@dataclass(frozen=True, slots=True, kw_only=True)
class Bindings:
    """What stands for what in one direction, by id or name; texts on both sides."""

    apps: Mapping[str, str] = field(default_factory=dict)
    datasets: Mapping[str, str] = field(default_factory=dict)
    models: Mapping[str, str] = field(default_factory=dict)
    tools: Mapping[str, str] = field(default_factory=dict)
    credentials: Mapping[str, str] = field(default_factory=dict)
    variables: Mapping[str, str] = field(default_factory=dict)
    secrets: Mapping[str, str] = field(default_factory=dict)


def read_bindings(path: Path | None, source: str, target: str) -> Bindings:
    """Return the bindings of one direction; none at all where there is no file.

    Raises:
        UsageError: the file cannot be read or says something else; names file, line and field.
    """
    if path is None:
        return Bindings()
    try:
        body, lines = load_yaml_with_lines(path.read_bytes(), what=str(path))
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror or error}.") from error
    except DslError as error:
        raise UsageError(error.message) from error
    rows = body.get("bindings") if isinstance(body, dict) else None
    if not isinstance(rows, list):
        raise UsageError(f"{path}:1: bindings: expected a list.", hint="bindings: [{from: dev, to: prod}]")
    found = Bindings()
    for place, row in enumerate(rows):
        here = _row(path, lines, place, row)
        if (row.get("from"), row.get("to")) == (source, target):
            found = here
    return found


def _row(path: Path, lines: SourceLines, place: int, row: Any) -> Bindings:
    where = f"{path}:{lines.at(('bindings', place))}: bindings[{place}]"
    if not isinstance(row, dict) or not all(isinstance(row.get(key), str) for key in ("from", "to")):
        raise UsageError(f"{where}: expected from and to, the names of contexts.")
    maps: dict[str, dict[str, str]] = {}
    for key, value in row.items():
        if key in ("from", "to"):
            continue
        at = f"{path}:{lines.at(('bindings', place, key))}: bindings[{place}].{key}"
        if key not in _MAPS:
            raise UsageError(f"{at}: there is no such field.", hint=f"One of: {', '.join(_MAPS)}.")
        if not isinstance(value, dict) or not all(isinstance(item, str) for item in value.values()):
            raise UsageError(f"{at}: expected a mapping of texts.")
        maps[key] = dict(value)
    for name, rule in maps.get("variables", {}).items():
        if rule not in (KEEP, TAKE) and not rule.startswith("="):
            at = f"{path}:{lines.at(('bindings', place, 'variables', name))}: bindings[{place}].variables.{name}"
            raise UsageError(f"{at}: expected keep, take, or =TEXT.")
    return Bindings(**maps)
