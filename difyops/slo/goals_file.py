"""The file of goals: YAML, and what a goal is.

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
from collections.abc import Iterator
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any

from difyops.setting_problems import BadSetting, named
from difyops.setting_values import Name, duration_up_to, one_of, text_like, whole
from difyops.settings import NOT_IN_FILE, Fault, Named, SettingType
from difyops.settings_file import read_file
from difyops.slo.model import Kind
from difyops.slo.windows import PERIODS

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
_NEEDS = {"latency": ("within", "within"), "validity": ("schema", "schema"), "cost": ("most", "price")}


def _percent(value: Any) -> float:
    try:
        found = float(value.removesuffix("%")) if isinstance(value, str) else float(value)
    except (TypeError, ValueError):
        found = -1.0
    if not 0 < found < 100:
        raise BadSetting(f"{named(value)} is not a percentage above 0 and below 100", "Example: target: 99.5")
    return found


def _money(value: Any) -> tuple[Decimal, str]:
    match = _MONEY.fullmatch(str(value).strip())
    if match is None or not Decimal(match[1]):
        raise BadSetting(f"{named(value)} is not an amount above zero", "Example: most: 0.02 USD")
    return Decimal(match[1]), match[2] or "USD"


def _days(value: Any) -> int:
    known = {f"{days}d": days for days in PERIODS}
    if value not in known:
        raise BadSetting(f"{named(value)} is none of {', '.join(known)}")
    return known[value]


_NUMBER_OR_TEXT = {"type": ["number", "string"]}
_GOAL_NAME = text_like(re.compile(r"[a-z0-9]([a-z0-9-]{0,60}[a-z0-9])?"), "a name of small letters, digits and dashes")
_WHOSE = one_of("ours", "provider", "caller")
_PERIOD = SettingType(_days, {"enum": [f"{days}d" for days in PERIODS]})


@dataclass(frozen=True, slots=True, kw_only=True)
class Goal:
    """One goal: how many ``percent`` (below 100) of the events of these apps are to be good over ``days``.

    ``endpoints``: where calls come from, empty for everywhere. ``counts``: whose failures burn. ``within``: seconds of
    a latency goal; ``schema``: file of a validity goal; ``price``: most and currency of a cost goal.
    """

    name: Annotated[str, _GOAL_NAME]
    apps: Annotated[tuple[Name, ...], "selectors"]
    kind: Kind = "availability"
    percent: Annotated[
        float, SettingType(_percent, _NUMBER_OR_TEXT), Named("target"), "percent of the events that are good"
    ]
    days: Annotated[int, _PERIOD, Named("period")] = 28
    endpoints: Annotated[tuple[Annotated[str, one_of(*ENDPOINTS)], ...], "default: all"] = ()
    counts: Annotated[tuple[Annotated[str, one_of("ours", "provider", "caller")], ...], "whose failures burn"] = (
        "ours",
    )
    minimum_events: Annotated[int, whole(1, 1_000_000)] = 20
    within: Annotated[float | None, duration_up_to(zero=False), "of kind latency"] = None
    schema: Annotated[Path | None, SettingType(Path), "a file; of kind validity"] = None
    price: Annotated[
        tuple[Decimal, str] | None, SettingType(_money, _NUMBER_OR_TEXT), Named("most"), "of kind cost"
    ] = None
    owner: str = ""
    line: Annotated[int, NOT_IN_FILE] = 1

    @property
    def budget(self) -> float:
        """Return the share of events that may be bad, in Sloth's order of operations: equal to the last digit."""
        return (100 - self.percent) / 100

    @property
    def most(self) -> Decimal | None:
        """Return what a run of a cost goal may cost."""
        return self.price[0] if self.price else None

    @property
    def currency(self) -> str:
        """Return the currency of ``most``."""
        return self.price[1] if self.price else "USD"

    def faults(self) -> Iterator[Fault]:
        """Yield what goes not together."""
        for kind, (field, name) in _NEEDS.items():
            if kind == self.kind and getattr(self, name) is None:
                yield (), f"a goal of kind {kind} needs {field}"
            if kind != self.kind and getattr(self, name) is not None:
                yield (field,), f"{field} belongs to kind {kind}"
        for field in ("apps", "counts"):
            if not getattr(self, field):
                yield (field,), "must not be empty"


@dataclass(frozen=True, slots=True, kw_only=True)
class GoalsFile:
    """The file."""

    goals: tuple[Goal, ...]

    def faults(self) -> Iterator[Fault]:
        """Yield names that are there twice."""
        if not self.goals:
            yield ("goals",), "expected a list of at least one goal"
        names = [goal.name for goal in self.goals]
        for number, name in enumerate(names):
            if name in names[:number]:
                yield ("goals", number, "name"), f"{name!r} is the name of two goals"


def read_goals(path: Path) -> tuple[Goal, ...]:
    """Return the goals of a file.

    Raises:
        ConfigError: it cannot be read, or something in it is no goal; the message names file, line and field.
    """
    found, source = read_file(GoalsFile, path, hint=_HINT)
    return tuple(
        replace(goal, line=source.line(("goals", number)), schema=goal.schema and path.parent / goal.schema)
        for number, goal in enumerate(found.goals)
    )
