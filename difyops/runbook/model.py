"""A runbook as it was read: frozen, typed, checked. How it is read is ``load``'s business, how it runs ``engine``'s."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from difyops.runbook.expression import Expression
from difyops.runbook.registry import Tool
from difyops.runbook.templates import steps_in

INPUT_KINDS = ("text", "number", "whole number", "yes/no", "duration", "list", "reference")


@dataclass(frozen=True, slots=True, kw_only=True)
class Input:
    """One input. ``default`` is ``None`` when it must be given with ``--set``."""

    name: str
    kind: str = "text"
    default: Any = None
    help: str = ""

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

    id: str
    tool: Tool
    title: str
    parameters: Mapping[str, Any] = field(default_factory=dict)
    when: Expression | None = None
    needs: tuple[str, ...] = ()
    timeout: float = 60.0
    retries: int = 0
    every: float = 2.0
    rule: VerdictRule = field(default_factory=VerdictRule)
    across_runs: int = 1
    severity: str = "fail"
    required: str = ""
    verifies: tuple[str, ...] = ()
    next: str | None = None
    line: int = 1

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

    name: str
    title: str
    why: str
    steps: tuple[Step, ...]
    symptoms: tuple[str, ...] = ()
    next: tuple[str, ...] = ()
    owner: str = ""
    escalation: str = ""
    severity: str = ""
    inputs: Mapping[str, Input] = field(default_factory=dict)
    deadline: float = 600.0
    parallel: int = 16
    ping: str | None = None
    path: Path | None = None
    digest: str = ""

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
