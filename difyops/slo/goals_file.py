"""The file of goals: YAML, held to one JSON Schema; every complaint names file, line and field.

goals:
  - name: support-answers
    apps: [support-*, "tag:customer"]
    kind: latency            # availability (default), latency, validity, cost
    target: 95               # percent of the events that are to be good
    period: 28d              # 7d, 28d, 30d
    within: 4s               # latency; validity: schema: FILE; cost: most: 0.02 USD
    endpoints: [service-api] # web-app, webhook, schedule, plugin, chat; default: all
    counts: [ours]           # whose failures burn: ours, provider, caller
    minimum_events: 20
    owner: team-support
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

from difyops.dsl.load import SourceLines, load_yaml_with_lines
from difyops.dsl.model import DslError
from difyops.errors import ConfigError
from difyops.setting_values import duration
from difyops.settings import BadSetting
from difyops.slo.model import Goal
from difyops.slo.windows import PERIODS
from difyops.validation.judge import compile_schema

FILE = "slo.yaml"
ENDPOINTS = {
    "service-api": ("app-run",),
    "web-app": ("web-app",),
    "webhook": ("webhook",),
    "schedule": ("schedule",),
    "plugin": ("plugin",),
    "chat": ("chat",),
}
_HINT = "difyops slo init writes a file to begin with."
_MONEY = re.compile(r"(\d+(?:\.\d+)?)\s*([A-Z]{3})?")
_TEXTS = {"type": "array", "items": {"type": "string", "minLength": 1}, "minItems": 1}
SCHEMA: dict[str, Any] = {
    "type": "object",
    "required": ["goals"],
    "additionalProperties": False,
    "properties": {
        "goals": {
            "type": "array",
            "minItems": 1,
            "items": {
                "type": "object",
                "required": ["name", "apps", "target"],
                "additionalProperties": False,
                "properties": {
                    "name": {"type": "string", "pattern": "^[a-z0-9]([a-z0-9-]{0,60}[a-z0-9])?$"},
                    "apps": {"anyOf": [{"type": "string", "minLength": 1}, _TEXTS]},
                    "kind": {"enum": ["availability", "latency", "validity", "cost"]},
                    "target": {"type": ["number", "string"]},
                    "period": {"enum": [f"{days}d" for days in PERIODS]},
                    "within": {"type": ["number", "string"]},
                    "schema": {"type": "string", "minLength": 1},
                    "most": {"type": ["number", "string"]},
                    "endpoints": {"type": "array", "items": {"enum": list(ENDPOINTS)}, "minItems": 1},
                    "counts": {"type": "array", "items": {"enum": ["ours", "provider", "caller"]}, "minItems": 1},
                    "minimum_events": {"type": "integer", "minimum": 1, "maximum": 1_000_000},
                    "owner": {"type": "string"},
                },
            },
        }
    },
}
_NEEDS = {"latency": "within", "validity": "schema", "cost": "most"}


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a complaint is: the file, its lines, the path so far."""

    file: Path
    lines: SourceLines
    path: tuple[str | int, ...] = ()

    def below(self, *parts: str | int) -> _Place:
        return _Place(self.file, self.lines, (*self.path, *parts))

    def error(self, text: str, hint: str | None = _HINT) -> ConfigError:
        field = ""
        for part in self.path:
            field += f"[{part}]" if isinstance(part, int) else f".{part}" if field else part
        return ConfigError(f"{self.file}:{self.lines.at(self.path)}: {field + ': ' if field else ''}{text}", hint=hint)


def read_goals(path: Path) -> tuple[Goal, ...]:
    """Return the goals of a file.

    Raises:
        ConfigError: it cannot be read, or something in it is no goal; the message names file, line and field.
    """
    try:
        body, lines = load_yaml_with_lines(path.read_bytes(), what=str(path))
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror or error}.", hint=_HINT) from error
    except DslError as error:
        raise ConfigError(f"{path}: {error.message}", hint=_HINT) from error
    place = _Place(path, lines)
    if wrong := compile_schema(SCHEMA).violations({} if body is None else body):
        where, violation = min(wrong, key=lambda item: lines.at(item[0]))
        raise place.below(*where).error(violation.message)
    found = tuple(_goal(place.below("goals", number), item) for number, item in enumerate(body["goals"]))
    names = [goal.name for goal in found]
    for number, name in enumerate(names):
        if name in names[:number]:
            raise place.below("goals", number, "name").error(f"{name!r} is the name of two goals.")
    return found


def _goal(place: _Place, body: Mapping[str, Any]) -> Goal:
    kind = body.get("kind", "availability")
    for other, field in _NEEDS.items():
        if (field in body) != (other == kind):
            wanted = f"a goal of kind {kind} needs {field}" if other == kind else f"{field} belongs to kind {other}"
            raise place.below(*((field,) if field in body else ())).error(f"{wanted}.")
    most, currency = _money(place.below("most"), body["most"]) if "most" in body else (None, "USD")
    apps = body["apps"]
    return Goal(
        name=body["name"], kind=kind, apps=(apps,) if isinstance(apps, str) else tuple(apps),
        percent=_percent(place.below("target"), body["target"]), days=int(body.get("period", "28d")[:-1]),
        endpoints=tuple(body.get("endpoints", ())), counts=tuple(body.get("counts", ("ours",))),
        minimum_events=body.get("minimum_events", 20), owner=body.get("owner", ""), most=most, currency=currency,
        within=_seconds(place.below("within"), body["within"]) if "within" in body else None,
        schema=_beside(place.file, body["schema"]) if "schema" in body else None, line=place.lines.at(place.path),
    )  # fmt: skip


def _percent(place: _Place, value: Any) -> float:
    try:
        found = float(value.removesuffix("%")) if isinstance(value, str) else float(value)
    except ValueError:
        found = -1.0
    if not 0 < found < 100:
        raise place.error(f"{value!r} is not a percentage above 0 and below 100.", "Example: target: 99.5")
    return found


def _seconds(place: _Place, value: Any) -> float:
    try:
        return duration(value, zero=False)
    except BadSetting as error:
        raise place.error(f"{error}, found {value!r}.", None) from None


def _money(place: _Place, value: Any) -> tuple[Decimal, str]:
    match = _MONEY.fullmatch(str(value).strip())
    if match is None or not Decimal(match[1]):
        raise place.error(f"{value!r} is not an amount above zero.", "Example: most: 0.02 USD")
    return Decimal(match[1]), match[2] or "USD"


def _beside(file: Path, text: str) -> Path:
    return file.parent / Path(text)
