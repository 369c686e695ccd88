"""Running a runbook: steps side by side where nothing keeps them apart, one result each, a verdict at the end.

Scheduling only: what a step does is in ``attempts`` (checks) and ``acting`` (actions), what is kept in ``evidence``.
A step starts when all it waits for has ended; it is skipped when something it needs did not pass, or its condition is
not met: a condition never takes the place of an approval. At the deadline everything stops: what was not measured is
inconclusive, and so is a wait that was cut off; an action that may be half done is a failure.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from difyops.runbook.acting import Consent, Deed, carried_out
from difyops.runbook.attempts import AttemptOutcome, held_back, measured
from difyops.runbook.evidence import Recorder, alive, alone, new_id
from difyops.runbook.history import results_before
from difyops.runbook.inputs import inputs_of
from difyops.runbook.model import Runbook, Step
from difyops.runbook.parameters import read
from difyops.runbook.ping import HURRIED, SECONDS, Pinger
from difyops.runbook.record import ENDED, INTERRUPTED, RunRecord, StepRecord
from difyops.runbook.resources import Resources
from difyops.runbook.result import Fail, Inconclusive, Planned, Result, Skipped, shortened
from difyops.runbook.templates import filled
from difyops.setting_problems import BadSetting

Watch = Callable[[StepRecord], None]


def nobody_watches(step: StepRecord) -> None:
    """Do nothing when a step ends."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunbookOptions:
    """``inputs`` as given; ``deadline`` seconds for the whole run (the runbook's own when it is shorter)."""

    inputs: Mapping[str, Any] = field(default_factory=dict)
    deadline: float | None = None
    watch: Watch = nobody_watches


async def run(runbook: Runbook, resources: Resources, consent: Consent, options: RunbookOptions) -> RunRecord:
    """Run ``runbook`` and return its record; it is in the ledger, too.

    Raises:
        UsageError: an input is missing, unknown or of the wrong type. LockHeld: the same runbook acts already.
        StoreError: the evidence cannot be written; nothing was begun then.
    """
    inputs = inputs_of(runbook, options.inputs)
    acting = consent.act and runbook.acts and not consent.dry_run
    started = resources.clock.now()
    first = RunRecord(
        id=new_id(started),
        runbook=runbook.name,
        title=runbook.title,
        digest=runbook.digest,
        context=resources.context_name,
        actor=resources.actor,
        started_at=started,
        acting=acting,
        dry_run=consent.dry_run,
        inputs=inputs,
        about={"why": runbook.why, "owner": runbook.owner, "escalation": runbook.escalation,
               "severity": runbook.severity, "symptoms": list(runbook.symptoms), "next": list(runbook.next)},
    )  # fmt: skip
    with contextlib.ExitStack() as locks:
        if not resources.dry_run:
            if acting:
                locks.enter_context(
                    alone(resources.ledger, resources.config.state, runbook.name, resources.context_name)
                )
            if resources.ledger is not None:
                locks.enter_context(alive(resources.ledger, resources.config.state, first.id))
        return await _Run(runbook=runbook, resources=resources, consent=consent, options=options, record=first).whole()


