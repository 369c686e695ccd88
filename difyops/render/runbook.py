"""How runbooks, their runs and their reports look."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from difyops.clock import iso
from difyops.errors import AnswerIsNo, DifyopsError
from difyops.outcome import Block, Facts, Lines, Outcome, Table
from difyops.runbook.fields import Problem
from difyops.runbook.library import Entry
from difyops.runbook.model import Runbook, Step
from difyops.runbook.record import ENDED, RunRecord, StepRecord
from difyops.runbook.registry import Tool
from difyops.runbook.report import Report
from difyops.runbook.result import Value


def listed(entries: Sequence[Entry]) -> Outcome:
    """Show the runbooks there are."""
    rows = [
        (
            item.name,
            item.runbook.title if item.runbook else None,
            len(item.runbook.steps) if item.runbook else None,
            "yes" if item.runbook and item.runbook.acts else "no",
            f"{item.origin}{' (instead of the shipped one)' if item.hides else ''}",
            f"{len(item.problems)} problems" if item.problems else "ok",
        )
        for item in entries
    ]
    data = [
        {
            "name": item.name,
            "title": item.runbook.title if item.runbook else None,
            "path": str(item.path),
            "origin": item.origin,
            "steps": len(item.runbook.steps) if item.runbook else 0,
            "acts": bool(item.runbook and item.runbook.acts),
            "problems": [problem.text_with_place for problem in item.problems],
        }
        for item in entries
    ]
    return Outcome(
        kind="runbook.list",
        data=data,
        blocks=[Table(columns=("name", "title", "steps", "actions", "from", "lint"), rows=rows, empty="No runbooks.")],
        summary=f"{len(entries)} runbooks",
        names=[item.name for item in entries],
    )


def runs(records: Sequence[RunRecord]) -> Outcome:
    """Show past runs, newest first."""
    several = len({run.actor for run in records}) > 1
    rows = [
        (
            run.id,
            run.runbook,
            run.verdict if run.state == ENDED else f"{run.verdict}, {run.state}",
            f"{run.seconds:.1f} s",
            run.context,
            run.actor if several else None,
        )
        for run in records
    ]
    data = [_head(run) for run in records]
    columns = ("run", "runbook", "verdict", "took", "context", "by")  # a run's id begins with its time (UTC)
    return Outcome(
        kind="runbook.runs",
        data=data,
        blocks=[Table(columns=columns, rows=rows, empty="No runs.")],
        summary=f"{len(records)} runs",
        names=[run.id for run in records],
    )


def shown(runbook: Runbook) -> Outcome:
    """Show a runbook as a document."""
    about: list[tuple[str, object]] = [
        ("why", runbook.why),
        *(("symptom", item) for item in runbook.symptoms),
        ("owner", runbook.owner),
        ("escalation", runbook.escalation),
        ("severity", runbook.severity),
        ("deadline", f"{runbook.deadline:g} s"),
        ("file", str(runbook.path)),
    ]
    inputs = [
        (item.name, item.kind, "required" if item.required else item.default, item.help)
        for item in runbook.inputs.values()
    ]
    steps = [
        (step.id, step.title, f"{step.tool.kind} {step.tool.name}", _with(step), _rules(step)) for step in runbook.steps
    ]
    blocks: list[Block] = [
        Facts(title=f"{runbook.name}: {runbook.title}", pairs=about),
        Table(title="Inputs", columns=("input", "type", "default", "help"), rows=inputs, empty="None."),
        Table(title="Steps", columns=("step", "what", "how", "with", "rules"), rows=steps),
        Facts(title="What a person does next", pairs=_next(runbook)),
    ]
    return Outcome(
        kind="runbook.show", data=_document(runbook), blocks=blocks, names=[step.id for step in runbook.steps]
    )


def _next(runbook: Runbook) -> list[tuple[str, object]]:
    """Return what a person does in the end, and before that what a step alone asks for when it does not pass."""
    alone: list[tuple[str, object]] = [(f"{step.id} not well", step.next) for step in runbook.steps if step.next]
    return [*alone, *((str(number), text) for number, text in enumerate(runbook.next, 1))]


def tools(found: Sequence[Tool]) -> Outcome:
    """Show checks and actions with their parameters."""
    rows = [
        (tool.name, tool.kind, tool.summary, ", ".join(map(_parameter, tool.parameters.values()))) for tool in found
    ]
    data = [
        {
            "name": tool.name,
            "kind": tool.kind,
            "help": tool.help,
            "parameters": {
                item.name: {
                    "type": item.shown,
                    "required": item.required,
                    "default": None if item.required else item.default,
                }
                for item in tool.parameters.values()
            },
        }
        for tool in found
    ]
    blocks: list[Block] = [Table(columns=("name", "kind", "what", "parameters"), rows=rows)]
    if len(found) == 1:
        tool = found[0]
        pairs = [(item.name, _parameter(item)) for item in tool.parameters.values()]
        blocks = [Lines(title=tool.name, lines=[("", line) for line in tool.help.splitlines()])]
        blocks.append(Facts(title="Parameters", pairs=pairs or [("none", None)]))
    return Outcome(kind="runbook.tools", data=data, blocks=blocks, names=[tool.name for tool in found])


def linted(problems: Sequence[Problem], files: int) -> Outcome:
    """Show what lint found."""
    rows = [(item.file, item.line, item.field, item.text) for item in problems]
    error = AnswerIsNo(f"{len(problems)} problems in {files} runbooks.") if problems else None
    empty = f"{files} runbooks are right."
    return Outcome(
        kind="runbook.lint",
        data=list(problems),
        blocks=[Table(columns=("file", "line", "field", "problem"), rows=rows, empty=empty)],
        summary=f"{len(problems)} problems in {files} runbooks",
        names=[item.text_with_place for item in problems],
        error=error,
    )


def ran(run: RunRecord, *, raw: bytes | None = None, error: DifyopsError | None = None) -> Outcome:
    """Show how a run went; ``raw`` replaces the table, ``error`` the run's own."""
    rows = [
        (step.title, step.result, step.text, _values(step.values), step.hint if _is_bad(step) else None)
        for step in run.steps
    ]
    blocks: list[Block] = [Table(columns=("step", "result", "found", "values", "next"), rows=rows)]
    undos = [step for step in run.steps if step.undo and (step.done or step.result == "fail")]
    if undos:
        pairs: list[tuple[str, object]] = [(step.title, step.undo) for step in undos]
        blocks.append(Facts(title=f"How to take it back: difyops runbook run --undo {run.id}, or by hand", pairs=pairs))
    return Outcome(
        kind="runbook.run",
        data=_body(run),
        blocks=blocks,
        summary=run.summary,
        warnings=run.warnings,
        names=[f"{step.id} {step.result}" for step in run.steps],
        records=[_step(step) for step in run.steps],
        error=error or run.error,
        raw=raw,
    )


