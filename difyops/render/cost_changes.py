"""How a change of costs looks: node by node, the sums, and what they leave out; for a terminal and a pull request."""

from __future__ import annotations

from decimal import Decimal

from difyops.cost.advice import CostAdvice
from difyops.cost.advise import CostAdvised
from difyops.cost.diff import CostDiff, CostSum, NodeCost
from difyops.counting import counted
from difyops.outcome import Block, Facts, Outcome, Table
from difyops.render.cost import decimal


def compared(found: CostDiff) -> Outcome:
    """Show what a change will cost."""
    rows = [
        (line.title, ", ".join(line.what), line.calls, line.prompt, line.completion, _money(line.before, line.currency),
         _money(line.after, line.currency), _gap(line))
        for line in found.nodes
    ]  # fmt: skip
    columns = ("node", "what changes", "calls a run", "tokens in", "tokens out", "before", "after", "difference")
    blocks: list[Block] = [
        Table(
            title=f"Cost of 1,000 runs of {found.app}: {found.before} to {found.after}", columns=columns, rows=rows,
            empty="No node that calls a model changes.",
        ),
    ]  # fmt: skip
    if found.sums:
        blocks.append(Table(
            title="Together, of the nodes that change",
            columns=("currency", "before", "after", "difference", "a month"),
            rows=[(item.currency, decimal(item.before), decimal(item.after), _sum_gap(item), _month(item))
                  for item in found.sums],
        ))  # fmt: skip
    assumed = sorted({text for line in found.nodes for text in line.assumes})
    facts: list[tuple[str, object]] = [
        ("runs with their nodes", f"{found.runs} of {found.all_runs} in {found.days:.1f} days"),
        ("nodes that stay as they are", found.unchanged), ("list", found.prices),
        *(("not in the sums", text) for text in found.incomplete), *(("assumed", text) for text in assumed),
    ]  # fmt: skip
    blocks.append(Facts(pairs=facts))
    return Outcome(
        kind="cost.diff", data=found, blocks=blocks, names=[line.node for line in found.nodes],
        warnings=found.warnings, records=[_record(line) for line in found.nodes], summary=_said(found),
    )  # fmt: skip


def advised(found: CostAdvised) -> Outcome:
    """Show advice, the largest saving first."""
    blocks: list[Block] = [
        Table(
            title=f"{found.app}: what would cost less, of 1,000 runs", columns=("rule", "what", "calls", "saves"),
            rows=[(item.rule, item.title, item.n, _saving(item)) for item in found.advice],
            empty="No rule found anything.",
        ),
    ]  # fmt: skip
    for item in found.advice:
        pairs = [*item.evidence.items(), *(("do", step) for step in item.steps)]
        if item.saving:
            pairs.append(("saving by", item.saving.basis))
        blocks.append(Facts(title=item.title, pairs=pairs))
    return Outcome(
        kind="cost.advise", data=found, blocks=blocks, names=[f"{item.rule}:{item.node}" for item in found.advice],
        warnings=found.warnings, records=[_advice_record(item) for item in found.advice],
        summary=f"{counted(len(found.advice), 'finding')} of {counted(len(found.rules), 'rule')} over"
        f" {counted(found.runs, 'run')} with their nodes",
    )  # fmt: skip


def _saving(item: CostAdvice) -> str:
    if item.saving is None:
        return "unpriced"
    return f"{decimal(item.saving.low)} to {decimal(item.saving.high)} {item.saving.currency}"


def _advice_record(item: CostAdvice) -> dict[str, object]:
    return {"rule": item.rule, "node": item.node, "title": item.title, "n": item.n, "evidence": dict(item.evidence),
            "saving": item.saving, "steps": list(item.steps)}  # fmt: skip


def _said(found: CostDiff) -> str:
    if not found.nodes:
        return "nothing that costs tokens changes"
    parts = [f"{signed(item.difference)} {item.currency} for 1,000 runs" for item in found.sums] or ["nothing is known"]
    left = f"; {counted(len(found.incomplete), 'node is', 'nodes are')} in no sum" if found.incomplete else ""
    return f"{', '.join(parts)}{left}"


def _money(value: Decimal | None, currency: str) -> str | None:
    return None if value is None else f"{decimal(value)} {currency}"


def signed(value: Decimal) -> str:
    """Return an amount with its sign."""
    return f"{'+' if value > 0 else ''}{decimal(value)}"


def _gap(line: NodeCost) -> str:
    if line.difference is None:
        return line.unknown
    return f"{signed(line.difference)}{reach(line.low, line.high)} {line.currency}"


def _sum_gap(item: CostSum) -> str:
    return f"{signed(item.difference)}{reach(item.low, item.high)}"


def _month(item: CostSum) -> str | None:
    return None if item.month is None else signed(item.month)


def reach(low: Decimal | None, high: Decimal | None) -> str:
    """Return the interval of an amount, blank where there is none."""
    return "" if low is None or high is None else f" [{signed(low)}, {signed(high)}]"


def _record(line: NodeCost) -> dict[str, object]:
    return {"node": line.node, "title": line.title, "what": list(line.what), "before": line.before,
            "after": line.after, "difference": line.difference, "low": line.low, "high": line.high,
            "currency": line.currency, "unknown": line.unknown}  # fmt: skip
