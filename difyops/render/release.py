"""How releases look: plans, verdicts with every look at the gates, the list of releases."""

from __future__ import annotations

from collections.abc import Sequence

from difyops.changes.journal import ChangeRecord
from difyops.changes.recovery import Ended
from difyops.counting import counted
from difyops.outcome import Block, Facts, Lines, Outcome, Table
from difyops.release.plan import CasesGate, ReleasePlan
from difyops.release.run import Released
from difyops.release.status import ReleaseRow


def planned(plan: ReleasePlan, notes: Sequence[str], path: str | None) -> Outcome:
    """Show a plan; ``path``: where it was written, ``None`` when it was not."""
    shadow, watch = plan.shadow, plan.watch
    tried = f"at most {counted(shadow.calls, 'input')}" if shadow.calls else "none"
    if shadow.tokens:
        tried += f", at most {counted(shadow.tokens, 'token')}"
    facts: list[tuple[str, object]] = [
        ("app", f"{plan.app_name} ({plan.mode}) in {plan.context}"), ("live", plan.live.id or plan.live.hash),
        ("new", f"{plan.target.source} {plan.target.word}".rstrip()), ("shadow", tried),
        ("passes after", f"{counted(watch.events, 'run')}, a look every {watch.least} new ones"),
        ("watched for", f"{watch.seconds / 60:g} min"), ("alpha", plan.gates.alpha),
    ]  # fmt: skip
    if plan.cases:
        facts.append(("cases", _cases(plan.cases)))
    if plan.gates.pricier is not None:
        facts.append(("price", f"at most {plan.gates.pricier:.0%} more in the median"))
    blocks: list[Block] = [
        Facts(pairs=facts),
        Lines(title="What changes", lines=[("~", line) for line in plan.changes] or [("", "nothing but secrets")]),
    ]
    if plan.effects:
        blocks.append(Lines(title="Acts outside", lines=[("!", line) for line in plan.effects]))
    written = f"written to {path}; difyops release apply {path}" if path else "not written"
    return Outcome(
        kind="release.plan", data=plan.as_data(), blocks=blocks, warnings=tuple(notes), names=[path or plan.app_id],
        summary=f"plan {plan.digest[:12]}: {written}",
    )  # fmt: skip


def released(found: Released) -> Outcome:
    """Show how a release stands."""
    return Outcome(
        kind="release.apply", data=found, blocks=blocks_of(found), warnings=found.warnings, names=[found.id],
        records=[record_of(found)],
        summary=f"{found.app_name}: {found.state} after {found.seconds:.1f} s", error=found.error,
    )  # fmt: skip


def blocks_of(found: Released) -> list[Block]:
    """Return a release laid out for people."""
    facts: list[tuple[str, object]] = [
        ("release", found.id), ("app", found.app_name), ("verdict", found.verdict), ("state", found.state),
        ("why", found.text), ("live before", found.live_before), ("new version", found.live_after),
    ]  # fmt: skip
    if found.shadow:
        facts.append(("shadow", f"{found.shadow['word']}: {found.shadow['text']}"))
    if found.draft:
        facts.append(("draft", found.draft))
    rows = [
        (item["look"], item["word"], item["events"], item["failed"], item["old_events"], item["old_failed"], item["e"])
        for item in found.looks
    ]
    columns = ("look", "gates", "runs", "failed", "runs before", "failed before", "e")
    looks = Table(columns=columns, rows=rows, empty="No look was taken yet.")
    if not found.cases:
        return [Facts(pairs=facts), looks]
    asked = [
        (item["where"], item["word"], item["pairs"], item["passed"], item["passed_before"], ", ".join(item["broken"]))
        for item in found.cases
    ]
    cases = Table(columns=("cases in", "gate", "judged", "pass", "pass before", "lost"), rows=asked)
    return [Facts(pairs=facts), cases, looks]


def _cases(gate: CasesGate) -> str:
    against = f"the baseline {gate.baseline}" if gate.baseline else "the old version"
    margin = f", at most {gate.margin:.1%} lost" if gate.margin else ""
    return f"{gate.count} of {gate.file} against {against}{margin}"


def record_of(found: Released) -> dict[str, object]:
    """Return a release as one row."""
    return {
        "id": found.id, "context": found.context, "app": found.app_name, "app_id": found.app_id,
        "verdict": found.verdict, "state": found.state, "text": found.text, "seconds": found.seconds,
    }  # fmt: skip


def statuses(rows: Sequence[ReleaseRow]) -> Outcome:
    """Show releases, newest first."""
    shown = [
        (row.app, row.began_at, row.target, row.state, row.verdict, f"{row.events}/{row.wanted}", row.text, row.id)
        for row in rows
    ]
    columns = ("app", "began", "released", "state", "verdict", "runs", "what", "release")
    return Outcome(
        kind="release.status", data=list(rows), names=[row.id for row in rows],
        blocks=[Table(columns=columns, rows=shown, empty="No release is known here.")],
        summary=f"{sum(row.verdict == 'open' for row in rows)} of {counted(len(rows), 'release')} are open",
    )  # fmt: skip


def aborted(record: ChangeRecord, ended: Ended) -> Outcome:
    """Show a release that was taken back by hand."""
    data = {"id": record.id, "app": record.label, "app_id": record.facts.get("app_id"), "state": ended.state,
            "text": ended.text}  # fmt: skip
    return Outcome(
        kind="release.abort", data=data, warnings=ended.warnings, names=[record.id],
        blocks=[Facts(pairs=[("release", record.id), ("app", record.label), ("now", ended.text)])],
        summary=f"{record.label}: {ended.text}",
    )  # fmt: skip
