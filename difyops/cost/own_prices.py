"""Prices that the user says: beside the configuration file, each for a provider and a model, from a day on."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from difyops import atomic_file
from difyops.cost.money import amount_of, currency_of
from difyops.errors import ConfigError

FILE = "prices.json"
_EPOCH = date(1970, 1, 1).toordinal()


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnPrice:
    """A price per ``per`` tokens; ``model`` may be a glob; ``since`` is an ISO day, blank for always."""

    provider: str
    model: str
    input: Decimal
    output: Decimal
    currency: str
    per: int = 1_000_000
    since: str = ""
    said: str = ""
    note: str = ""

    def fits(self, provider: str, model: str, day: int) -> bool:
        """Say whether it prices a model on a day (since 1970)."""
        if self.since and day < date.fromisoformat(self.since).toordinal() - _EPOCH:
            return False
        return self.provider in (provider, "*") and fnmatchcase(model.lower(), self.model.lower())


def read_own(file: Path) -> tuple[OwnPrice, ...]:
    """Return the user's prices, the one that counts first: exact names before globs, later days before earlier ones.

    Raises:
        ConfigError: the file is not what ``write_own`` writes; names the place.
    """
    try:
        body = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return ()
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"{file} cannot be read: {error}.", hint="difyops cost prices set PROVIDER MODEL writes it."
        ) from error
    rows = body.get("prices") if isinstance(body, dict) else None
    if not isinstance(rows, list):
        raise ConfigError(f"{file}: prices must be a list.", hint="difyops cost prices set PROVIDER MODEL writes it.")
    found = [_read(file, number, row) for number, row in enumerate(rows)]
    return tuple(sorted(found, key=_order, reverse=True))


def _order(price: OwnPrice) -> tuple[bool, bool, str, int]:
    globs = sum(price.model.count(sign) for sign in "*?[")
    return price.provider != "*", globs == 0, price.since, len(price.model)


def _read(file: Path, number: int, row: Any) -> OwnPrice:
    where = f"{file}: prices[{number}]"
    if not isinstance(row, dict) or not row.get("provider") or not row.get("model"):
        raise ConfigError(
            f"{where} wants provider and model.", hint="difyops cost prices set PROVIDER MODEL writes it."
        )
    amounts = [amount_of(row.get(name)) for name in ("input", "output")]
    per, since = row.get("per", 1_000_000), str(row.get("since") or "")
    if None in amounts or not isinstance(per, int) or isinstance(per, bool) or per < 1:
        raise ConfigError(f"{where}: input and output are amounts, per a number of tokens.")
    try:
        if since:
            date.fromisoformat(since)
    except ValueError as error:
        raise ConfigError(f"{where}.since is no day: {since!r}.", hint="Example: 2026-11-01") from error
    return OwnPrice(
        provider=str(row["provider"]), model=str(row["model"]), input=amounts[0] or Decimal(0),
        output=amounts[1] or Decimal(0), currency=currency_of(str(row.get("currency") or "USD")), per=per, since=since,
        said=str(row.get("said") or ""), note=str(row.get("note") or ""),
    )  # fmt: skip


def write_own(file: Path, prices: Sequence[OwnPrice]) -> None:
    """Write the user's prices.

    Raises:
        StoreError: the file cannot be written.
    """
    rows = [
        {
            "provider": item.provider, "model": item.model, "input": format(item.input, "f"),
            "output": format(item.output, "f"), "per": item.per, "currency": item.currency, "since": item.since,
            "said": item.said, "note": item.note,
        }
        for item in sorted(prices, key=lambda item: (item.provider, item.model, item.since))
    ]  # fmt: skip
    atomic_file.make_private_folder(file.parent)
    atomic_file.write(file, (json.dumps({"prices": rows}, indent=2) + "\n").encode())


def with_price(prices: Sequence[OwnPrice], added: OwnPrice) -> list[OwnPrice]:
    """Return the prices with one more; it takes the place of one of the same name and day."""
    return [*without(prices, added.provider, added.model, added.since), added]


def without(prices: Sequence[OwnPrice], provider: str, model: str, since: str) -> list[OwnPrice]:
    """Return the prices without the one of this name and day."""
    return [item for item in prices if (item.provider, item.model, item.since) != (provider, model, since)]
