"""Which checks and actions there are: found by walking our own two folders, never by registration."""

from __future__ import annotations

import difflib
import functools
import importlib
import inspect
import pkgutil
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from types import ModuleType
from typing import Any, Literal

from difyops.runbook import actions, checks
from difyops.runbook.parameters import Parameter, parameters_of

Kind = Literal["check", "action"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Tool:
    """One check or action: its name in YAML, help text, parameters and the function."""

    name: str
    kind: Kind
    help: str
    parameters: Mapping[str, Parameter]
    function: Callable[..., Awaitable[Any]]

    @property
    def summary(self) -> str:
        """Return the first line of the help."""
        return self.help.partition("\n")[0]


@functools.cache
def tools(kind: Kind) -> Mapping[str, Tool]:
    """Return all checks or all actions by name."""
    package: ModuleType = checks if kind == "check" else actions
    names = sorted(item.name for item in pkgutil.iter_modules(package.__path__))
    found = [_tool(kind, importlib.import_module(f"{package.__name__}.{name}")) for name in names]
    return {tool.name: tool for tool in found}


def close_names(kind: Kind, name: str) -> list[str]:
    """Return names that look like ``name``, for messages."""
    return difflib.get_close_matches(name, list(tools(kind)), n=3)


def _tool(kind: Kind, module: ModuleType) -> Tool:
    function = module.check if kind == "check" else module.plan
    name = module.__name__.rpartition(".")[2].replace("_", ".", 1)
    return Tool(
        name=name,
        kind=kind,
        help=inspect.getdoc(function) or "",
        parameters=parameters_of(function),
        function=function,
    )
