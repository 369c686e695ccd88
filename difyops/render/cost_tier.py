"""How the trial of a smaller model looks: its plan and price first, what it proved by class, what it saves."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from decimal import Decimal

from difyops.counting import counted
from difyops.evaluation.trial.run import Trial
from difyops.evaluation.trial.tier import TierSaving, TierTest, fits
from difyops.evaluation.trial.verdict import NOT_WORSE, TrialFinding
from difyops.outcome import Block, Facts, Outcome, Table
from difyops.render.cost import decimal
from difyops.render.cost_changes import reach, signed


def tier(found: TierTest) -> Outcome:
    """Show the plan, and the trial where it was made."""
    blocks: list[Block] = [Facts(pairs=_plan(found))]
    if found.trial is not None:
        blocks += _trial(found, found.trial)
    warnings = (*found.difference.warnings, *found.notes, *(found.trial.warnings if found.trial else ()))
    return Outcome(
        kind="cost.tier", data=found, blocks=blocks, names=list(found.nodes), warnings=warnings, error=found.error,
        records=[asdict(item) for item in _findings(found.trial)] or None, summary=_summary(found),
    )  # fmt: skip


def beforehand(found: TierTest) -> list[str]:
    """Return what is told before anything is asked."""
    return [
        f"{found.model} in {', '.join(found.nodes)} of {found.app}: {counted(found.cases, 'case')} through"
        " copies of both, "
        f"{counted(2 * found.cases, 'run')}.",
        f"  as a rule {counted(found.needed, 'case shows', 'cases show')} that at most {found.margin:.1%} are lost",
        f"  it costs about {_price(found)}",
        *(f"  not in this sum: {text}" for text in found.incomplete),
    ]


def _plan(found: TierTest) -> list[tuple[str, object]]:
    saves = ", ".join(f"{signed(item.difference)}{reach(item.low, item.high)} {item.currency}" for item in found.saves)
    pairs: list[tuple[str, object]] = [
        ("app", found.app), ("nodes that would call it", ", ".join(found.nodes)), ("model", found.model),
        ("question", f"not worse by more than {found.margin:.1%} of the cases"),
        ("cases needed", f"{found.needed} (80 % power, alpha 5 %, {found.changed:.0%} of them changing)"),
        ("asking them costs", _money(found.costs) or "not known"), ("1,000 runs would change by", saves or "not known"),
        *(("not in these sums", text) for text in found.incomplete),
    ]  # fmt: skip
    if found.cases:
        pairs.append(("cases there are", found.cases))
        pairs.append(("asking those costs", _price(found)))
    if found.not_tried:
        pairs.append(("not asked", found.not_tried))
    elif not found.cases:
        pairs.append(("the test", f"difyops cost advise {found.app} --tier {found.model} --schema FILE --content"))
        pairs.append(("", "or --expect CHECK, or --cases FILE: what a good answer is"))
    return pairs


def _trial(found: TierTest, trial: Trial) -> list[Block]:
    blocks: list[Block] = [
        Table(
            title=f"{trial.app} with {trial.what}: {trial.overall.verdict}",
            columns=("cases", "judged", "pass as it is", "pass with it", "lost at most", "verdict", "saves"),
            rows=[(_name(item, trial), item.judged, item.passed_before, item.passed_after, _lost(item),
                   _verdict(item), _saves(found, item.name)) for item in (trial.overall, *trial.classes)],
        ),
    ]  # fmt: skip
    if trial.broken:
        rows = [(item.id, item.kind or None, item.why) for item in trial.broken]
        blocks.append(Table(title="Cases that it loses", columns=("case", "class", "why"), rows=rows))
    if trial.left_out:
        rows = [(item.id, item.kind or None, item.why) for item in trial.left_out]
        blocks.append(Table(title="Not judged", columns=("case", "class", "why"), rows=rows))
    told: list[tuple[str, object]] = [("what it shows", trial.overall.text)]
    if trial.classes:
        told.append(("classes", f"each judged at alpha {trial.classes[0].alpha:.2%}, so that all keep to 5 %"))
    if found.ratio is not None:
        told.append(("tokens", f"{found.ratio:.2f} times those of now; both ends of the saving hold that and as many"))
    if good := fits(found):
        told.append(("it does for", "; ".join(item.name for item in good)))
    return [*blocks, Facts(pairs=told)]


def _summary(found: TierTest) -> str:
    if found.trial is None:
        return f"{counted(found.needed, 'case')} would show it; nothing was asked"
    overall = found.trial.overall
    more = f", about {counted(overall.more, 'more case')} would tell" if overall.more else ""
    saved = _saves(found, "all") if overall.verdict == NOT_WORSE else None
    return f"{overall.verdict}: {overall.text}{more}" + (f"; it saves {saved}" if saved else "")


def _findings(trial: Trial | None) -> list[TrialFinding]:
    return [trial.overall, *trial.classes] if trial else []


def _name(item: TrialFinding, trial: Trial) -> str:
    return f"all {len(trial.pairs)}" if item is trial.overall else item.name


def _lost(item: TrialFinding) -> str | None:
    return None if item.least is None else f"{max(0.0, -item.least):.1%}"


def _verdict(item: TrialFinding) -> str:
    return f"{item.verdict} ({item.more} more)" if item.more else item.verdict


def _saves(found: TierTest, name: str) -> str | None:
    return ", ".join(_saving(item) for item in found.savings if item.name == name) or None


def _saving(item: TierSaving) -> str:
    return (
        f"{decimal(item.low)} to {decimal(item.high)} {item.currency} {'in ' if item.of != 'a month' else ''}{item.of}"
    )


def _price(found: TierTest) -> str:
    """Return what asking the cases costs: money as far as it is known, and the tokens."""
    tokens = f"{counted(found.tokens, 'token')}" if found.tokens else "tokens that no recorded run tells"
    return f"{_money(found.price) or 'an amount that is not known'}, {tokens}"


def _money(amounts: Mapping[str, Decimal]) -> str:
    return ", ".join(f"{decimal(value)} {currency}" for currency, value in amounts.items())
