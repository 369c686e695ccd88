"""What a change will cost before it goes live: recorded calls of every node, priced as they were and as they would be.

Each recorded call keeps its tokens; what changed moves them: another model has another price, a longer prompt adds its
characters (four are taken for a token), ``max_tokens`` cuts answers, more or fewer retrieved chunks move the part of
the prompt that they filled. Another model answers as long as the former here: that is an assumption, and told.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any

from difyops.cost.money import tidy
from difyops.cost.prices import Prices
from difyops.cost.recorded import RecordedCall, RecordedCalls
from difyops.counting import counted
from difyops.dsl.model import as_dict, as_list, iter_nodes, text_of
from difyops.statistics.distributions import student_value

CHARACTERS_PER_TOKEN = 4
CHAT = "chat"  # the one node of an app without a workflow
_PER = 1000
_REFERENCES = ("context", "variable_selector", "query_variable_selector")


@dataclass(frozen=True, slots=True, kw_only=True)
class Priced:
    """One node that calls a model, as a document has it. ``prompt``: characters of its own texts; ``reads``: the nodes
    it takes context from; ``chunks``: of a retrieval node, how many it sends on.
    """

    id: str
    title: str
    type: str
    provider: str = ""
    model: str = ""
    prompt: int = 0
    most: int | None = None
    reads: tuple[str, ...] = ()
    chunks: int | None = None

    @property
    def calls_model(self) -> bool:
        """Say whether it calls a model."""
        return bool(self.model)


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeCost:
    """One node before and after, a thousand runs. ``None``: not known (no price, no record). ``low`` and ``high`` are
    the 95 % interval of the difference. ``assumes`` says what was taken for granted.
    """

    node: str
    title: str
    what: tuple[str, ...]
    calls: float
    prompt: float
    completion: float
    before: Decimal | None
    after: Decimal | None
    currency: str
    difference: Decimal | None = None
    low: Decimal | None = None
    high: Decimal | None = None
    unknown: str = ""
    assumes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class CostSum:
    """The sum of one currency over the nodes that are known, a thousand runs."""

    currency: str
    before: Decimal
    after: Decimal
    difference: Decimal
    low: Decimal | None
    high: Decimal | None
    month: Decimal | None


@dataclass(frozen=True, slots=True, kw_only=True)
class CostDiff:
    """The whole. ``runs`` were recorded with their nodes of ``all_runs`` in ``days``; ``unchanged`` nodes are not
    listed. ``incomplete``: what the sums leave out.
    """

    app: str
    before: str
    after: str
    runs: int
    all_runs: int
    days: float
    nodes: tuple[NodeCost, ...]
    sums: tuple[CostSum, ...]
    unchanged: int
    incomplete: tuple[str, ...]
    prices: str
    warnings: tuple[str, ...] = field(default=(), repr=False)


def compare_costs(
    app: str, sides: tuple[tuple[str, Mapping[str, Any]], tuple[str, Mapping[str, Any]]], recorded: RecordedCalls,
    prices: Prices, *, day: int,
) -> CostDiff:  # fmt: skip
    """Price what changed between two documents. ``day`` (since 1970): whose prices hold."""
    (left, old), (right, new) = sides
    before, after = priced_nodes(old), priced_nodes(new)
    books = _Books(recorded=recorded, prices=prices, day=day)
    lines, incomplete, unchanged = list[NodeCost](), list[str](), 0
    for node in dict.fromkeys((*before, *after)):
        one, two = before.get(node), after.get(node)
        if not ((one and one.calls_model) or (two and two.calls_model)):
            continue
        change = _change(one, two, before, after, recorded)
        if not change.what:
            unchanged += 1
            continue
        line = _line(node, one, two, change, books)
        lines.append(line)
        if line.unknown:
            incomplete.append(f"{line.title}: {line.unknown}")
    sums = tuple(_sum(currency, runs, recorded) for currency, runs in sorted(books.per_run.items()))
    return CostDiff(
        app=app, before=left, after=right, runs=len(recorded.chances), all_runs=recorded.runs, days=recorded.days,
        nodes=tuple(lines), sums=sums, unchanged=unchanged, incomplete=tuple(incomplete), prices=prices.name,
        warnings=_warnings(recorded),
    )  # fmt: skip


def priced_nodes(document: Mapping[str, Any]) -> dict[str, Priced]:
    """Return the nodes of a document that cost tokens, and those that send them chunks, by id."""
    config = as_dict(document.get("model_config"))
    if config:
        model = as_dict(config.get("model"))
        text = text_of(config.get("pre_prompt"))
        return {CHAT: _priced(CHAT, CHAT, "chat", model, len(text))}
    soul = as_dict(document.get("agent_soul"))
    if soul:
        chosen = as_dict(soul.get("model"))
        model = {"provider": chosen.get("model_provider"), "name": chosen.get("model")}
        return {
            CHAT: _priced(CHAT, CHAT, "agent", model, len(text_of(as_dict(soul.get("prompt")).get("system_prompt"))))
        }
    found = {}
    for node in iter_nodes(document):
        model = as_dict(node.data.get("model"))
        made = _priced(node.id, node.title or node.id, node.type, model, _characters(node.data))
        reads = sorted({ref for name in _REFERENCES for ref in _sources(node.data.get(name))})
        found[node.id] = replace(made, reads=tuple(reads), chunks=_chunks(node.data))
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class _Change:
    """What changed at a node, and what it does to a call: tokens added to the prompt, a limit of the answer."""

    what: tuple[str, ...] = ()
    added: float = 0.0
    chunks: float = 0.0
    most: int | None = None
    assumes: tuple[str, ...] = ()


def _by_run() -> dict[str, list[Decimal]]:
    return defaultdict(lambda: [Decimal(0), Decimal(0)])


@dataclass(slots=True, kw_only=True)
class _Books:
    """What the lines are reckoned with, and by currency and run what the nodes took before and take after."""

    recorded: RecordedCalls
    prices: Prices
    day: int
    per_run: dict[str, dict[str, list[Decimal]]] = field(default_factory=lambda: defaultdict(_by_run))


def _priced(node: str, title: str, kind: str, model: Mapping[str, Any], prompt: int) -> Priced:
    limit = as_dict(model.get("completion_params")).get("max_tokens")
    return Priced(
        id=node, title=title, type=kind, provider=text_of(model.get("provider")), model=text_of(model.get("name")),
        prompt=prompt, most=limit if isinstance(limit, int) and not isinstance(limit, bool) and limit > 0 else None,
    )  # fmt: skip


def _characters(data: Mapping[str, Any]) -> int:
    template = data.get("prompt_template")
    parts = [template] if isinstance(template, dict) else as_list(template)
    texts = [text_of(as_dict(part).get("jinja2_text") or as_dict(part).get("text")) for part in parts]
    classes = [text_of(as_dict(item).get("name")) for item in as_list(data.get("classes"))]
    return sum(map(len, (*texts, *classes, text_of(data.get("instruction")))))


def _chunks(data: Mapping[str, Any]) -> int | None:
    multiple = as_dict(data.get("multiple_retrieval_config"))
    top = multiple.get("top_k")
    return top if isinstance(top, int) and not isinstance(top, bool) and top > 0 else None


def _sources(value: object) -> Iterable[str]:
    selector = as_dict(value).get("variable_selector") if isinstance(value, dict) else value
    if isinstance(selector, list) and selector and isinstance(selector[0], str):
        yield selector[0]


def _change(
    one: Priced | None, two: Priced | None, before: Mapping[str, Priced], after: Mapping[str, Priced],
    recorded: RecordedCalls,
) -> _Change:  # fmt: skip
    if one is None or not one.calls_model:
        return _Change(what=(f"new, {two.model}" if two else "new",))
    if two is None or not two.calls_model:
        return _Change(what=("gone",))
    what, assumes, added, chunks = list[str](), list[str](), 0.0, 0.0
    if (one.provider, one.model) != (two.provider, two.model):
        what.append(f"model {one.model} to {two.model}")
        assumes.append("the other model takes and gives as many tokens")
    if one.prompt != two.prompt:
        added = (two.prompt - one.prompt) / CHARACTERS_PER_TOKEN
        what.append(f"prompt {two.prompt - one.prompt:+d} characters")
        assumes.append(f"{counted(CHARACTERS_PER_TOKEN, 'character is', 'characters are')} a token")
    for source in two.reads:
        first, second = (side[source].chunks if source in side else None for side in (before, after))
        size = recorded.sizes.get(source)
        if first and second and first != second:
            what.append(f"top_k of {after[source].title} {first} to {second}")
            if size is None:
                assumes.append("what is retrieved was never recorded: not counted")
            else:
                chunks += size / CHARACTERS_PER_TOKEN * (second / first - 1)
                assumes.append("as many characters a chunk, and the index holds that many")
    if one.most != two.most:
        what.append(f"max_tokens {one.most or 'none'} to {two.most or 'none'}")
        if two.most is None or (one.most is not None and two.most > one.most):
            assumes.append("answers that were cut stay as long as they were")
    return _Change(what=tuple(what), added=added, chunks=chunks, most=two.most, assumes=tuple(assumes))


def _line(node: str, one: Priced | None, two: Priced | None, change: _Change, books: _Books) -> NodeCost:
    recorded, prices, day, per_run = books.recorded, books.prices, books.day, books.per_run
    calls = recorded.calls.get(node, ())
    title = next((item.title for item in (two, one) if item is not None), node)
    weight = sum(1 / recorded.chances[run] for run in recorded.chances) or 1.0
    shown = NodeCost(
        node=node, title=title, what=change.what, assumes=change.assumes, before=None, after=None, currency="",
        calls=round(sum(1 / recorded.chances[call.run] for call in calls) / weight, 3),
        prompt=_mean(recorded, calls, lambda call: call.prompt),
        completion=_mean(recorded, calls, lambda call: call.completion),
    )  # fmt: skip
    if not calls:
        return replace(shown, unknown="no recorded call tells its tokens")
    mine = _by_run()
    currencies: set[str] = set()
    for call in calls:
        for side, (priced, moved) in enumerate(((one, call), (two, _moved(call, change)))):
            if priced is None or not priced.calls_model:
                continue
            slot = prices.slot(priced.provider, priced.model, moved.prompt, moved.half_hour)
            rate = prices.rate(priced.provider, priced.model, day, slot)
            amount = rate.amount(moved.prompt, moved.completion) if rate else None
            if rate is None or amount is None:
                return replace(shown, unknown=f"{priced.provider}/{priced.model} has no list price")
            currencies.add(rate.currency)
            mine[call.run][side] += amount
    if len(currencies) > 1:
        return replace(shown, unknown=f"priced in {' and '.join(sorted(currencies))}, which are not mixed")
    currency = currencies.pop()
    for run, (old, new) in mine.items():
        per_run[currency][run][0] += old
        per_run[currency][run][1] += new
    old, _, _ = _per_thousand(recorded, {run: pair[0] for run, pair in mine.items()})
    new, _, _ = _per_thousand(recorded, {run: pair[1] for run, pair in mine.items()})
    gap, low, high = _per_thousand(recorded, {run: pair[1] - pair[0] for run, pair in mine.items()})
    return replace(shown, before=old, after=new, currency=currency, difference=gap, low=low, high=high)


def _moved(call: RecordedCall, change: _Change) -> RecordedCall:
    prompt = max(0, round(call.prompt + change.added + change.chunks))
    completion = call.completion if change.most is None else min(call.completion, change.most)
    return replace(call, prompt=prompt, completion=completion)


def _mean(recorded: RecordedCalls, calls: Sequence[RecordedCall], value: Any) -> float:
    weight = sum(1 / recorded.chances[call.run] for call in calls)
    total = sum(value(call) / recorded.chances[call.run] for call in calls)
    return round(total / weight, 1) if weight else 0.0


def _sum(currency: str, runs: Mapping[str, list[Decimal]], recorded: RecordedCalls) -> CostSum:
    old, _, _ = _per_thousand(recorded, {run: pair[0] for run, pair in runs.items()})
    new, _, _ = _per_thousand(recorded, {run: pair[1] for run, pair in runs.items()})
    gap, low, high = _per_thousand(recorded, {run: pair[1] - pair[0] for run, pair in runs.items()})
    a_month = Decimal(repr(recorded.runs / recorded.days * 30)) / _PER if recorded.days >= 1 else None
    month = tidy(round(gap * a_month, 6)) if a_month is not None else None
    return CostSum(currency=currency, before=old, after=new, difference=gap, low=low, high=high, month=month)


def _per_thousand(
    recorded: RecordedCalls, values: Mapping[str, Decimal]
) -> tuple[Decimal, Decimal | None, Decimal | None]:  # fmt: skip
    """Return the mean of a thousand runs with its interval; a run that is not among the values costs nothing here."""
    pairs = [(1 / chance, float(values.get(run, Decimal(0)))) for run, chance in recorded.chances.items()]
    weight = math.fsum(part for part, _ in pairs)
    mean = math.fsum(part * value for part, value in pairs) / weight
    amount = _amount(mean * _PER)
    if len(pairs) < 2:
        return amount, None, None
    spread = math.fsum((part * (value - mean)) ** 2 for part, value in pairs) / weight**2
    reach = student_value(0.95, len(pairs) - 1) * math.sqrt(spread * len(pairs) / (len(pairs) - 1))
    return amount, _amount((mean - reach) * _PER), _amount((mean + reach) * _PER)


def _amount(value: float) -> Decimal:
    return tidy(round(Decimal(repr(value)), 9))


def _warnings(recorded: RecordedCalls) -> tuple[str, ...]:
    if not recorded.chances:
        return ("No run with its nodes is recorded in that time: difyops history sync --nodes 100%.",)
    if len(recorded.chances) < 30:
        return (
            f"Only {counted(len(recorded.chances), 'run was', 'runs were')} recorded with their nodes: the"
            " figures are rough.",
        )
    return ()
