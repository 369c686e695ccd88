"""List prices by day: the dated table in the package, and above it what the user says.

A row holds from a day on, for some hours of a day, or above a number of input tokens (then for all tokens of the call,
as providers reckon). Dify tells no cached tokens, so a prompt that a provider had cached is priced in full: where
prompt caching is on, a list price is the most that it can be. The user's prices lie beside the configuration file
(``prices.json``), with the day from which they hold.
"""

from __future__ import annotations

import json
import re
from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from fnmatch import fnmatchcase
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

from difyops.cost.own_prices import OwnPrice, read_own

DATA = Path(__file__).with_name("data")
HALF_HOURS = 48
EPOCH = date(1970, 1, 1).toordinal()
_COMPACT_DATE = re.compile(r"-(20\d\d)(0[1-9]|1[0-2])([0-2]\d|3[01])(?!\d)")
NAMES = {
    "azure_openai": "azure", "azure_ai_studio": "azure", "gemini": "google", "vertex_ai": "google", "bedrock": "aws",
    "mistralai": "mistral", "togetherai": "together", "moonshot": "moonshotai", "x": "x-ai", "voyage": "voyageai",
    "chatglm": "zhipuai",
}  # fmt: skip


def provider_of(text: str) -> str:
    """Return the list's name of a provider as Dify spells it (``langgenius/openai/openai``, ``openai``)."""
    name = text.rpartition("/")[2].strip().lower()
    return NAMES.get(name, name)


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelRate:
    """What one token of input and one of output cost; ``output`` is ``None`` where the list names none."""

    input: Decimal
    output: Decimal | None
    cached: Decimal | None
    currency: str

    def amount(self, prompt: int, completion: int) -> Decimal | None:
        """Return what a number of tokens costs; ``None`` where a needed price is missing."""
        if completion and self.output is None:
            return None
        return self.input * prompt + (self.output or Decimal(0)) * completion


@dataclass(frozen=True, slots=True, kw_only=True)
class PriceStep:
    """A price that holds from a day on (days since 1970), or within hours of a day (half hours from midnight UTC)."""

    base: ModelRate
    tiers: tuple[tuple[int, ModelRate], ...] = ()
    since: int | None = None
    hours: tuple[int, int] | None = None

    def holds(self, day: int, half_hour: int) -> bool:
        """Say whether it holds on a day at a time of day."""
        if self.hours is not None:
            start, end = self.hours
            return start <= half_hour < end if start <= end else half_hour >= start or half_hour < end
        return self.since is None or day >= self.since


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedPrice:
    """A model with its prices in the order of the list; later ones go before earlier ones."""

    provider: str
    model: str
    steps: tuple[PriceStep, ...]
    source: str
    date: str

    def step(self, day: int, half_hour: int = 0) -> PriceStep:
        """Return the price that holds at a moment; before all of them, the first."""
        return next((step for step in reversed(self.steps) if step.holds(day, half_hour)), self.steps[0])

    @property
    def is_by_hour(self) -> bool:
        """Say whether the time of day matters."""
        return any(step.hours for step in self.steps)


