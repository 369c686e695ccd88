"""How runbooks look as documents: the list of them, one to read, checks and actions, what lint found."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from difyops.counting import counted
from difyops.errors import AnswerIsNo
from difyops.outcome import Block, Facts, Lines, Outcome, Table
from difyops.runbook.library import LibraryEntry
from difyops.runbook.model import Runbook, Step
from difyops.runbook.record import REQUIRED
from difyops.runbook.registry import Tool
from difyops.setting_problems import Problem

_USUAL = 60.0  # seconds that a step may take when its runbook does not say


def listed(entries: Sequence[LibraryEntry]) -> Outcome:
    """Show the runbooks there are; what is the same for all of them, and as it should be, takes no column."""
    all_shipped = all(item.origin == "shipped" for item in entries)
    rows = [
        (
            item.name,
            item.runbook.title if item.runbook else None,
            len(item.runbook.steps) if item.runbook else None,
            "yes" if item.runbook and item.runbook.acts else "no",
            f"{item.origin}{', hides shipped' if item.hides else ''}" if not all_shipped else None,
            counted(len(item.problems), "problem") if item.problems else None,
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
        summary=counted(len(entries), "runbook"),
        names=[item.name for item in entries],
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
    next_ = [(str(number), text) for number, text in enumerate(runbook.next, 1)]
    blocks: list[Block] = [
        Facts(title=f"{runbook.name}: {runbook.title}", pairs=about),
        Table(title="Inputs", columns=("input", "type", "default", "help"), rows=inputs, empty="None."),
        *(_read_out(number, step) for number, step in enumerate(runbook.steps, 1)),
        *([Facts(title="What a person does next", pairs=next_)] if next_ else []),
    ]
    return Outcome(
        kind="runbook.show", data=_document(runbook), blocks=blocks, names=[step.id for step in runbook.steps]
    )


def _read_out(number: int, step: Step) -> Facts:
    """Show one step as a paragraph to read: conditions and references stay whole, however narrow the page is."""
    pairs: list[tuple[str, object]] = [(step.tool.kind, step.tool.name)]
    pairs += [("with", _with(step))] if step.parameters else []
    pairs += [("when", step.when.text)] if step.when else []
    pairs += [("needs", ", ".join(step.needs))] if step.needs else []
    pairs += [("rules", rules)] if (rules := _rules(step)) else []
    pairs += [("if not well", step.next)] if step.next else []
    return Facts(title=f"Step {number}, {step.id}: {step.title}", pairs=pairs)


def tools(found: Sequence[Tool]) -> Outcome:
    """Show checks and actions with their parameters."""
    rows = [
        (tool.name, tool.kind, tool.summary, ", ".join(item.name for item in tool.parameters.values() if item.required))
        for tool in found
    ]
    data = [
        {
            "name": tool.name,
            "kind": tool.kind,
            "from": tool.origin,
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
    blocks: list[Block] = [Table(columns=("name", "kind", "what", "needs"), rows=rows)]
    summary: str | None = f"{counted(len(found), 'check')} and actions; difyops runbook show NAME explains one"
    if len(found) == 1:
        tool = found[0]
        pairs = [(item.name, _parameter(item)) for item in tool.parameters.values()]
        blocks = [Lines(title=f"{tool.name} ({tool.kind})", lines=[("", part) for part in _paragraphs(tool.help)])]
        blocks.append(Facts(title="Parameters", pairs=pairs or [("none", None)]))
        summary = None
    names = [tool.name for tool in found]
    return Outcome(kind="runbook.tools", data=data, blocks=blocks, names=names, summary=summary)


def linted(problems: Sequence[Problem], files: int) -> Outcome:
    """Show what lint found."""
    rows = [(_near(item.file), item.line, item.field, item.text) for item in problems]
    said = f"{counted(len(problems), 'problem')} in {counted(files, 'runbook')}"
    error = AnswerIsNo(f"{said}.") if problems else None
    empty = f"{counted(files, 'runbook')} looked at: nothing is wrong."
    return Outcome(
        kind="runbook.lint",
        data=list(problems),
        blocks=[Table(columns=("file", "line", "field", "problem"), rows=rows, empty=empty)],
        summary=said,
        names=[item.text_with_place for item in problems],
        error=error,
    )


def _near(file: str) -> str:
    """Return a path as seen from here, when it is below: a narrow page keeps it whole."""
    path = Path(file)
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else file


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
        "inputs": {
            item.name: {"type": item.kind, "default": item.default, "required": item.required, "help": item.help}
            for item in runbook.inputs.values()
        },
        "steps": [
            {
                "id": step.id,
                "title": step.title,
                step.tool.kind: step.tool.name,
                "with": dict(step.parameters),
                "when": step.when.text if step.when else None,
                "needs": list(step.needs),
                "timeout": step.timeout,
                "retries": step.retries,
                "every": step.every,
                "for": step.rule.text,
                "across_runs": step.across_runs,
                "severity": step.severity,
                "required": step.required or None,
                "verifies": list(step.verifies),
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
    said = [f"counts {step.rule.text}, {step.every:g} s apart"] if step.rule.of > 1 else []
    said += [f"counts when {counted(step.across_runs, 'run')} in a row saw it"] if step.across_runs > 1 else []
    said += [f"repeated {step.retries} times while inconclusive"] if step.retries else []
    said += [f"at most {step.timeout:g} s"] if step.timeout != _USUAL else []
    said += ["a failure is a warning"] if step.severity == "warn" else []
    said += ["required"] if step.required == REQUIRED else []
    said += [f"required: one of those marked {step.required}"] if step.required not in ("", REQUIRED) else []
    said += [f"verifies {', '.join(step.verifies)} after an action"] if step.verifies else []
    said += ["only with --act"] if step.acts else []
    return "; ".join(said)


def _paragraphs(text: str) -> list[str]:
    """Return a docstring's paragraphs, each on one line for the page to break."""
    return [line for part in text.split("\n\n") for line in (" ".join(part.split()), "")][:-1]


def _parameter(item: Any) -> str:
    if item.required:
        return f"{item.shown}, required"
    default = {True: "yes", False: "no"}.get(item.default, item.default) if item.kind == "yes/no" else item.default
    return item.shown if default in (None, "") else f"{item.shown}, {default} without it"
