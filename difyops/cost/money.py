"""Money: exact decimals, one sum for each currency. Currencies are added only by rates that somebody gave.

"RMB" is Dify's spelling of CNY. A rate is what one unit of a currency is worth in the currency of the rates file:

    currency: USD
    date: 2026-11-01
    rates: {CNY: "0.1404", EUR: "1.0862"}
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal, InvalidOperation
from functools import partial
from pathlib import Path
from typing import Annotated, Any

from difyops.errors import UsageError
from difyops.setting_problems import BadSetting, named
from difyops.settings import Fault, Named, SettingType
from difyops.settings_file import read_file

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


def amount(value: Any, *, zero: bool = True) -> Decimal:
    """Return an amount as a file says it, a number or a text.

    Raises:
        BadSetting: it is none.
    """
    found = None if isinstance(value, bool) else amount_of(value)
    if found is None or not (zero or found):
        raise BadSetting(f"expected an amount{'' if zero else ' above zero'}, found {named(value)}")
    return found


_AMOUNT = {"type": ["string", "number"]}
Amount = Annotated[Decimal, SettingType(amount, _AMOUNT)]
Rate = Annotated[Decimal, SettingType(partial(amount, zero=False), _AMOUNT)]
Currency = Annotated[str, SettingType(lambda value: currency_of(str(value)))]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rates:
    """What one unit of each currency is worth in ``currency``. Without any, every currency stays as it is."""

    currency: Currency = ""
    date: str = ""
    worth: Annotated[Mapping[str, Rate], Named("rates"), "what one unit of each is worth"]

    def faults(self) -> Iterator[Fault]:
        """Yield what is missing."""
        if not self.currency:
            yield ("currency",), "this field is required"

    def exchange(self, currency: str) -> tuple[str, Decimal]:
        """Return the currency in which an amount is shown, and what it is to be multiplied by."""
        if not self.currency or currency == self.currency or currency not in self.worth:
            return currency, Decimal(1)
        return self.currency, self.worth[currency]


UNMIXED = Rates(worth={})


def read_rates(file: Path) -> Rates:
    """Read a rates file (YAML or JSON).

    Raises:
        UsageError: it cannot be read, or a rate is no number above zero; names file, line and field.
    """
    found, _ = read_file(Rates, file, error=UsageError, hint=f"--rates: {_EXAMPLE}")
    return replace(found, worth={currency_of(name): value for name, value in found.worth.items()})
