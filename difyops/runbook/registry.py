"""Which checks and actions there are: one file each in our own two folders, and the entry points of other packages."""

from __future__ import annotations

import difflib
import functools
import inspect
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from types import ModuleType
from typing import Any, Literal, Protocol

from difyops.plugins import OURS, Plugin, Registry
from difyops.runbook.parameters import Parameter, parameters_of

Kind = Literal["check", "action"]


class Check(Protocol):
    """A module in ``checks``: one coroutine ``check(resources, *, ...) -> Result``."""

    check: Callable[..., Awaitable[Any]]


class Action(Protocol):
    """A module in ``actions``: one coroutine ``plan(resources, *, ...) -> Planned``."""

    plan: Callable[..., Awaitable[Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Tool:
    """One check or action: its name in YAML, help text, parameters, the function, and the package it comes from."""

    name: str
    kind: Kind
    help: str
    parameters: Mapping[str, Parameter]
    function: Callable[..., Awaitable[Any]]
    origin: str = OURS

    @property
    def summary(self) -> str:
        """Return the first line of the help."""
        return self.help.partition("\n")[0]


def _dotted(file: str) -> str:
    return file.replace("_", ".", 1)


def _wrong(member: str) -> Callable[[ModuleType], list[str]]:
    """Return what says why a module is no check or action: its function waits, takes the resources, has a schema."""

    def look(module: ModuleType) -> list[str]:
        function = getattr(module, member)
        first, *rest = [*inspect.signature(function).parameters.values(), None]
        if not inspect.iscoroutinefunction(function):
            return [f"{member} is no coroutine (async def)"]
        if first is None or first.name != "resources" or any(p and p.kind is not p.KEYWORD_ONLY for p in rest):
            return [f"{member} takes the resources, and everything else by keyword: {member}(resources, *, ...)"]
        try:
            parameters_of(function)
        except (TypeError, NameError) as error:
            return [str(error).rstrip(".")]
        return []

    return look


CHECKS = Registry(
    package="difyops.runbook.checks",
    group="difyops.checks",
    member="check",
    word="check",
    spelled=_dotted,
    wrong=_wrong("check"),
)
ACTIONS = Registry(
    package="difyops.runbook.actions",
    group="difyops.actions",
    member="plan",
    word="action",
    spelled=_dotted,
    wrong=_wrong("plan"),
)


@functools.cache
def tools(kind: Kind) -> Mapping[str, Tool]:
    """Return all checks or all actions by name."""
    registry = CHECKS if kind == "check" else ACTIONS
    return {name: _tool(kind, registry.member, plugin) for name, plugin in registry.all().items()}


def close_names(kind: Kind, name: str) -> list[str]:
    """Return names that look like ``name``, for messages."""
    return difflib.get_close_matches(name, list(tools(kind)), n=3)


def _tool(kind: Kind, member: str, plugin: Plugin) -> Tool:
    function = getattr(plugin.module, member)
    return Tool(
        name=plugin.name,
        kind=kind,
        help=inspect.getdoc(function) or "",
        parameters=parameters_of(function),
        function=function,
        origin=plugin.origin,
    )
