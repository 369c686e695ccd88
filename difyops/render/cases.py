"""Results of rooms as the cases that reports are written from."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from difyops.counting import counted
from difyops.reports import Measure, ReportCase, Suite, Word, worst

if TYPE_CHECKING:
    from difyops.rotation.inventory import SecretInventory
    from difyops.snapshot.check import Checked
    from difyops.snapshot.drift import Drift


def drift_suite(found: Drift) -> Suite:
    """Return a drift: every way in which an app drifted is a failure; one that could not be compared is unknown."""
    cases = [
        ReportCase(
            id=f"{app.id}:{app.kind.replace(' ', '-')}",
            title=app.name,
            group=f"drift.{app.kind.replace(' ', '-')}",
            word="inconclusive" if app.kind == "unreadable" else "fail",
            text=f"{app.kind}: {app.what}"
            + (f" by {app.who}" if app.who else "")
            + (f" at {app.when}" if app.when else ""),
        )
        for app in found.apps
    ]
    drifted = len({app.id for app in found.apps if app.kind != "unreadable"})
    values = (
        Measure(name="drifted", value=drifted, unit="apps", fail=0),
        Measure(name="compared", value=found.compared, unit="apps"),
    )
    said = f"{drifted} of {counted(found.compared, 'app')} drifted from snapshot {found.commit[:10]}"
    return suite_of("drift", found.context, said, cases, values)


def verify_suite(checked: Checked) -> Suite:
    """Return a look at the store: every problem is a failure."""
    cases = [
        ReportCase(id=f"problem-{number}", title="snapshot", group="verify.problem", word="fail", text=problem)
        for number, problem in enumerate(checked.problems, 1)
    ]
    values = (
        Measure(name="problems", value=len(checked.problems), fail=0),
        Measure(name="files", value=checked.files, unit="files"),
        Measure(name="snapshots", value=checked.snapshots, unit="snapshots"),
    )
    said = (
        f"{counted(checked.files, 'file')} of {counted(checked.snapshots, 'snapshot')} were read again,"
        f" {counted(len(checked.problems), 'problem')}"
    )
    return suite_of("verify", checked.context, said, cases, values)


def secret_suite(found: SecretInventory, context: str, kinds: Sequence[str] = ()) -> Suite:
    """Return the secrets: overdue is a failure, in clear a warning, an unknown age under a policy is unknown."""
    chosen = [item for item in found.secrets if not kinds or item.kind in kinds]
    cases = []
    for item in chosen:
        word: Word = "pass"
        if item.overdue:
            word = "fail"
        elif item.rotate_every is not None and item.overdue is None:
            word = "inconclusive"
        days = "of unknown age" if item.age is None else f"{item.age / 86400:.0f} days old"
        said = {"fail": "overdue, ", "inconclusive": "under a policy and "}.get(word, "")
        text = f"{said}{days}" + (f" ({item.note})" if item.note else "")
        cases.append(ReportCase(id=item.address, title=item.address, group=f"secret.{item.kind}", word=word, text=text))
    cases += [
        ReportCase(id=f"clear-{number}", title=item.app, group="secret.in-clear", word="warn",
             text=f"in clear: {item.label}", body=item.advice)
        for number, item in enumerate(found.in_clear if not kinds else (), 1)
    ]  # fmt: skip
    cases += [
        ReportCase(id=f"unread-{number}", title="not read", group="secret.unread", word="inconclusive", text=problem)
        for number, problem in enumerate(() if found.is_whole else found.problems, 1)
    ]
    overdue = sum(bool(item.overdue) for item in chosen)
    values = (
        Measure(name="overdue", value=overdue, unit="secrets", fail=0),
        Measure(name="secrets", value=len(chosen), unit="secrets"),
        Measure(name="in_clear", value=len(found.in_clear), unit="secrets", warn=0),
    )
    return suite_of("secrets", context, f"{overdue} of {counted(len(chosen), 'secret')} are overdue", cases, values)


def suite_of(kind: str, context: str, said: str, cases: Sequence[ReportCase], values: tuple[Measure, ...]) -> Suite:
    """Put a case for the look itself in front: it passes, for it was carried out, and carries the figures."""
    now = datetime.now(UTC)
    verdict = worst(cases)
    whole = ReportCase(id="all", title=kind, group=f"{kind}.all", word="pass", text=said, measures=values)
    return Suite(
        kind=kind,
        name=kind,
        context=context,
        started_at=now,
        ended_at=now,
        seconds=0.0,
        verdict=verdict,
        said=said,
        cases=(whole, *cases),
    )
