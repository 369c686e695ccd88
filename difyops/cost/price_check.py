"""``cost prices check``: where Dify's plugins, what Dify reckoned in our history, and the list of prices disagree.

A model without a price at Dify counts there as 0 "USD" without a word; here it is "not priced by Dify". What is in no
list is "unpriced": its tokens are told, its money is not guessed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal

from difyops.cost.plugin_prices import PluginPrice, key_of
from difyops.cost.prices import EPOCH, Prices
from difyops.cost.spending import CostLine
from difyops.counting import counted
from difyops.errors import AnswerIsNo, DifyopsError

AGREES, DIFFERS, OTHER_CURRENCY = "agrees", "differs", "other currency"
NOT_BY_DIFY, NOT_LISTED, UNPRICED = "not priced by Dify", "not in the list", "unpriced"
STATUSES = (DIFFERS, NOT_BY_DIFY, UNPRICED, NOT_LISTED, OTHER_CURRENCY, AGREES)
_MILLION = Decimal(1_000_000)
Pair = tuple[Decimal, Decimal]


@dataclass(frozen=True, slots=True, kw_only=True)
class PricesCompared:
    """One model: what Dify's plugin and the list ask for a million tokens of input and output.

    ``factor`` is Dify's price over the list's, of the side that is further off. ``tokens`` is how much of it was used.
    """

    provider: str
    model: str
    status: str
    currency: str
    dify_input: Decimal | None = None
    dify_output: Decimal | None = None
    list_input: Decimal | None = None
    list_output: Decimal | None = None
    factor: float | None = None
    tokens: int = 0
    source: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PriceCheck:
    """All models that were looked at, the worst first; ``counts`` by status, none left out."""

    plugins: str
    prices: str
    tolerance: float
    models: tuple[PricesCompared, ...]
    counts: dict[str, int]
    used: int

    @property
    def error(self) -> DifyopsError | None:
        """Return the no: a model that was used is priced wrongly or not at all by Dify."""
        bad = [item for item in self.models if item.status in (DIFFERS, NOT_BY_DIFY) and (item.tokens or not self.used)]
        if not bad:
            return None
        words = ", ".join(f"{item.provider}/{item.model}" for item in bad[:3])
        return AnswerIsNo(f"{counted(len(bad), 'model is', 'models are')} priced otherwise, or not, by Dify: {words}.",
                          hint="difyops cost summary --by model")  # fmt: skip


def check(
    plugins: Iterable[PluginPrice], prices: Prices, *, day: int, tolerance: float = 0.01,
    used: Sequence[CostLine] = (), source: str = "",
) -> PriceCheck:  # fmt: skip
    """Compare every model; with ``used`` (lines by model) those that were used, and say how much."""
    spent = {line.id.lower(): line for line in used if "/" in line.id}
    found: list[PricesCompared] = []
    known: set[str] = set()
    for item in plugins:
        names = {name for name in spent if _means(name, item)}
        if used and not names:
            continue
        known |= names
        found.append(_compared(item, prices, day, tolerance, sum(spent[name].tokens for name in names)))
    found += [_unknown(line, prices, day) for name, line in spent.items() if name not in known]
    found.sort(
        key=lambda item: (STATUSES.index(item.status), -item.tokens, -_off(item.factor), item.provider, item.model)
    )
    return PriceCheck(
        plugins=source, prices=prices.name, tolerance=tolerance, models=tuple(found),
        counts=dict(Counter(item.status for item in found)), used=len(spent),
    )  # fmt: skip


def _means(name: str, item: PluginPrice) -> bool:
    """Say whether ``author/plugin/provider/model``, where the model may hold slashes itself, is this model."""
    parts = name.split("/", 3)
    provider, model = (parts[2], parts[3]) if len(parts) == 4 else (parts[0], "/".join(parts[1:]))
    return provider == item.provider.lower() and model == item.model.lower()


def _compared(item: PluginPrice, prices: Prices, day: int, tolerance: float, tokens: int) -> PricesCompared:
    _, model, currency = key_of(item)
    dify = item.per_million
    listed, own_currency, source = _listed(prices, item.provider, model, day)
    is_free = listed is not None and not any(listed)
    if dify is not None and not any(dify) and not is_free:
        dify = None  # 0 in the file of a model that is not known to be free counts as none
    factor = _factor(dify, listed) if dify and listed and currency == own_currency else None
    if dify is None:
        status = NOT_BY_DIFY if listed else UNPRICED
    elif listed is None:
        status = NOT_LISTED
    elif currency != own_currency:
        status = OTHER_CURRENCY
    elif factor is None:
        status = AGREES if dify == listed else DIFFERS
    else:
        status = AGREES if _off(factor) <= _off(1 + tolerance) else DIFFERS
    return PricesCompared(
        provider=item.provider, model=item.model, status=status, currency=currency or own_currency,
        dify_input=dify[0] if dify else None, dify_output=dify[1] if dify else None,
        list_input=listed[0] if listed else None, list_output=listed[1] if listed else None,
        factor=factor, tokens=tokens, source=source,
    )  # fmt: skip


def _unknown(line: CostLine, prices: Prices, day: int) -> PricesCompared:
    """Judge a model that was used and stands in no plugin that we know: a custom one, or a newer plugin's."""
    parts = line.id.split("/", 3)
    provider, model = ("/".join(parts[:3]), parts[3]) if len(parts) == 4 else (parts[0], "/".join(parts[1:]))
    listed, currency, source = _listed(prices, provider, model, day)
    by_dify = any(amount.amount for amount in line.said)
    status = {(True, True): AGREES, (True, False): NOT_LISTED, (False, True): NOT_BY_DIFY}.get(
        (by_dify, listed is not None), UNPRICED
    )
    factor = None
    if by_dify and listed:
        said = {item.currency: item.amount for item in line.said}
        wanted = {item.currency: item.amount for item in line.listed}
        factor = next((float(said[name] / wanted[name]) for name in said if wanted.get(name)), None)
        status = OTHER_CURRENCY if factor is None else AGREES if _off(factor) <= _off(1.01) else DIFFERS
    return PricesCompared(
        provider=provider, model=model, status=status, currency=currency, tokens=line.tokens, factor=factor,
        list_input=listed[0] if listed else None, list_output=listed[1] if listed else None, source=source,
    )  # fmt: skip


def _listed(prices: Prices, provider: str, model: str, day: int) -> tuple[Pair | None, str, str]:
    rate = prices.rate(provider, model, day)
    if rate is None:
        return None, "", ""
    entry = prices.find(provider, model)
    source = entry.source if entry else "your own price"
    return (rate.input * _MILLION, (rate.output or Decimal(0)) * _MILLION), rate.currency, source


def _factor(dify: Pair, listed: Pair) -> float | None:
    ratios = [float(one / two) for one, two in zip(dify, listed, strict=True) if two]
    return max(ratios, key=_off, default=None)


def _off(factor: float | None) -> float:
    if not factor:
        return float("inf") if factor is not None else 0.0
    return max(factor, 1 / factor)


def today(timestamp: float) -> int:
    """Return the day (since 1970) of a moment."""
    return int(timestamp // 86400)


def day_of(text: str) -> int:
    """Return the day (since 1970) of an ISO date."""
    from datetime import date

    return date.fromisoformat(text).toordinal() - EPOCH
