"""Reading one step of a runbook's YAML against the schema of its check or action."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from typing import Any

from difyops.runbook.model import Input, Step
from difyops.runbook.parameters import Parameter, seconds
from difyops.runbook.parameters import read as read_value
from difyops.runbook.registry import ACTIONS, CHECKS, Kind, Tool, close_names, tools
from difyops.runbook.templates import has_names, is_name, names_in, whole_name
from difyops.setting_problems import BadSetting, Path, named, unknown_field
from difyops.settings import Reader

_CHECKS_ONLY = ("for", "across_runs", "severity", "retries", "required", "verifies")
_FITS = {
    "text": {"text", "number", "whole number", "choice", "duration"},
    "number": {"number", "duration", "text"},
    "whole number": {"whole number", "number", "duration", "text"},
    "yes/no": {"yes/no"},
    "duration": {"duration", "text"},
    "list": {"list"},
    "reference": {"reference"},
}  # fmt: skip


def read_step(reader: Reader, place: Path, body: Any, inputs: Mapping[str, Input]) -> Step | None:
    """Return the step, ``None`` when it is too broken to be one; everything wrong with it is in ``reader``."""
    if not isinstance(body, dict):
        reader.add(place, f"expected a step with id and check or action, found {named(body)}")
        return None
    values = reader.fields(Step, body, place)
    tool = _tool(reader, place, body, values)
    if tool is None or "id" not in values:
        return None
    step = Step(**{"title": tool.name, **values}, tool=tool, line=reader.source.line(place))
    if step.acts:
        for name in (name for name in _CHECKS_ONLY if name in body):
            reader.add((*place, name), f"{name} is for checks; an action is carried out once")
        _check_wait(reader, (*place, "with", "seconds"), step)
    _check_parameters(reader, (*place, "with"), step, inputs)
    for path in step.when.names if step.when else ():
        if path[0] == "inputs" and path[1] not in inputs:
            reader.add((*place, "when"), f"there is no input {path[1]!r}")
    return step


def _tool(reader: Reader, place: Path, body: Mapping[str, Any], values: Mapping[str, Any]) -> Tool | None:
    kinds: list[Kind] = [kind for kind in ("check", "action") if kind in body]
    if len(kinds) != 1:
        reader.add(place, "a step has either check or action")
        return None
    kind = kinds[0]
    name = values.get(kind, "")
    found = tools(kind).get(name)
    if found is None:
        close = close_names(kind, name)
        said = f"; did you mean {' or '.join(close)}?" if close else f" (known: {', '.join(tools(kind))})"
        registry = CHECKS if kind == "check" else ACTIONS
        said = next((f". {text}" for text in registry.problems() if repr(name) in text), said)
        reader.add((*place, kind), f"unknown {kind} {name!r}{said}")
    return found


def _check_parameters(reader: Reader, place: Path, step: Step, inputs: Mapping[str, Input]) -> None:
    known = step.tool.parameters
    for name in step.parameters.keys() - known.keys():
        reader.add((*place, name), unknown_field(name, known))
    for parameter in known.values():
        if parameter.name in step.parameters:
            _check_value(reader, (*place, parameter.name), step.parameters[parameter.name], parameter, inputs)
        elif parameter.required:
            reader.add(place, f"{step.tool.name} needs {parameter.name} ({parameter.shown})")


def _check_value(reader: Reader, place: Path, value: Any, parameter: Parameter, inputs: Mapping[str, Input]) -> None:
    if not has_names(value):
        try:
            read_value(parameter, value)
        except BadSetting as error:
            reader.add(place, str(error))
        return
    for name in names_in(value):
        if not is_name(name):
            reader.add(place, f"${{{name}}} cannot be filled in; use inputs.NAME or steps.ID.values.NAME")
        elif name.startswith("inputs.") and name.split(".")[1] not in inputs:
            reader.add(place, f"there is no input {name.split('.')[1]!r}")
    whole = whole_name(value)
    if whole is None and isinstance(value, str) and parameter.kind not in ("text", "list", "duration", "choice"):
        reader.add(place, f"expected {parameter.shown}, and text around ${{...}} makes text of it")
    chosen = inputs.get(whole.split(".")[1]) if whole and whole.startswith("inputs.") else None
    if chosen is not None and parameter.kind not in _FITS[chosen.kind] | ({"list"} if chosen.kind == "text" else set()):
        reader.add(place, f"expected {parameter.shown}, and the input {chosen.name!r} is {chosen.kind}")


def _check_wait(reader: Reader, place: Path, step: Step) -> None:
    """Note a wait that its own step cuts off."""
    given = step.parameters.get("seconds") if step.tool.name == "wait" else None
    if given is None or has_names(given):
        return
    with contextlib.suppress(BadSetting):
        if seconds(given) >= step.timeout:
            reader.add(place, f"the step's timeout ({step.timeout:g} s) cuts this wait off")