@dataclass(frozen=True, kw_only=True, eq=False)
class Prices:
    """All list prices. ``thresholds`` are the sizes of input at which some model's price changes."""

    table: Mapping[str, Any]
    own: Sequence[OwnPrice] = ()
    _found: dict[tuple[str, str], ListedPrice | None] = field(default_factory=dict, repr=False)

    @property
    def name(self) -> str:
        """Return what the list was made from, and when."""
        return f"{self.table['from']} of {self.table['date']}"

    @cached_property
    def thresholds(self) -> tuple[int, ...]:
        """Return the sizes in order."""
        rows = (row for body in self.table["providers"].values() for row in body["models"])
        sizes = (tier["above"] for row in rows for price in row["prices"] for tier in price.get("tiers", ()))
        return tuple(sorted({*sizes}))

    def slot(self, provider: str, model: str, prompt: int, half_hour: int) -> int:
        """Return the part of the price list that one call falls into: its size, and its time where that matters."""
        found = self.find(provider, model)
        part = bisect_left(self.thresholds, prompt) if found and any(step.tiers for step in found.steps) else 0
        return part * HALF_HOURS + (half_hour if found and found.is_by_hour else 0)

    def rate(self, provider: str, model: str, day: int, slot: int = 0) -> ModelRate | None:
        """Return the price of a call of a slot on a day (since 1970); ``None`` where no list knows the model."""
        for mine in self.own:
            if mine.fits(provider_of(provider), model, day):
                return _own_rate(mine)
        found = self.find(provider, model)
        if found is None:
            return None
        step = found.step(day, slot % HALF_HOURS)
        part = slot // HALF_HOURS
        least = self.thresholds[part - 1] if part else -1  # every call of the slot has more tokens than this
        return next((rate for start, rate in reversed(step.tiers) if start <= least), step.base)

    def find(self, provider: str, model: str) -> ListedPrice | None:
        """Return a model of the list in the package."""
        key = (provider, model)
        if key not in self._found:
            self._found[key] = self._search(provider_of(provider), model.strip().lower())
        return self._found[key]

    def _search(self, provider: str, model: str) -> ListedPrice | None:
        body = self.table["providers"].get(provider)
        if body is None or not model:
            return None
        names = [model, dashed] if (dashed := _COMPACT_DATE.sub(r"-\1-\2-\3", model)) != model else [model]
        places = [provider, *(name for name in body.get("fallback", ()) if name in self.table["providers"])]
        for name in names:
            for place in places:
                for row in self.table["providers"][place]["models"]:
                    if _fits(row["match"], name):
                        return self._listed(place, row)
        return None

    def _listed(self, provider: str, row: Mapping[str, Any]) -> ListedPrice:
        source = self.table["providers"][provider]["source"]
        per, currency = Decimal(self.table["per"]), self.table["currency"]
        steps = tuple(_step(price, per, currency) for price in row["prices"])
        return ListedPrice(provider=provider, model=row["id"], steps=steps, source=source, date=row["date"])

    def rows(self) -> Iterator[ListedPrice]:
        """Yield everything in the list of the package."""
        for provider, body in self.table["providers"].items():
            for row in body["models"]:
                yield self._listed(provider, row)


def load_prices(own: Path | None = None) -> Prices:
    """Return the newest table of the package, with the user's prices before it.

    Raises:
        ConfigError: the user's file cannot be read.
    """
    return Prices(table=_shipped(), own=read_own(own) if own else ())


@lru_cache(maxsize=1)
def _shipped() -> Mapping[str, Any]:
    found: Mapping[str, Any] = json.loads(max(DATA.glob("prices-*.json")).read_text(encoding="utf-8"))
    return found


def _step(price: Mapping[str, Any], per: Decimal, currency: str) -> PriceStep:
    base = _rate(price, {}, per, currency)
    tiers = tuple((tier["above"], _rate(tier, price, per, currency)) for tier in price.get("tiers", ()))
    since = date.fromisoformat(price["from"]).toordinal() - EPOCH if "from" in price else None
    hours = tuple(_half_hours(text) for text in price["hours"]) if "hours" in price else None
    return PriceStep(base=base, tiers=tiers, since=since, hours=hours)  # type: ignore[arg-type]  # two of them


def _half_hours(text: str) -> int:
    hours, minutes = text.split(":")
    return int(hours) * 2 + int(minutes) // 30


def _rate(price: Mapping[str, Any], base: Mapping[str, Any], per: Decimal, currency: str) -> ModelRate:
    def of(name: str) -> Decimal | None:
        text = price.get(name, base.get(name))
        return None if text is None else Decimal(text) / per

    return ModelRate(input=of("input") or Decimal(0), output=of("output"), cached=of("cached"), currency=currency)


def _own_rate(mine: OwnPrice) -> ModelRate:
    return ModelRate(input=mine.input / mine.per, output=mine.output / mine.per, cached=None, currency=mine.currency)


def _fits(clause: Sequence[Any], text: str) -> bool:
    match clause:
        case ["or", *parts]:
            return any(_fits(part, text) for part in parts)
        case ["and", *parts]:
            return all(_fits(part, text) for part in parts)
        case ["equals", value]:
            return text == str(value).lower()
        case ["starts_with", value]:
            return text.startswith(str(value).lower())
        case ["ends_with", value]:
            return text.endswith(str(value).lower())
        case ["contains", value]:
            return str(value).lower() in text
        case ["regex", value]:
            return re.search(str(value), text[:200]) is not None
    return False


def named(listed: ListedPrice, pattern: str) -> bool:
    """Say whether a pattern (glob, or a part of the name) means a model of the list."""
    name = f"{listed.provider}/{listed.model}".lower()
    wanted = pattern.lower()
    return fnmatchcase(name, wanted) if any(sign in wanted for sign in "*?[") else wanted in name