@dataclass(slots=True, kw_only=True)
class _Run:
    """One run under way."""

    runbook: Runbook
    resources: Resources
    consent: Consent
    options: RunbookOptions
    record: RunRecord
    done: dict[str, StepRecord] = field(default_factory=dict)
    begun: dict[str, Planned | None] = field(default_factory=dict)
    asked: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    known_then: dict[str, frozenset[str]] = field(default_factory=dict)
    over: dict[str, asyncio.Event] = field(default_factory=dict)
    scope: dict[str, Any] = field(default_factory=dict)
    _recorder: Recorder = field(init=False)
    _slots: asyncio.Semaphore = field(init=False)

    async def whole(self) -> RunRecord:
        """Run everything; write down the end, however it comes."""
        ledger = None if self.resources.dry_run else self.resources.ledger
        recorder = self._recorder = Recorder(ledger=ledger, context=self.resources.context_name)
        self._slots = asyncio.Semaphore(self.runbook.parallel)
        self.over = {step.id: asyncio.Event() for step in self.runbook.steps}
        self.scope = {"inputs": self.record.inputs, "steps": {}, "run": _run_scope(self.record)}
        began = self.resources.clock.monotonic()
        recorder.started(self.record)
        pinger = Pinger(
            resources=self.resources,
            reference=None if self.consent.dry_run else self.runbook.ping,
            patience=SECONDS if self.options.deadline is None else HURRIED,
        )
        state = ENDED
        try:
            pinger.start()
            await self._steps()
        except asyncio.CancelledError:
            state = INTERRUPTED
            self._leave("the run was interrupted")
            raise
        finally:
            await recorder.close()
            self.record = self._ended(state, self.resources.clock.monotonic() - began, tuple(pinger.problems))
            if state == ENDED:
                await pinger.end(self.record)
                self.record = replace(self.record, warnings=tuple(pinger.problems))
            recorder.ended(self.record)
            self.record = replace(self.record, warnings=(*pinger.problems, *dict.fromkeys(recorder.problems)))
        return self.record

    async def _steps(self) -> None:
        given = [item for item in (self.options.deadline, self.runbook.deadline) if item is not None]
        tasks = [asyncio.create_task(self._step(step)) for step in self.runbook.steps]
        try:
            _, late = await asyncio.wait(tasks, timeout=min(given))
        finally:
            for task in tasks:
                task.cancel()
            ends = await asyncio.gather(*tasks, return_exceptions=True)
        if late:
            self._leave(f"the deadline of {min(given):g} s passed")
        for end in ends:
            if isinstance(end, BaseException) and not isinstance(end, asyncio.CancelledError):
                raise end

    async def _step(self, step: Step) -> None:
        for before in step.waits_for:
            await self.over[before].wait()
        reason = self._why_not(step)
        began, when = self.resources.clock.monotonic(), self.resources.clock.now()
        deed, tries = Deed(result=Skipped(text=reason or "", hint=step.next)), 0
        if reason is None:
            async with self._slots:
                began, when = self.resources.clock.monotonic(), self.resources.clock.now()
                self.begun[step.id] = None
                deed, tries = await self._carried_out(step)
        took = self.resources.clock.monotonic() - began
        self._note(
            step, deed, StepRecord(**_known(step), result="", text="", started_at=when, seconds=took, tries=tries)
        )

    async def _carried_out(self, step: Step) -> tuple[Deed, int]:
        try:
            values = self._parameters(step)
        except BadSetting as error:
            return Deed(result=Inconclusive(text=str(error), hint=f"difyops runbook show {self.runbook.name}")), 0

        self.asked[step.id] = values

        def carry() -> Awaitable[Any]:
            return step.tool.function(self.resources, **values)

        if step.acts:
            return await carried_out(step, carry, self.consent, lambda planned: self._begin(step, planned)), 1
        outcome: AttemptOutcome = await measured(step, carry, self.resources.clock)
        return Deed(result=self._held_back(step, outcome.result)), outcome.tries

    def _parameters(self, step: Step) -> dict[str, Any]:
        """Fill in and read the parameters; an optional one that is filled with nothing is left out."""
        found: dict[str, Any] = {}
        for name, value in filled(step.parameters, self.scope).items():
            parameter = step.tool.parameters[name]
            if value is None and not parameter.required and not parameter.optional:
                continue
            try:
                found[name] = read(parameter, value)
            except BadSetting as error:
                raise BadSetting(f"{step.id}.with.{name}: {error}") from error
        return found

    def _held_back(self, step: Step, result: Result) -> Result:
        if not isinstance(result, Fail) or step.across_runs <= 1:
            return result
        before = results_before(self.resources.ledger, self.record, step.id, limit=step.across_runs - 1)
        return held_back(result, step.across_runs, before)

    def _why_not(self, step: Step) -> str | None:
        unmet = [name for name in step.needs if self.done[name].result not in ("pass", "warn")]
        if unmet:
            return f"{unmet[0]} did not pass ({self.done[unmet[0]].result})"
        if step.when is not None and not step.when.holds(self.scope):
            return f"its condition is not met ({step.when.text})"
        return None

    def _begin(self, step: Step, planned: Planned) -> None:
        self.begun[step.id] = planned
        self.known_then[step.id] = frozenset(self.done)
        undo = planned.undo
        self._recorder.acting(
            self.record.id,
            step.id,
            self.resources.clock.now(),
            {"tool": step.tool.name, "title": step.title, "text": planned.text, "undo": undo.text if undo else None,
             "undo_step": _undo_step(undo), "changes": planned.changes},
        )  # fmt: skip

    def _note(self, step: Step, deed: Deed, record: StepRecord) -> None:
        result = shortened(deed.result)
        undo = deed.undo if deed.done or self.begun.get(step.id) else None
        finished = replace(
            record,
            result=result.word,
            text=result.text,
            values=result.values,
            excerpt=result.excerpt,
            hint=result.hint,
            done=deed.done,
            refused=isinstance(result, Skipped) and result.refused,
            undo=undo.text if undo else None,
            undo_step=_undo_step(undo),
            required=step.required,
            verifies=self._verified(step, result),
            not_looked_at=self._is_missed(step, result),
        )
        self.done[step.id] = finished
        values = {value.name: value.value for value in result.values}
        self.scope["steps"][step.id] = {"status": result.word, "values": values}
        self._recorder.step(self.record.id, finished, self.resources.clock.now(), now=step.acts and deed.done)
        self.over[step.id].set()
        self.options.watch(finished)

    def _verified(self, step: Step, result: Result) -> tuple[str, ...]:
        """Return the failed checks that ``step`` found well again: those it names, and those that asked the same.

        Only an action between the two makes it so: one that was carried out, began after the failure was known, and
        that ``step`` waited for. Without one, a check that passes the second time shows something that comes and goes.
        """
        if step.acts or result.word not in ("pass", "warn"):
            return ()
        acted = [name for name in self.runbook.before(step) if name in self.known_then and self.done[name].done]
        known = {name for action in acted for name in self.known_then[action] if self.done[name].result == "fail"}
        same = {name for name in known if self._asks_the_same(self.runbook.step(name), step)}
        return tuple(sorted(known & set(step.verifies) | same))

    def _asks_the_same(self, one: Step, other: Step) -> bool:
        return one.tool is other.tool and self.asked.get(one.id) == self.asked.get(other.id)

    def _is_missed(self, step: Step, result: Result) -> bool:
        """Say whether a check was left out, and not because nothing was done that it would verify."""
        if step.acts or not isinstance(result, Skipped):
            return False
        return not any(self.runbook.step(name).acts for name in self.runbook.before(step))

    def _leave(self, why: str) -> None:
        """Give a result to every step that has none: it was cut off, or never begun."""
        for step in self.runbook.steps:
            if step.id in self.done:
                continue
            planned = self.begun.get(step.id)
            if planned is not None and planned.changes:
                text = f"{planned.text}: {why} in the middle; whether it was done is unknown"
                undo = planned.undo
                result: Result = Fail(text=text, hint=f"To undo: {undo.text}" if undo else None)
                deed = Deed(result=result, undo=undo)
            else:
                begun = "" if step.id in self.begun else " before it began"
                deed = Deed(result=Inconclusive(text=f"{why}{begun}"))
            self._note(step, deed, StepRecord(**_known(step), result="", text=""))

    def _ended(self, state: str, seconds: float, warnings: tuple[str, ...]) -> RunRecord:
        steps = tuple(self.done[step.id] for step in self.runbook.steps if step.id in self.done)
        now = self.resources.clock.now()
        return replace(self.record, state=state, ended_at=now, seconds=seconds, steps=steps, warnings=warnings)


def _known(step: Step) -> dict[str, Any]:
    return {"id": step.id, "tool": step.tool.name, "kind": step.tool.kind, "title": step.title}


def _run_scope(record: RunRecord) -> dict[str, str]:
    return {"id": record.id, "runbook": record.runbook, "context": record.context}


def _undo_step(undo: Any) -> dict[str, Any] | None:
    if undo is None or undo.action is None:
        return None
    return {"action": undo.action, "with": dict(undo.parameters)}
