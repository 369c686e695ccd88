"""How the runs of runbooks and their reports look."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from difyops.clock import iso
from difyops.counting import counted
from difyops.outcome import Block, Facts, Outcome, Table
from difyops.runbook.record import ENDED, REPAIRED, RunRecord, StepRecord
from difyops.runbook.report import RunbookReport
from difyops.runbook.result import Value


def runs(records: Sequence[RunRecord]) -> Outcome:
    """Show past runs, newest first."""
    rows = [
        (
            run.id,
            run.runbook,
            run.verdict if run.state == ENDED else f"{run.verdict}, {run.state}",
            f"{run.seconds:.1f} s" if run.ended_at else None,
            run.context,
            run.actor,
        )
        for run in records
    ]
    data = [_head(run) for run in records]
    columns = ("run", "runbook", "verdict", "took", "context", "by")  # a run's id begins with its time (UTC)
    return Outcome(
        kind="runbook.runs",
        data=data,
        blocks=[Table(columns=columns, rows=rows, empty="No runs.")],
        summary=counted(len(records), "run"),
        names=[run.id for run in records],
    )


def ran(run: RunRecord) -> Outcome:
    """Show how a run went."""
    rows = [(step.title, _result(run, step), step.text) for step in run.steps]
    hints: list[tuple[str, object]] = [(step.title, step.hint) for step in run.steps if _is_bad(step) and step.hint]
    values: list[tuple[str, object]] = [(step.title, _values(step.values)) for step in run.steps if step.values]
    blocks: list[Block] = [Table(columns=("step", "result", "found"), rows=rows)]
    blocks += [Facts(title="Measured", pairs=values)] if values else []
    blocks += [Facts(title="What to do next", pairs=hints)] if hints else []
    unseen: list[tuple[str, object]] = [(step.title, step.text) for step in run.not_looked_at]
    blocks += [Facts(title="Not looked at", pairs=unseen)] if unseen else []
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
        error=run.error,
    )


def reported(report: RunbookReport) -> Outcome:
    """Show the incident report and the skeleton of the post-mortem."""
    timeline = [(item.when.strftime("%H:%M:%S"), item.result, item.what) for item in report.timeline]
    findings = [(step.title, step.result, step.text) for step in report.findings]
    actions = [(step.title, "done" if step.done else step.result, step.text) for step in report.actions]
    undos: list[tuple[str, object]] = [(step.title, step.undo) for step in report.actions if step.undo]
    next_ = [(str(number), text) for number, text in enumerate(report.next, 1)]
    evidence = [Facts(title=f"Evidence: {step.title}", pairs=_evidence(step)) for step in report.findings]
    blocks: list[Block] = [
        Facts(title=f"Incident report: {report.run.title}", pairs=list(report.incident)),
        Table(title="Timeline (UTC)", columns=("time", "result", "what"), rows=timeline),
        Table(title="Findings", columns=("step", "result", "found"), rows=findings, empty="Nothing was found."),
        *(block for block in evidence if block.pairs),
        Table(title="Actions", columns=("action", "state", "what"), rows=actions, empty="Nothing was changed."),
        *([Facts(title="How to take it back", pairs=undos)] if undos else []),
        *([Facts(title="What a person does next", pairs=next_)] if next_ else []),
        Facts(title="Post-mortem", pairs=list(report.postmortem)),
    ]
    data = {
        "run": _body(report.run),
        "incident": dict(report.incident),
        "timeline": [{"when": iso(item.when), "what": item.what, "result": item.result} for item in report.timeline],
        "postmortem": dict(report.postmortem),
    }
    return Outcome(kind="runbook.report", data=data, blocks=blocks, summary=report.run.summary, names=[report.run.id])


def _result(run: RunRecord, step: StepRecord) -> str:
    return "fail, repaired" if run.outcome(step) == REPAIRED else step.result


def _evidence(step: StepRecord) -> list[tuple[str, object]]:
    """Return what stands behind a finding, as far as there is anything."""
    pairs = (("values", _values(step.values)), ("excerpt", step.excerpt), ("next", step.hint))
    return [(label, text) for label, text in pairs if text]


def _is_bad(step: StepRecord) -> bool:
    return step.result in ("fail", "warn", "inconclusive") or step.refused


def _values(values: Sequence[Value]) -> str:
    return ", ".join(_value(value) for value in values if value.value is not None)


def _value(value: Value) -> str:
    least = " below" if value.floor else ""
    given = (("warn", value.warn), ("limit", value.fail))
    limits = [f"{word}{least} {limit:g}" for word, limit in given if limit is not None]
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
        "not_looked_at": [step.id for step in run.not_looked_at],
        "repaired": [step.id for step in run.steps if run.outcome(step) == REPAIRED],
        "steps": [_step(s) for s in run.steps],
    }


def _step(step: StepRecord) -> dict[str, Any]:
    from difyops.runbook.record import step_data

    return step_data(step)
