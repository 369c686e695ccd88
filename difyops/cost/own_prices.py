"""Prices that the user says: beside the configuration file, each for a provider and a model, from a day on."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated, Any

from difyops import atomic_file
from difyops.cost.money import Amount, Currency
from difyops.setting_problems import BadSetting, named
from difyops.setting_values import Name, whole
from difyops.settings import SettingType, written
from difyops.settings_file import read_file

FILE = "prices.json"
_EPOCH = date(1970, 1, 1).toordinal()


def _day(value: Any) -> str:
    try:
        return value and date.fromisoformat(value).isoformat()
    except (TypeError, ValueError):
        raise BadSetting(f"{named(value)} is no day", "Example: 2026-11-01") from None


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnPrice:
    """A price per ``per`` tokens; ``model`` may be a glob; ``since`` is an ISO day, blank for always."""

    provider: Name
    model: Annotated[Name, "may be a glob"]
    input: Amount
    output: Amount
    currency: Currency = "USD"
    per: Annotated[int, whole(1, 10**12), "so many tokens"] = 1_000_000
    since: Annotated[str, SettingType(_day), "an ISO day"] = ""
    said: str = ""
    note: str = ""

    def fits(self, provider: str, model: str, day: int) -> bool:
        """Say whether it prices a model on a day (since 1970)."""
        if self.since and day < date.fromisoformat(self.since).toordinal() - _EPOCH:
            return False
        return self.provider in (provider, "*") and fnmatchcase(model.lower(), self.model.lower())


@dataclass(frozen=True, slots=True, kw_only=True)
class PricesFile:
    """The file."""

    prices: tuple[OwnPrice, ...]


def read_own(file: Path) -> tuple[OwnPrice, ...]:
    """Return the user's prices, the one that counts first: exact names before globs, later days before earlier ones.

    Raises:
        ConfigError: the file is not what ``write_own`` writes; names file, line and field.
    """
    hint = "difyops cost prices set PROVIDER MODEL writes it."
    found = read_file(PricesFile, file, hint=hint)[0].prices if file.exists() else ()
    return tuple(sorted(found, key=_order, reverse=True))


def _order(price: OwnPrice) -> tuple[bool, bool, str, int]:
    globs = sum(price.model.count(sign) for sign in "*?[")
    return price.provider != "*", globs == 0, price.since, len(price.model)


def write_own(file: Path, prices: Sequence[OwnPrice]) -> None:
    """Write the user's prices.

    Raises:
        StoreError: the file cannot be written.
    """
    found = sorted(prices, key=lambda item: (item.provider, item.model, item.since))
    atomic_file.make_private_folder(file.parent)
    atomic_file.write(file, (json.dumps(written(PricesFile(prices=tuple(found))), indent=2) + "\n").encode())


def with_price(prices: Sequence[OwnPrice], added: OwnPrice) -> list[OwnPrice]:
    """Return the prices with one more; it takes the place of one of the same name and day."""
    return [*without(prices, added.provider, added.model, added.since), added]


def without(prices: Sequence[OwnPrice], provider: str, model: str, since: str) -> list[OwnPrice]:
    """Return the prices without the one of this name and day."""
    return [item for item in prices if (item.provider, item.model, item.since) != (provider, model, since)]
