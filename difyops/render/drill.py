"""How drills look: what was restored, what was found, RPO and RTO; and as cases."""

from __future__ import annotations

from difyops.clock import iso
from difyops.counting import counted
from difyops.drill.model import Drilled
from difyops.drill.report import DrillReport
from difyops.outcome import Block, Facts, Outcome, Table
from difyops.render.cases import suite_of
from difyops.reports import Measure, ReportCase, Suite


def drilled(found: Drilled) -> Outcome:
    """Show a drill."""
    facts: list[tuple[str, object]] = [
        ("drill", found.id), ("of", found.context), ("into", found.into), ("snapshot", found.commit[:10]),
        ("verdict", found.verdict), ("RPO", length(found.rpo)), ("RTO", length(found.rto)),
        ("files hashed", found.files),
    ]  # fmt: skip
    rows = [(app.name, app.mode, "yes" if app.proven else "no", app.smoke, round(app.seconds, 2)) for app in found.apps]
    findings = [(item.word, item.app or "snapshot", item.kind, item.text) for item in found.findings]
    blocks: list[Block] = [
        Facts(pairs=facts),
        Table(columns=("app", "mode", "proven", "smoke run", "seconds"), rows=rows, empty="No app was drilled."),
        Table(title="Findings", columns=("result", "what", "kind", "found"), rows=findings, empty="Nothing was found."),
    ]
    proven = sum(app.proven for app in found.apps)
    return Outcome(
        kind="drill.run", data=found, blocks=blocks, warnings=found.swept, names=[found.id],
        records=[
            {"app": app.name, "mode": app.mode, "proven": app.proven, "smoke": app.smoke, "seconds": app.seconds}
            for app in found.apps
        ],
        summary=f"{proven} of {counted(len(found.apps), 'app')} proven in {length(found.rto)}; {found.verdict}",
        error=found.error,
    )  # fmt: skip


def planned(context: str, into: str, commit: str, names: list[str]) -> Outcome:
    """Show what a drill would do."""
    data = {"context": context, "into": into, "commit": commit, "apps": names}
    rows = [(name,) for name in names]
    return Outcome(
        kind="drill.plan", data=data, blocks=[Table(columns=("would be restored and removed",), rows=rows)],
        names=names, summary=f"{counted(len(names), 'app')} of snapshot {commit[:10]} would be drilled in {into}",
    )  # fmt: skip


def reported(found: DrillReport) -> Outcome:
    """Show the drills of the past."""
    rows = [
        (row["began"], row["verdict"], row["apps"], row["proven"], row["failed"], length(row["rpo"]),
         length(row["rto"]), str(row["commit"])[:10], row["into"])
        for row in found.drills
    ]  # fmt: skip
    columns = ("began", "verdict", "apps", "proven", "failures", "RPO", "RTO", "snapshot", "into")
    blocks: list[Block] = [
        Facts(pairs=[
            ("context", found.context), ("since", iso(found.since)), ("drills", len(found.drills)),
            ("last that passed", found.last_passed or "none"),
        ]),
        Table(columns=columns, rows=rows, empty="No drill was run; difyops drill run"),
    ]  # fmt: skip
    if found.last is not None:
        findings = [
            (item["word"], item["app"] or "snapshot", item["kind"], item["text"]) for item in found.last["findings"]
        ]
        table = Table(title="Findings of the last one", columns=("result", "what", "kind", "found"), rows=findings,
                      empty="Nothing was found.")  # fmt: skip
        blocks.append(table)
    return Outcome(
        kind="drill.report", data=found, blocks=blocks, names=[str(row["id"]) for row in found.drills],
        records=list(found.drills), summary=f"{counted(len(found.drills), 'drill')}, the last that passed:"
        f" {found.last_passed}",
    )  # fmt: skip


def drill_suite(found: Drilled) -> Suite:
    """Return a drill as cases: one an app, one for each finding about the snapshot as a whole."""
    cases = []
    for app in found.apps:
        mine = [item for item in found.findings if item.app == app.name]
        words = {item.word for item in mine}
        word = next((each for each in ("fail", "inconclusive", "warn") if each in words), "pass")
        text = "; ".join(f"{item.kind}: {item.text}" for item in mine) or f"restored and proven; smoke run {app.smoke}"
        cases.append(ReportCase(
            id=app.id, title=app.name, group=f"drill.{app.mode}", word=word, text=text, seconds=app.seconds,  # type: ignore[arg-type]
        ))  # fmt: skip
    names = {app.name for app in found.apps}
    cases += [
        ReportCase(
            id=f"finding-{number}", title=item.app or "snapshot", group="drill.finding", word=item.word, text=item.text
        )
        for number, item in enumerate((item for item in found.findings if item.app not in names), 1)
    ]
    values = (
        Measure(name="rto", value=found.rto, unit="s"),
        Measure(name="rpo", value=found.rpo, unit="s"),
        Measure(name="proven", value=sum(app.proven for app in found.apps), unit="apps"),
        Measure(name="apps", value=len(found.apps), unit="apps"),
    )
    return suite_of("drill", found.context, f"restore drill: {found.verdict}", cases, values)


def length(seconds: float | None) -> str | None:
    """Return a length of time for people."""
    if seconds is None:
        return None
    if seconds >= 7200:
        return f"{seconds / 3600:.1f} h"
    return f"{seconds / 60:.1f} min" if seconds >= 120 else f"{seconds:.1f} s"
