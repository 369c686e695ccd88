"""How evaluations look: what failed and why, what broke since, how many cases it would need; and as cases."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

from difyops.clock import iso
from difyops.counting import counted
from difyops.evaluation.asking import AskOptions
from difyops.evaluation.baseline import Baseline
from difyops.evaluation.cases import Case
from difyops.evaluation.checks import FAIL, NOT_JUDGED, PASS
from difyops.evaluation.compare import NONE_PROVEN, REGRESSION, Compared
from difyops.evaluation.record import RecordedCases
from difyops.evaluation.result import Bound, CaseRow, Evaluation
from difyops.outcome import Block, Facts, Outcome, Table
from difyops.render.cases import suite_of
from difyops.render.cost import decimal
from difyops.reports import Measure, Suite, Word
from difyops.reports import ReportCase as Reported
from difyops.statistics import Shift

_MOST = 40
_CHARACTERS_PER_TOKEN = 4
_WORDS: dict[str, Word] = {PASS: "pass", FAIL: "fail", NOT_JUDGED: "inconclusive"}


def recorded(found: RecordedCases, file: Path, *, dry_run: bool) -> Outcome:
    """Show the cases that were made."""
    rows = [(case.id, case.cluster or None, _short(case.query or str(dict(case.inputs))), len(case.expect))
            for case in found.cases[:_MOST]]  # fmt: skip
    blocks: list[Block] = [
        Table(columns=("case", "conversation", "asks", "checks"), rows=rows, empty="No case was made."),
    ]
    if found.left_out:
        left = [(item.id, item.why) for item in found.left_out]
        blocks.append(Table(title="Left out", columns=("run", "why"), rows=left))
    data = {"app": found.app, "source": found.source, "file": str(file), "written": bool(found.cases) and not dry_run,
            "cases": [case.as_record() for case in found.cases],
            "left_out": [asdict(item) for item in found.left_out]}  # fmt: skip
    verb = "would be written to" if dry_run else "written to"
    return Outcome(
        kind="eval.record", data=data, blocks=blocks, names=[case.id for case in found.cases],
        records=[case.as_record() for case in found.cases], warnings=found.warnings,
        summary=f"{counted(len(found.cases), 'case')} of {found.app} {verb} {file} (from the"
        f" {found.source})", error=found.error,
    )  # fmt: skip


def planned(app: str, cases: Sequence[Case], options: AskOptions) -> Outcome:
    """Show what an evaluation would ask."""
    judged = sum("app" in item.parameters for case in cases for item in case.expect)
    asked = sum(len(case.query) + len(str(dict(case.inputs))) for case in cases) // _CHARACTERS_PER_TOKEN
    data = {"app": app, "cases": len(cases), "judge_calls": judged, "fewest_tokens": asked + len(cases),
            "at_once": options.at_once, "max_tokens": options.max_tokens}  # fmt: skip
    return Outcome(
        kind="eval.plan", data=data, blocks=[Facts(pairs=list(data.items()))], names=[case.id for case in cases],
        summary=f"{counted(len(cases), 'case')} would be asked of {app}, and {judged} of its answers judged by"
        " another app",
    )  # fmt: skip


def evaluated(found: Evaluation, file: Path | None) -> Outcome:
    """Show an evaluation: what is not well first."""
    order = {FAIL: 0, NOT_JUDGED: 1, PASS: 2}
    rows = sorted(found.rows, key=lambda row: order[row.word])
    shown = [(row.id, row.word, _share(row.score), _time(row.seconds), row.tokens, _short(row.why)) for row in rows]
    counts = found.counts
    blocks: list[Block] = [
        Facts(pairs=[
            ("app", f"{found.bound.app} ({found.bound.mode}) in {found.bound.context}"),
            ("content", found.bound.content[:12]), ("models", ", ".join(found.bound.models) or None),
            ("passed", f"{counts[PASS]} of {len(found.rows)}"), ("failed", counts[FAIL]),
            ("not judged", counts[NOT_JUDGED]), ("tokens", found.tokens), ("price", _prices(found)),
        ]),
        Table(columns=("case", "result", "score", "seconds", "tokens", "why"), rows=shown[:_MOST]),
    ]  # fmt: skip
    more = f"; the first {_MOST} are shown, -o json has all" if len(rows) > _MOST else ""
    kept = f"; kept in {file}" if file else "; --to FILE keeps it"
    return Outcome(
        kind="eval.run", data=found.as_record(), blocks=blocks, names=[row.id for row in found.rows],
        records=[_record(row) for row in found.rows], warnings=found.warnings,
        summary=f"{counts[PASS]} of {counted(len(found.rows), 'case')} pass, {counts[FAIL]} fail,"
        f" {counts[NOT_JUDGED]} could not"
        f" be judged, in {found.seconds:.1f} s{kept}{more}",
        error=found.error,
    )  # fmt: skip


def kept(found: Baseline) -> Outcome:
    """Show the baseline that was kept."""
    row = _baseline(found)
    return Outcome(
        kind="eval.baseline", data=[row], blocks=[Facts(pairs=list(row.items()))], names=[found.tag],
        summary=f"{found.tag} is the newest baseline of {found.result.bound.app}",
    )  # fmt: skip


def would_keep(found: Evaluation) -> Outcome:
    """Show what would be kept."""
    data = {"app": found.bound.app, "content": found.bound.content, "cases": found.bound.cases, **found.counts}
    return Outcome(
        kind="eval.baseline", data=data, blocks=[Facts(pairs=list(data.items()))],
        summary=f"a baseline of {found.bound.app} would be kept",
    )  # fmt: skip


def baselines(found: Sequence[Baseline]) -> Outcome:
    """Show the baselines of an app, newest first."""
    rows = [_baseline(item) for item in found]
    columns = ("tag", "kept", "passed", "cases", "content", "models")
    table = Table(columns=columns, rows=[tuple(row[name] for name in columns) for row in rows])
    return Outcome(
        kind="eval.baseline", data=rows, blocks=[table], names=[item.tag for item in found],
        summary=f"{counted(len(rows), 'baseline')}, newest first",
    )  # fmt: skip


def compared(found: Compared) -> Outcome:
    """Show a comparison."""
    needed = None if found.needed is None else f"{found.needed} independent cases, for {found.needed_for}"
    blocks: list[Block] = [
        Facts(pairs=[
            ("verdict", found.verdict if found.verdict != NONE_PROVEN else f"{NONE_PROVEN} (alpha {found.alpha:g})"),
            ("before", _bound(found.before)), ("after", _bound(found.after)),
            ("pairs", f"{counted(found.pairs, 'case')} in {counted(found.clusters, 'cluster')}"),
            ("passed", f"{found.passed_before} before, {found.passed_after} after"),
            ("broke / fixed", f"{found.paired.broken} / {found.paired.fixed}"),
            ("McNemar exact p", f"{found.paired.p:.3g} (mid-p {found.paired.mid_p:.3g})"),
            ("score", shift(found.score)), ("seconds", shift(found.seconds)), ("would need", needed),
            *([("lost at most", f"{max(0.0, -found.least):.1%} (allowed {found.margin:.1%})")]
              if found.least is not None and found.margin is not None else []),
        ]),
    ]  # fmt: skip
    for title, changes in (("Broke", found.broken), ("Fixed", found.fixed), ("Left out", found.left_out)):
        if changes:
            rows = [(item.id, item.cluster or None, _short(item.why)) for item in changes[:_MOST]]
            blocks.append(Table(title=title, columns=("case", "conversation", "why"), rows=rows))
    records = [
        {"id": item.id, "change": word, "cluster": item.cluster, "why": item.why}
        for word, changes in (("broke", found.broken), ("fixed", found.fixed), ("left out", found.left_out))
        for item in changes
    ]
    return Outcome(
        kind="eval.compare", data=found, blocks=blocks, names=[item.id for item in found.broken], records=records,
        warnings=found.warnings, summary=_said(found), error=found.error,
    )  # fmt: skip


def shift(found: Shift | None) -> str | None:
    """Return a mean difference with its interval."""
    if found is None:
        return None
    reach = f" [{found.interval.low:+.3g}, {found.interval.high:+.3g}]" if found.interval else " (too few clusters)"
    return f"{found.mean:+.3g}{reach}"


def suite_of_run(found: Evaluation) -> Suite:
    """Return an evaluation as cases."""
    cases = [
        Reported(
            id=row.id, title=row.id, group=f"eval.{found.bound.app}", word=_WORDS[row.word], text=row.why,
            body=row.answer, seconds=row.seconds or 0.0,
        )
        for row in found.rows
    ]  # fmt: skip
    counts = found.counts
    values = (
        Measure(name="passed", value=counts[PASS], unit="cases"),
        Measure(name="failed", value=counts[FAIL], unit="cases", fail=0),
        Measure(name="not_judged", value=counts[NOT_JUDGED], unit="cases"),
        Measure(name="tokens", value=found.tokens, unit="tokens"),
    )
    said = f"{counts[PASS]} of {counted(len(found.rows), 'case')} of {found.bound.app} pass"
    suite = suite_of("eval", found.bound.context, said, cases, values)
    return replace(suite, name=f"evaluation of {found.bound.app}")


def comparison_suite(found: Compared) -> Suite:
    """Return a comparison as cases: a regression fails as a whole; what broke without being proven is a warning."""
    word: Word = "fail" if found.verdict == REGRESSION else "inconclusive" if found.error else "pass"
    whole = Reported(id="verdict", title="regression", group="eval.compare", word=word, text=_said(found))
    rows = [
        Reported(id=item.id, title=item.id, group="eval.broke", word="warn", text=item.why or "it passed before")
        for item in found.broken
    ]
    values = (
        Measure(name="broken", value=found.paired.broken, unit="cases"),
        Measure(name="fixed", value=found.paired.fixed, unit="cases"),
        Measure(name="p", value=found.paired.p),
    )
    suite = suite_of("eval_compare", found.after.context, _said(found), [whole, *rows], values)
    return replace(suite, name=f"evaluation of {found.after.app}")


def _said(found: Compared) -> str:
    counts = f"{found.paired.broken} broke, {found.paired.fixed} were fixed of {found.pairs}"
    if found.verdict == REGRESSION:
        return f"a regression is proven: {'; '.join(found.regressions)}"
    if found.verdict != NONE_PROVEN:
        return f"an improvement is proven: {counts} (p {found.paired.p:.2g})"
    if found.margin is not None and found.error is None:
        return f"not worse by more than {found.margin:.1%}: {counts}"
    need = f"; {counted(found.needed, 'case')} would show {found.needed_for}" if found.needed else ""
    return f"no regression is proven: {counts} (p {found.paired.p:.2g}){need}"


def _bound(found: Bound) -> str:
    models = f", {', '.join(found.models)}" if found.models else ""
    return f"{found.app} {found.content[:12]}{models}"


def _baseline(found: Baseline) -> dict[str, object]:
    result = found.result
    return {"tag": found.tag, "kept": iso(found.kept), "app": result.bound.app, "passed": result.counts[PASS],
            "cases": len(result.rows), "content": result.bound.content[:12],
            "models": ", ".join(result.bound.models) or None, "snapshot": found.commit[:10]}  # fmt: skip


def _record(row: CaseRow) -> dict[str, object]:
    return {"id": row.id, "word": row.word, "score": row.score, "seconds": row.seconds, "tokens": row.tokens,
            "price": row.price, "currency": row.currency, "why": row.why, "cluster": row.cluster,
            "run_id": row.run_id}  # fmt: skip


def _prices(found: Evaluation) -> str | None:
    return ", ".join(f"{decimal(value)} {currency}" for currency, value in found.prices.items()) or None


def _share(value: float | None) -> float | None:
    return None if value is None else round(value, 3)


def _time(value: float | None) -> float | None:
    return None if value is None else round(value, 2)


def _short(text: str, most: int = 110) -> str | None:
    return (text if len(text) <= most else f"{text[: most - 1]}…") or None