def reported(report: Report) -> Outcome:
    """Show the incident report and the skeleton of the post-mortem."""
    timeline = [(item.when.strftime("%H:%M:%S"), item.result, item.what) for item in report.timeline]
    findings = [
        (step.title, step.result, step.text, _values(step.values), step.excerpt, step.hint) for step in report.findings
    ]
    actions = [(step.title, "done" if step.done else step.result, step.text, step.undo) for step in report.actions]
    blocks: list[Block] = [
        Facts(title=f"Incident report: {report.run.title}", pairs=list(report.incident)),
        Table(title="Timeline (UTC)", columns=("time", "result", "what"), rows=timeline),
        Table(
            title="Findings",
            columns=("step", "result", "found", "values", "excerpt", "next"),
            rows=findings,
            empty="Nothing was found.",
        ),
        Table(title="Actions", columns=("action", "state", "what", "undo"), rows=actions, empty="Nothing was changed."),
        Facts(title="What a person does next", pairs=[(str(n), text) for n, text in enumerate(report.next, 1)]),
        Facts(title="Post-mortem", pairs=list(report.postmortem)),
    ]
    data = {
        "run": _body(report.run),
        "incident": dict(report.incident),
        "timeline": [{"when": iso(item.when), "what": item.what, "result": item.result} for item in report.timeline],
        "postmortem": dict(report.postmortem),
    }
    return Outcome(kind="runbook.report", data=data, blocks=blocks, summary=report.run.summary, names=[report.run.id])


