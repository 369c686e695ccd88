"""Reading one step of a runbook's YAML against the schema of its check or action."""

from __future__ import annotations

import contextlib
import keyword
import re
from collections.abc import Mapping
from typing import Any

from difyops.runbook.expression import BadExpression, Expression
from difyops.runbook.expression import read as read_expression
from difyops.runbook.fields import FieldReader, Place
from difyops.runbook.model import Input, Step, VerdictRule
from difyops.runbook.parameters import Mismatch, Parameter, named, seconds
from difyops.runbook.parameters import read as read_value
from difyops.runbook.record import REQUIRED
from difyops.runbook.registry import ACTIONS, CHECKS, Kind, Tool, close_names, tools
from difyops.runbook.templates import has_names, is_name, names_in, whole_name

_FIELDS = {
    "id", "title", "check", "action", "with", "when", "needs", "timeout", "retries", "every", "for", "across_runs",
    "severity", "required", "verifies", "next",
}  # fmt: skip
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


def read_step(reader: FieldReader, place: Place, body: Any, inputs: Mapping[str, Input]) -> Step | None:
    """Return the step, ``None`` when it is too broken to be one; everything wrong with it is in ``reader``."""
    if not isinstance(body, dict):
        reader.add(place, f"expected a step with id and check or action, found {named(body)}")
        return None
    reader.known(place, body, _FIELDS)
    tool = _tool(reader, place, body)
    step_id = reader.text(place, body, "id", required=True)
    if step_id and (not re.fullmatch(r"[a-z][a-z0-9_]*", step_id) or keyword.iskeyword(step_id)):
        said = "must be small letters, digits and underscores, and not a word such as if or from"
        reader.add((*place, "id"), f"{step_id!r} {said}")
    if tool is None or not step_id:
        return None
    timeout = reader.duration(place, body, "timeout", 60.0)
    severity = reader.text(place, body, "severity") or "fail"
    if severity not in ("fail", "warn"):
        reader.add((*place, "severity"), "expected fail or warn")
    if tool.kind == "action":
        for name in (name for name in _CHECKS_ONLY if name in body):
            reader.add((*place, name), f"{name} is for checks; an action is carried out once")
        _check_wait(reader, (*place, "with"), body.get("with"), tool, timeout)
    return Step(
        id=step_id,
        tool=tool,
        title=reader.text(place, body, "title") or tool.name,
        parameters=_parameters(reader, (*place, "with"), body.get("with"), tool, inputs),
        when=_when(reader, place, body, inputs),
        needs=reader.texts(place, body, "needs"),
        timeout=timeout,
        retries=reader.whole(place, body, "retries", 0, low=0, high=20),
        every=reader.duration(place, body, "every", 2.0),
        rule=_rule(reader, place, body),
        across_runs=reader.whole(place, body, "across_runs", 1, low=1, high=50),
        severity=severity,
        required=_required(reader, place, body),
        verifies=reader.texts(place, body, "verifies"),
        next=reader.text(place, body, "next") or None,
        line=reader.line(place),
    )


def _tool(reader: FieldReader, place: Place, body: Mapping[str, Any]) -> Tool | None:
    kinds: list[Kind] = [kind for kind in ("check", "action") if kind in body]
    if len(kinds) != 1:
        reader.add(place, "a step has either check or action")
        return None
    kind = kinds[0]
    name = reader.text(place, body, kind, required=True)
    found = tools(kind).get(name)
    if found is None and name:
        close = close_names(kind, name)
        said = f"; did you mean {' or '.join(close)}?" if close else f" (known: {', '.join(tools(kind))})"
        registry = CHECKS if kind == "check" else ACTIONS
        said = next((f". {text}" for text in registry.problems() if repr(name) in text), said)
        reader.add((*place, kind), f"unknown {kind} {name!r}{said}")
    return found


def _parameters(
    reader: FieldReader, place: Place, body: Any, tool: Tool, inputs: Mapping[str, Input]
) -> Mapping[str, Any]:
    given = body if body is not None else {}
    if not isinstance(given, dict):
        reader.add(place, f"expected a mapping of parameters, found {named(body)}")
        return {}
    reader.known(place, given, tool.parameters)
    for parameter in tool.parameters.values():
        if parameter.name in given:
            _check_value(reader, (*place, parameter.name), given[parameter.name], parameter, inputs)
        elif parameter.required:
            reader.add(place, f"{tool.name} needs {parameter.name} ({parameter.shown})")
    return given


def _check_value(
    reader: FieldReader, place: Place, value: Any, parameter: Parameter, inputs: Mapping[str, Input]
) -> None:
    if not has_names(value):
        try:
            read_value(parameter, value)
        except Mismatch as error:
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


def _check_wait(reader: FieldReader, place: Place, body: Any, tool: Tool, timeout: float) -> None:
    """Note a wait that its own step cuts off."""
    given = body.get("seconds") if tool.name == "wait" and isinstance(body, dict) else None
    if given is None or has_names(given):
        return
    with contextlib.suppress(Mismatch):
        if seconds(given) >= timeout:
            reader.add((*place, "seconds"), f"the step's timeout ({timeout:g} s) cuts this wait off")


def _when(reader: FieldReader, place: Place, body: Mapping[str, Any], inputs: Mapping[str, Input]) -> Expression | None:
    if body.get("when") is None:
        return None
    text = reader.text(place, body, "when", required=True)
    try:
        found = read_expression(text) if text else None
    except BadExpression as error:
        reader.add((*place, "when"), str(error))
        return None
    for path in found.names if found else ():
        if path[0] == "inputs" and path[1] not in inputs:
            reader.add((*place, "when"), f"there is no input {path[1]!r}")
    return found


def _required(reader: FieldReader, place: Place, body: Mapping[str, Any]) -> str:
    value = body.get("required")
    if value is None or value is False:
        return ""
    if value is True:
        return REQUIRED
    if isinstance(value, str) and re.fullmatch(r"[a-z][a-z0-9_-]*", value):
        return value
    reader.add((*place, "required"), "expected yes, or a word that the checks share of which one is enough")
    return ""


def _rule(reader: FieldReader, place: Place, body: Mapping[str, Any]) -> VerdictRule:
    value = body.get("for")
    if value is None:
        return VerdictRule()
    match = re.fullmatch(r"(\d{1,2}) (?:of (\d{1,2})|in a row)", value) if isinstance(value, str) else None
    bad, of = (int(match[1]), int(match[2] or match[1])) if match else (0, 0)
    if match is None or not 1 <= bad <= of <= 50:
        reader.add((*place, "for"), "expected '2 of 3' or '3 in a row'")
        return VerdictRule()
    return VerdictRule(bad=bad, of=of, in_a_row=match[2] is None)
