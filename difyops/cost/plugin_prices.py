"""What Dify's own model plugins say a token costs: the shipped table, or the YAML files of a checkout.

A server reckons with these prices; its API does not tell them. ``unit`` is the part of a price that one token costs:
price x unit x tokens. Files without ``pricing`` make Dify count 0 "USD".
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

from difyops.cost.money import currency_of
from difyops.cost.prices import DATA, provider_of
from difyops.dsl.load import load_yaml
from difyops.dsl.model import DslError
from difyops.errors import StoreError, UsageError

_MILLION = Decimal(1_000_000)


@dataclass(frozen=True, slots=True, kw_only=True)
class PluginPrice:
    """One model of one plugin as its YAML tells it; texts as they stand there, blank where they do not."""

    provider: str
    model: str
    input: str = ""
    output: str = ""
    unit: str = ""
    currency: str = ""
    deprecated: bool = False

    @property
    def row(self) -> tuple[Any, ...]:
        """Return it as a row of the shipped table."""
        return (self.provider, self.model, self.input, self.output, self.unit, self.currency, int(self.deprecated))

    @property
    def per_million(self) -> tuple[Decimal, Decimal] | None:
        """Return what a million tokens of input and of output cost; ``None`` without a price."""
        try:
            unit = Decimal(self.unit)
            found = Decimal(self.input) * unit * _MILLION, Decimal(self.output or "0") * unit * _MILLION
        except InvalidOperation:
            return None
        return found if all(value.is_finite() for value in found) else None


def shipped() -> tuple[PluginPrice, ...]:
    """Return the table in the package."""
    body = json.loads(max(DATA.glob("plugins-*.json")).read_text(encoding="utf-8"))
    return tuple(_of_row(row) for row in body["models"])


def read_folder(folder: Path) -> tuple[PluginPrice, ...]:
    """Read ``models/*/models/llm/*.yaml`` of a checkout of Dify's plugins, or ``models/llm/*.yaml`` of one plugin.

    A file that our strict reader refuses (a key twice) is a model without a price, by the name of the file: it must
    not be missing from the count.

    Raises:
        UsageError: there are none. StoreError: one cannot be read.
    """
    several = sorted(folder.glob("models/*/models/llm/*.y*ml"))
    files = several or sorted(folder.glob("models/llm/*.y*ml"))
    files = [file for file in files if not file.name.startswith("_")]
    if not files:
        raise UsageError(f"{folder} holds no model plugin.", hint="It has models/PLUGIN/models/llm/NAME.yaml.")
    return tuple(item for file in files for item in _of_file(file))


def _of_file(file: Path) -> Iterator[PluginPrice]:
    try:
        body = load_yaml(file.read_bytes(), what=str(file))
    except OSError as error:
        raise StoreError(f"{file} cannot be read: {error.strerror or error}.") from error
    except DslError:
        body = {"model_type": "llm", "model": file.stem}
    if not isinstance(body, dict) or body.get("model_type") != "llm" or not body.get("model"):
        return
    pricing = body.get("pricing")
    price = pricing if isinstance(pricing, dict) else {}
    yield PluginPrice(
        provider=file.parents[2].name, model=str(body["model"]), input=_text(price.get("input")),
        output=_text(price.get("output")), unit=_text(price.get("unit")), currency=_text(price.get("currency")),
        deprecated=bool(body.get("deprecated")),
    )  # fmt: skip


def _text(value: Any) -> str:
    return "" if value is None else str(value)


def _of_row(row: list[Any]) -> PluginPrice:
    provider, model, price, output, unit, currency, deprecated = row
    return PluginPrice(
        provider=provider, model=model, input=price, output=output, unit=unit, currency=currency,
        deprecated=bool(deprecated),
    )  # fmt: skip


def key_of(item: PluginPrice) -> tuple[str, str, str]:
    """Return provider, model and currency in the spelling that prices are compared in."""
    return provider_of(item.provider), item.model, currency_of(item.currency)
