"""The report of one run: the incident as far as a machine knows it, and the skeleton of the post-mortem. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from difyops.runbook.record import RunRecord, StepRecord

_UPDATE = timedelta(minutes=30)
_BLANK = "(to be written)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """One line of the timeline."""

    when: datetime
    what: str
    result: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RunbookReport:
    """What ``runbook report`` shows. ``incident`` and ``postmortem`` are label and text; blanks are for people."""

    run: RunRecord
    incident: tuple[tuple[str, str], ...]
    timeline: tuple[Moment, ...]
    findings: tuple[StepRecord, ...]
    actions: tuple[StepRecord, ...]
    next: tuple[str, ...]
    postmortem: tuple[tuple[str, str], ...]


def report(run: RunRecord) -> RunbookReport:
    """Return the report of a run, ended or not."""
    about: Mapping[str, Any] = run.about
    return RunbookReport(
        run=run,
        incident=_incident(run, about),
        timeline=tuple(_timeline(run)),
        findings=tuple(step for step in run.steps if step.result in ("fail", "warn", "inconclusive")),
        actions=tuple(step for step in run.steps if step.kind == "action" and (step.done or step.undo)),
        next=tuple(str(item) for item in about.get("next") or ()),
        postmortem=_postmortem(run, about),
    )


def _incident(run: RunRecord, about: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    """Return what is known; inputs named ``what``, ``owner`` and ``eta`` are this incident's own words for it."""
    update = (run.ended_at or run.started_at) + _UPDATE
    said = {name: str(run.inputs[name]) for name in ("what", "owner", "eta") if run.inputs.get(name)}
    inputs = ", ".join(f"{key}={'' if value is None else value}" for key, value in run.inputs.items())
    return (
        ("what", f"{run.title} ({run.runbook}, run {run.id})"),
        ("where", run.context),
        ("verdict", f"{run.verdict}{'' if run.state == 'ended' else f', {_STATES[run.state]}'}"),
        ("severity", str(about.get("severity") or _BLANK)),
        ("owner", said.get("owner") or str(about.get("owner") or _BLANK)),
        ("escalation", str(about.get("escalation") or _BLANK)),
        ("what users see", said.get("what") or " ".join(about.get("symptoms") or ()) or _BLANK),
        ("what is done", "; ".join(step.text for step in run.steps if step.done) or "nothing was changed"),
        ("next update at", said.get("eta") or update.strftime("%Y-%m-%d %H:%M UTC")),
        ("inputs", inputs or "none"),
        ("run by", run.actor),
        ("runbook text", f"sha256 {run.digest}"),
    )


_STATES = {
    "running": "still running",
    "killed": "KILLED while running: what has no result below was not measured",
    "interrupted": "interrupted by a person",
}


def _timeline(run: RunRecord) -> list[Moment]:
    moments = [Moment(when=run.started_at, what=f"run {run.id} began", result="")]
    for step in run.steps:
        if step.started_at is not None and step.result != "skipped":
            what = f"{step.title}: {step.text}"
            moments.append(Moment(when=step.started_at, what=what, result=step.result))
    if run.ended_at is not None:
        moments.append(Moment(when=run.ended_at, what="run ended", result=run.verdict))
    return sorted(moments, key=lambda item: item.when)


def _postmortem(run: RunRecord, about: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    first = next((step for step in run.steps if step.result == "fail"), None)
    noticed = f"{first.title} ({first.tool}) at {_clock(first.started_at)}" if first else "nothing failed"
    return (
        ("summary", _BLANK),
        ("impact (who, how long, how much)", _BLANK),
        ("first noticed by", noticed),
        ("smallest failing part", first.text if first else _BLANK),
        ("cause", _BLANK),
        ("what went well", _BLANK),
        ("what did not", _BLANK),
        ("what will detect it earlier", _BLANK),
        ("which check is added", _BLANK),
        ("which action is added, and its undo", _BLANK),
        ("owner of the follow-up", str(about.get("owner") or _BLANK)),
    )


def _clock(moment: datetime | None) -> str:
    return moment.strftime("%H:%M:%S UTC") if moment else "an unknown time"
