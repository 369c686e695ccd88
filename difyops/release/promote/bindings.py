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
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Annotated, Any

from difyops.errors import UsageError
from difyops.setting_problems import BadSetting, named
from difyops.setting_values import Name, Reference
from difyops.settings import Named, SettingType
from difyops.settings_file import read_file

KEEP, TAKE = "keep", "take"


def _rule(value: Any) -> str:
    if isinstance(value, str) and (value in (KEEP, TAKE) or value.startswith("=")):
        return value
    raise BadSetting(f"expected keep, take, or =TEXT, found {named(value)}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Bindings:
    """What stands for what in one direction, by id or name; texts on both sides."""

    apps: Mapping[str, str] = field(default_factory=dict)
    datasets: Mapping[str, str] = field(default_factory=dict)
    models: Mapping[str, str] = field(default_factory=dict)
    tools: Mapping[str, str] = field(default_factory=dict)
    credentials: Mapping[str, str] = field(default_factory=dict)
    variables: Mapping[str, Annotated[str, SettingType(_rule)]] = field(default_factory=dict)
    secrets: Mapping[str, Reference] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class BindingsRow(Bindings):
    """The bindings of one direction."""

    source: Annotated[Name, Named("from"), "the name of a context"]
    target: Annotated[Name, Named("to"), "the name of a context"]


@dataclass(frozen=True, slots=True, kw_only=True)
class BindingsFile:
    """The file."""

    bindings: tuple[BindingsRow, ...]


def read_bindings(path: Path | None, source: str, target: str) -> Bindings:
    """Return the bindings of one direction; none at all where there is no file.

    Raises:
        UsageError: the file cannot be read or says something else; names file, line and field.
    """
    if path is None:
        return Bindings()
    found, _ = read_file(BindingsFile, path, error=UsageError, hint="bindings: [{from: dev, to: prod}]")
    row = next((row for row in found.bindings[::-1] if (row.source, row.target) == (source, target)), None)
    return Bindings(**{each.name: getattr(row, each.name) for each in fields(Bindings)}) if row else Bindings()
