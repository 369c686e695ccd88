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
from typing import Any

from difyops.broadcast.plan import Member
from difyops.errors import ConfigError
from difyops.settings import unknown_field

_KNOWN = frozenset(
    {"to", "contexts", "aggregate", "inputs", "question_as", "wait", "timeout", "max_tokens", "repeatable"}
)
_MEMBER = frozenset({"app", "context", "inputs", "question_as"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """One panel as it was written; what it leaves open is ``None`` or empty."""

    name: str
    members: tuple[Member, ...]
    contexts: tuple[str, ...] = ()
    aggregate: str | None = None
    inputs: Mapping[str, Any] = field(default_factory=dict)
    question_as: str | None = None
    wait: str | None = None
    timeout: str | None = None
    max_tokens: int | None = None
    repeatable: bool = False


def panel_named(sections: Mapping[str, Any], name: str) -> Panel:
    """Return the panel ``name`` of the configuration's sections.

    Raises:
        ConfigError: there is no such panel, or a field of it is unknown or has the wrong type; names the field.
    """
    panels = sections.get("panels") or {}
    if not isinstance(panels, Mapping):
        raise ConfigError("panels: must be a mapping of names.")
    if name not in panels:
        known = ", ".join(sorted(map(str, panels))) or "none"
        raise ConfigError(f"There is no panel {name!r} (known: {known}).", hint="Panels are defined in difyops.yaml.")
    body = _mapping(panels[name], f"panels.{name}", _KNOWN)
    place = f"panels.{name}"
    wait = body.get("wait")
    return Panel(
        name=name,
        members=tuple(_member(item, f"{place}.to") for item in _listed(body.get("to"), f"{place}.to")),
        contexts=tuple(str(item) for item in _listed(body.get("contexts", []), f"{place}.contexts")),
        aggregate=_aggregate(body.get("aggregate"), f"{place}.aggregate"),
        inputs=_mapping(body.get("inputs", {}), f"{place}.inputs"),
        question_as=_typed(body.get("question_as"), str, f"{place}.question_as"),
        wait=None if wait is None else str(wait),
        timeout=None if body.get("timeout") is None else str(body["timeout"]),
        max_tokens=_typed(body.get("max_tokens"), int, f"{place}.max_tokens"),
        repeatable=bool(_typed(body.get("repeatable"), bool, f"{place}.repeatable")),
    )


def _member(item: Any, place: str) -> Member:
    if isinstance(item, str):
        return Member(selector=item)
    body = _mapping(item, place, _MEMBER)
    selector = _typed(body.get("app"), str, f"{place}.app")
    if not selector:
        raise ConfigError(f"{place}: an entry needs app (a selector).")
    return Member(
        selector=selector,
        context=_typed(body.get("context"), str, f"{place}.context"),
        inputs=_mapping(body.get("inputs", {}), f"{place}.inputs"),
        question_as=_typed(body.get("question_as"), str, f"{place}.question_as"),
    )


def _aggregate(value: Any, place: str) -> str | None:
    """Return the aggregator in its command-line spelling, ``name`` or ``name:key=value,...``."""
    if value is None or isinstance(value, str):
        return value
    body = _mapping(value, place)
    if len(body) != 1:
        raise ConfigError(f"{place}: name one aggregator.")
    name, settings = next(iter(body.items()))
    pairs = _mapping(settings or {}, f"{place}.{name}")
    return f"{name}:" + ",".join(f"{key}={item}" for key, item in pairs.items()) if pairs else str(name)


def _listed(value: Any, place: str) -> list[Any]:
    if isinstance(value, (str, Mapping)):
        return [value]
    if not isinstance(value, list):
        raise ConfigError(f"{place}: must be a list (or one entry).")
    return value


def _mapping(value: Any, place: str, known: frozenset[str] | None = None) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise ConfigError(f"{place}: must be a mapping.")
    unknown = sorted(set(map(str, value)) - known) if known is not None else []
    if unknown and known is not None:
        raise ConfigError(f"{place}: {unknown_field(unknown[0], known)}.")
    return value


def _typed(value: Any, kind: type, place: str) -> Any:
    if value is not None and (not isinstance(value, kind) or (kind is int and isinstance(value, bool))):
        raise ConfigError(f"{place}: must be {'text' if kind is str else kind.__name__}.")
    return value
