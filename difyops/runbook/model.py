"""A runbook as it was read: frozen, typed, checked. How it is read is ``load``'s business, how it runs ``engine``'s."""

from __future__ import annotations

import keyword
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, ClassVar

from difyops.runbook.expression import BadExpression, Expression
from difyops.runbook.expression import read as read_expression
from difyops.runbook.parameters import Parameter
from difyops.runbook.parameters import read as read_value
from difyops.runbook.record import REQUIRED
from difyops.runbook.registry import Tool
from difyops.runbook.templates import has_names, steps_in
from difyops.setting_problems import BadSetting, named
from difyops.setting_values import Reference, Text, duration_up_to, one_of, text_like, whole
from difyops.settings import KEY, LATER, NOT_IN_FILE, Fault, Named, SettingType

INPUT_KINDS = ("text", "number", "whole number", "yes/no", "duration", "list", "reference")


_INPUT_NAME = re.compile(r"[a-z][a-z0-9_]*")


def identifier(value: Any) -> str:
    """Return a name that a condition can hold: ``inputs.from`` is none.

    Raises:
        BadSetting: it is none.
    """
    if isinstance(value, str) and _INPUT_NAME.fullmatch(value) and not keyword.iskeyword(value):
        return value
    said = "must be small letters, digits and underscores, and not a word such as if or from"
    raise BadSetting(f"{named(value)} {said}")


def _condition(value: Any) -> Expression:
    try:
        return read_expression(str(value))
    except BadExpression as error:
        raise BadSetting(str(error)) from error


def _required(value: Any) -> str:
    if isinstance(value, bool):
        return REQUIRED if value else ""
    if isinstance(value, str) and re.fullmatch(r"[a-z][a-z0-9_-]*", value):
        return value
    raise BadSetting("expected yes, or a word that the checks share of which one is enough")


def _rule(value: Any) -> VerdictRule:
    match = re.fullmatch(r"(\d{1,2}) (?:of (\d{1,2})|in a row)", value) if isinstance(value, str) else None
    bad, of = (int(match[1]), int(match[2] or match[1])) if match else (0, 0)
    if match is None or not 1 <= bad <= of <= 50:
        raise BadSetting("expected '2 of 3' or '3 in a row'")
    return VerdictRule(bad=bad, of=of, in_a_row=match[2] is None)


_IDENTIFIER = SettingType(identifier, {"type": "string", "pattern": f"^{_INPUT_NAME.pattern}$"})
_TIME = duration_up_to(100 * 365 * 86400.0, zero=False)
_RUNBOOK_NAME = text_like(re.compile(r"[a-z0-9][a-z0-9-]{0,60}"), "small letters, digits and dashes")


@dataclass(frozen=True, slots=True, kw_only=True)
class Input:
    """One input. ``default`` is ``None`` when it must be given with ``--set``."""

    SHORT: ClassVar[str] = "default"

    name: Annotated[str, KEY, _IDENTIFIER]
    kind: Annotated[str, one_of(*INPUT_KINDS), Named("type")] = "text"
    default: Any = None
    help: Text = ""

    def faults(self) -> Iterator[Fault]:
        """Yield a default that is none."""
        if self.default is not None and not (self.kind == "reference" and self.default == ""):
            try:
                read_value(Parameter(name=self.name, kind=self.kind), self.default)
            except BadSetting as error:
                yield ("default",), str(error)
        if has_names(self.default):
            yield ("default",), "a default holds no references"

    @property
    def required(self) -> bool:
        """Say whether it must be given."""
        return self.default is None


