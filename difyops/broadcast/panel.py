"""Panels: named groups of targets in the configuration, with an aggregator, so that a broadcast is a one-liner.

panels:
  review:
    to: [legal-bot, "support-*", {app: style-bot, context: staging, inputs: {tone: strict}}]
    contexts: [staging, production]
    aggregate: vote            # or judge:APP, or {vote: {majority: 0.6}}
    inputs: {language: en}
    question_as: text
    wait: any                  # all, any or a number
    timeout: 60s
    max_tokens: 20000
    repeatable: true
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any

from difyops.broadcast.plan import Member
from difyops.errors import ConfigError
from difyops.setting_problems import BadSetting, named, source_of
from difyops.setting_values import Text
from difyops.settings import KEY, Named, SettingType, read, read_names


def _aggregate(value: Any) -> str:
    """Return the aggregator in its command-line spelling, ``name`` or ``name:key=value,...``."""
    if isinstance(value, str):
        return value
    if not isinstance(value, Mapping) or len(value) != 1:
        raise BadSetting(f"name one aggregator, found {named(value)}", "Example: aggregate: {vote: {majority: 0.6}}")
    ((name, pairs),) = value.items()
    if pairs is not None and not isinstance(pairs, Mapping):
        raise BadSetting(f"settings of {name} must be a mapping, found {named(pairs)}")
    return f"{name}:" + ",".join(f"{key}={item}" for key, item in pairs.items()) if pairs else str(name)


_AGGREGATE = SettingType(_aggregate, {"type": ["string", "object"]})


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """One panel as it was written; what it leaves open is ``None`` or empty."""

    name: Annotated[str, KEY]
    members: Annotated[tuple[Member, ...], Named("to")]
    contexts: tuple[Text, ...] = ()
    aggregate: Annotated[str | None, _AGGREGATE, "NAME, or {NAME: {setting: value}}"] = None
    inputs: Mapping[str, Any] = field(default_factory=dict)
    question_as: Annotated[str | None, "the input that takes the question"] = None
    wait: Annotated[Text | None, "all, any or a number"] = None
    timeout: Text | None = None
    max_tokens: int | None = None
    repeatable: bool = False


def panel_named(sections: Mapping[str, Any], name: str) -> Panel:
    """Return the panel ``name`` of the configuration's sections.

    Raises:
        ConfigError: there is no such panel, or something in it is wrong; names file, line and field.
    """
    panels = read_names(Any, sections, "panels")
    if name not in panels:
        known = ", ".join(sorted(panels)) or "none"
        raise ConfigError(f"There is no panel {name!r} (known: {known}).", hint="Panels are defined in difyops.yaml.")
    return read(Panel, panels[name], source_of(sections, "panels"), ("panels", name))
