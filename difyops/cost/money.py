"""Money: exact decimals, one sum for each currency. Currencies are added only by rates that somebody gave.

"RMB" is Dify's spelling of CNY. A rate is what one unit of a currency is worth in the currency of the rates file:

    currency: USD
    date: 2026-11-01
    rates: {CNY: "0.1404", EUR: "1.0862"}
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

from difyops.dsl.load import load_yaml
from difyops.dsl.model import DslError
from difyops.errors import UsageError

_SPELLINGS = {"RMB": "CNY", "CNH": "CNY", "US$": "USD", "$": "USD"}
_EXAMPLE = "currency: USD, rates: {CNY: '0.14'}"


def currency_of(text: str) -> str:
    """Return the usual three letters of a currency."""
    name = text.strip().upper()
    return _SPELLINGS.get(name, name)


def amount_of(text: object) -> Decimal | None:
    """Return an amount, ``None`` for what is none (blank, words, infinite, below zero)."""
    try:
        found = Decimal(str(text).strip()) if text not in (None, "") else None
    except InvalidOperation:
        return None
    return found if found is not None and found.is_finite() and found >= 0 else None


def tidy(value: Decimal) -> Decimal:
    """Return an amount without zeros that say nothing, and never in the form 1E+2."""
    found = value.normalize()
    return found.quantize(Decimal(1)) if found.as_tuple().exponent > 0 else found  # type: ignore[operator]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rates:
    """What one unit of each currency is worth in ``currency``. Without any, every currency stays as it is."""

    currency: str = ""
    date: str = ""
    worth: Mapping[str, Decimal]

    def exchange(self, currency: str) -> tuple[str, Decimal]:
        """Return the currency in which an amount is shown, and what it is to be multiplied by."""
        if not self.currency or currency == self.currency or currency not in self.worth:
            return currency, Decimal(1)
        return self.currency, self.worth[currency]


UNMIXED = Rates(worth={})


def read_rates(file: Path) -> Rates:
    """Read a rates file (YAML or JSON).

    Raises:
        UsageError: it cannot be read, or a rate is no number above zero; names the field.
    """
    try:
        body: Any = load_yaml(file.read_bytes(), what=str(file))
    except OSError as error:
        raise UsageError(f"--rates: {file} cannot be read: {error.strerror or error}.", hint=_EXAMPLE) from error
    except DslError as error:
        raise UsageError(f"--rates: {file}: {error.message}", hint=_EXAMPLE) from error
    if not isinstance(body, dict) or not isinstance(body.get("rates"), dict) or not body.get("currency"):
        raise UsageError(f"--rates: {file} must hold currency and rates.", hint=_EXAMPLE)
    worth = {}
    for name, value in body["rates"].items():
        found = amount_of(value)
        if found is None or found == 0 or isinstance(value, bool):
            raise UsageError(f"--rates: {file}: rates.{name} is no number above zero.", hint=_EXAMPLE)
        worth[currency_of(str(name))] = found
    return Rates(currency=currency_of(str(body["currency"])), date=str(body.get("date") or ""), worth=worth)