@dataclass(frozen=True, slots=True, kw_only=True)
class VerdictRule:
    """When failing counts: ``bad`` of ``of`` measurements; with ``in_a_row`` they must follow each other."""

    bad: int = 1
    of: int = 1
    in_a_row: bool = False

    @property
    def text(self) -> str:
        """Return it as YAML has it."""
        return f"{self.bad} in a row" if self.in_a_row else f"{self.bad} of {self.of}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One step: a check or an action with its parameters as written (templates included).

    ``timeout`` is seconds for one try; ``retries`` repeat what was inconclusive, ``every`` seconds apart; ``rule`` says
    when failing counts within this run, ``across_runs`` over how many runs; ``severity`` warn makes failures warnings.
    ``required``: without this check the run proves nothing (``yes``), or without any of those with the same word;
    ``verifies`` names checks that failed before and are well again when this one passes after an action.
    """

    id: Annotated[str, _IDENTIFIER]
    tool: Annotated[Tool, NOT_IN_FILE]
    check: Annotated[Text, "which check it is"] = ""
    action: Annotated[Text, "which action it is"] = ""
    title: Text = ""
    parameters: Annotated[Mapping[str, Any], Named("with")] = field(default_factory=dict)
    when: Annotated[Expression | None, SettingType(_condition), "a condition over inputs and steps before"] = None
    needs: Annotated[tuple[Text, ...], "ids of steps that must end first"] = ()
    timeout: Annotated[float, _TIME, "for one try"] = 60.0
    retries: Annotated[int, whole(0, 20), "of what was inconclusive"] = 0
    every: Annotated[float, _TIME, "between tries"] = 2.0
    rule: Annotated[VerdictRule, SettingType(_rule), Named("for"), "2 of 3, or 3 in a row"] = field(
        default_factory=VerdictRule
    )
    across_runs: Annotated[int, whole(1, 50)] = 1
    severity: Annotated[str, one_of("fail", "warn")] = "fail"
    required: Annotated[str, SettingType(_required, {"type": ["boolean", "string"]})] = ""
    verifies: Annotated[tuple[Text, ...], "checks that failed and are well again when this one passes"] = ()
    next: Text | None = None
    line: Annotated[int, NOT_IN_FILE] = 1

    @property
    def acts(self) -> bool:
        """Say whether this is an action."""
        return self.tool.kind == "action"

    @property
    def waits_for(self) -> frozenset[str]:
        """Return the ids of the steps that must end first: what it needs, looks at or uses."""
        return frozenset(self.needs) | (self.when.steps if self.when else frozenset()) | self.uses

    @property
    def uses(self) -> frozenset[str]:
        """Return the ids of the steps whose values its parameters use."""
        return steps_in(self.parameters)


@dataclass(frozen=True, slots=True, kw_only=True)
class Runbook:
    """A whole runbook. ``deadline`` is seconds for all steps; ``parallel`` the most steps at once; ``digest`` names
    exactly this text in the evidence; ``ping`` is a reference to a dead-man URL.
    """

    name: Annotated[str, Named("runbook"), _RUNBOOK_NAME]
    title: Text
    why: Text
    steps: Annotated[tuple[Step, ...], LATER]
    symptoms: tuple[Text, ...] = ()
    next: tuple[Text, ...] = ()
    owner: Text = ""
    escalation: Text = ""
    severity: Text = ""
    inputs: Mapping[str, Input] = field(default_factory=dict)
    deadline: Annotated[float, _TIME, "for all steps"] = 600.0
    parallel: Annotated[int, whole(1, 100), "most steps at once"] = 16
    ping: Annotated[Reference | None, "a dead-man URL"] = None
    path: Annotated[Path | None, NOT_IN_FILE] = None
    digest: Annotated[str, NOT_IN_FILE] = ""

    @property
    def acts(self) -> bool:
        """Say whether it has actions."""
        return any(step.acts for step in self.steps)

    def before(self, step: Step) -> frozenset[str]:
        """Return the ids of all steps that must end before ``step`` starts, however far back."""
        known = {item.id: item for item in self.steps}
        found: set[str] = set()
        waiting = set(step.waits_for)
        while waiting:
            name = waiting.pop()
            if name in known and name not in found:
                found.add(name)
                waiting |= known[name].waits_for
        return frozenset(found)

    def step(self, step_id: str) -> Step:
        """Return a step by id.

        Raises:
            KeyError: there is none.
        """
        return next(step for step in self.steps if step.id == step_id)