def _document(runbook: Runbook) -> dict[str, Any]:
    return {
        "name": runbook.name,
        "title": runbook.title,
        "why": runbook.why,
        "symptoms": list(runbook.symptoms),
        "owner": runbook.owner,
        "escalation": runbook.escalation,
        "severity": runbook.severity,
        "deadline": runbook.deadline,
        "inputs": {item.name: {"type": item.kind, "default": item.default} for item in runbook.inputs.values()},
        "steps": [
            {
                "id": step.id,
                "title": step.title,
                step.tool.kind: step.tool.name,
                "with": dict(step.parameters),
                "when": step.when.text if step.when else None,
                "needs": list(step.needs),
                "next": step.next,
            }
            for step in runbook.steps
        ],
        "next": list(runbook.next),
        "path": str(runbook.path),
        "digest": runbook.digest,
    }


def _with(step: Step) -> str:
    return ", ".join(f"{key}={value}" for key, value in step.parameters.items())


def _rules(step: Step) -> str:
    said = [f"when {step.when.text}"] if step.when else []
    said += [f"needs {', '.join(step.needs)}"] if step.needs else []
    said += [f"counts {step.rule.text}"] if step.rule.of > 1 else []
    said += [f"counts over {step.across_runs} runs"] if step.across_runs > 1 else []
    said += ["a failure is a warning"] if step.severity == "warn" else []
    said += ["only with --act"] if step.acts else []
    return "; ".join(said)


def _parameter(item: Any) -> str:
    if item.required:
        return f"{item.name} ({item.shown}, required)"
    return f"{item.name} ({item.shown}{'' if item.default is None else f', {item.default}'})"


def _is_bad(step: StepRecord) -> bool:
    return step.result in ("fail", "warn", "inconclusive") or step.refused


def _values(values: Sequence[Value]) -> str:
    return ", ".join(_value(value) for value in values if value.value is not None)


def _value(value: Value) -> str:
    limits = [f"{word} {limit:g}" for word, limit in (("warn", value.warn), ("limit", value.fail)) if limit is not None]
    tail = f" ({', '.join(limits)})" if limits else ""
    unit = value.unit if value.unit in ("", "%") else f" {value.unit}"
    return f"{value.name} {value.value}{unit}{tail}"


def _head(run: RunRecord) -> dict[str, Any]:
    return {
        "run": run.id,
        "runbook": run.runbook,
        "title": run.title,
        "context": run.context,
        "verdict": run.verdict,
        "state": run.state,
        "started_at": iso(run.started_at),
        "ended_at": iso(run.ended_at) if run.ended_at else None,
        "seconds": round(run.seconds, 3),
        "by": run.actor,
        "acting": run.acting,
    }


def _body(run: RunRecord) -> dict[str, Any]:
    counts: Mapping[str, int] = {word: run.count(word) for word in ("pass", "warn", "fail", "inconclusive", "skipped")}
    head = _head(run)
    return {
        **head,
        "digest": run.digest,
        "inputs": dict(run.inputs),
        "counts": counts,
        "steps": [_step(s) for s in run.steps],
    }


def _step(step: StepRecord) -> dict[str, Any]:
    from difyops.runbook.record import step_data

    return step_data(step)
