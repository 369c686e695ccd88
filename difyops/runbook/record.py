"""The record of a run: what is kept in the ledger, shown, reported and turned into other formats. Plain data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from difyops.errors import AnswerIsNo, DifyopsError, Interrupted, PartialFailure, Refused
from difyops.runbook.result import Value

REPAIRED = "repaired"
REQUIRED = "yes"
"""The word of a step that is required by itself; any other is that of a group of which one is enough."""
ENDED = "ended"
RUNNING = "running"
KILLED = "killed"
INTERRUPTED = "interrupted"


@dataclass(frozen=True, slots=True, kw_only=True)
class StepRecord:
    """How one step went. ``result`` is pass, warn, fail, inconclusive or skipped; ``seconds`` its whole time.

    ``undo`` says in words how to take an action back; ``undo_step`` is the same for a program (action, parameters).
    ``required`` is as in the runbook; ``verifies`` names the failed steps that this one found well after an action;
    ``not_looked_at`` marks a check that was skipped, though nothing but an input or a condition kept it from measuring.
    """

    id: str
    tool: str
    kind: str
    title: str
    result: str
    text: str
    values: tuple[Value, ...] = ()
    excerpt: str = ""
    hint: str | None = None
    started_at: datetime | None = None
    seconds: float = 0.0
    tries: int = 0
    done: bool = False
    refused: bool = False
    undo: str | None = None
    undo_step: Mapping[str, Any] | None = None
    required: str = ""
    verifies: tuple[str, ...] = ()
    not_looked_at: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRecord:
    """One run of one runbook. ``state``: ended, running, killed, interrupted. ``verdict`` is that of its steps."""

    id: str
    runbook: str
    title: str
    digest: str
    context: str
    actor: str
    started_at: datetime
    ended_at: datetime | None = None
    seconds: float = 0.0
    state: str = RUNNING
    acting: bool = False
    dry_run: bool = False
    inputs: Mapping[str, Any] = field(default_factory=dict)
    steps: tuple[StepRecord, ...] = ()
    warnings: tuple[str, ...] = ()
    about: Mapping[str, Any] = field(default_factory=dict)

    @property
    def verdict(self) -> str:
        """Return fail before inconclusive before repaired before warn before pass.

        A failed step that another one found well after an action counts as repaired. Skipped steps do not count, but a
        run in which a required check was skipped, or every check, is inconclusive.
        """
        words = {self.outcome(step) for step in self.steps}
        if "fail" in words:
            return "fail"
        if self.state in (KILLED, INTERRUPTED, RUNNING) or self.missing or self._is_blind:
            return "inconclusive"
        return next((word for word in ("inconclusive", REPAIRED, "warn", "pass") if word in words), "pass")

    def outcome(self, step: StepRecord) -> str:
        """Return what a step counts as at the end of the run: its result, or ``repaired``."""
        if step.result != "fail":
            return step.result
        well = {name for item in self.steps if item.result in ("pass", "warn") for name in item.verifies}
        return REPAIRED if step.id in well else "fail"

    @property
    def missing(self) -> tuple[StepRecord, ...]:
        """Return the required checks that were skipped; of a group, all of them when not one was carried out."""
        measured = {step.required for step in self.steps if step.required != REQUIRED and step.result != "skipped"}
        return tuple(
            step for step in self.steps if step.required and step.result == "skipped" and step.required not in measured
        )

    @property
    def not_looked_at(self) -> tuple[StepRecord, ...]:
        """Return the checks that nobody can say anything about: they were skipped, and not for want of a repair."""
        return tuple(step for step in self.steps if step.not_looked_at)

    @property
    def _is_blind(self) -> bool:
        checks = [step for step in self.steps if step.kind == "check"]
        return bool(self.not_looked_at) and all(step.result == "skipped" for step in checks)

    def count(self, word: str) -> int:
        """Return how many steps ended so."""
        return sum(step.result == word for step in self.steps)

    @property
    def summary(self) -> str:
        """Return the one line for cron."""
        counts = ", ".join(f"{self.count(word)} {word}" for word in _ORDER if self.count(word))
        unseen = f"; not looked at: {', '.join(step.id for step in self.not_looked_at)}" if self.not_looked_at else ""
        head = f"{self.runbook}: {self.verdict} ({counts or 'no steps'})"
        return f"{head} on {self.context} in {self.seconds:.1f} s{unseen}"

    @property
    def error(self) -> DifyopsError | None:
        """Return what the run means for the exit code.

        The rule: a failed step 5; else an action or approval that nobody agreed to 8; else something inconclusive, or
        a required check that was skipped, 3; else 0. Warnings and what was repaired do not count.
        """
        if self.state == INTERRUPTED:
            return Interrupted("Interrupted; what was done is on record.", hint=f"difyops runbook report {self.id}")
        named = [step.title for step in self.steps if self.outcome(step) == "fail"]
        if named:
            return AnswerIsNo(f"{self.runbook}: {_listed(named)} failed.", hint=f"difyops runbook report {self.id}")
        refused = [step.title for step in self.steps if step.refused]
        if refused:
            return Refused(
                f"{self.runbook}: nobody agreed to {_listed(refused)}.", hint="Add --yes, or --approve STEP."
            )
        open_ = [step.title for step in self.steps if step.result == "inconclusive"]
        if open_:
            return PartialFailure(f"{self.runbook}: {_listed(open_)} could not be measured.")
        return self._unproved()

    def _unproved(self) -> DifyopsError | None:
        """Return why a run in which nothing failed says nothing all the same."""
        titles = [step.title for step in self.missing]
        if titles:
            text = f"{self.runbook}: {_listed(titles)} {'was' if len(titles) == 1 else 'were'} not looked at."
            why = "; ".join(dict.fromkeys(step.text for step in self.missing))
            return PartialFailure(text, hint=f"{why}. Its inputs: difyops runbook show {self.runbook}")
        if self._is_blind:
            return PartialFailure(f"{self.runbook}: not one check was carried out.")
        return None


_ORDER = ("fail", "inconclusive", "warn", "pass", "skipped")


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(f'"{name}"' for name in names[:3]) + more  # titles are sentences themselves


def step_data(step: StepRecord) -> dict[str, object]:
    """Return a step as JSON types for the ledger."""
    values = [
        {"name": v.name, "value": v.value, "unit": v.unit, "warn": v.warn, "fail": v.fail, "floor": v.floor}
        for v in step.values
    ]
    return {
        "id": step.id, "tool": step.tool, "kind": step.kind, "title": step.title, "result": step.result,
        "text": step.text, "values": values, "excerpt": step.excerpt, "hint": step.hint,
        "started_at": step.started_at.isoformat() if step.started_at else None, "seconds": round(step.seconds, 4),
        "tries": step.tries, "done": step.done, "refused": step.refused, "undo": step.undo,
        "undo_step": dict(step.undo_step) if step.undo_step else None, "required": step.required,
        "verifies": list(step.verifies), "not_looked_at": step.not_looked_at,
    }  # fmt: skip


def step_of(data: Mapping[str, Any]) -> StepRecord:
    """Read a step back from the ledger."""
    started = data.get("started_at")
    return StepRecord(
        id=str(data.get("id")),
        tool=str(data.get("tool")),
        kind=str(data.get("kind")),
        title=str(data.get("title")),
        result=str(data.get("result")),
        text=str(data.get("text")),
        values=tuple(Value(**item) for item in data.get("values") or ()),
        excerpt=str(data.get("excerpt") or ""),
        hint=data.get("hint"),
        started_at=datetime.fromisoformat(started) if started else None,
        seconds=float(data.get("seconds") or 0.0),
        tries=int(data.get("tries") or 0),
        done=bool(data.get("done")),
        refused=bool(data.get("refused")),
        undo=data.get("undo"),
        undo_step=data.get("undo_step"),
        required=str(data.get("required") or ""),
        verifies=tuple(data.get("verifies") or ()),
        not_looked_at=bool(data.get("not_looked_at")),
    )
