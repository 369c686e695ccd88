"""The budgets: beside the configuration file, each for some apps or a user of a context, and a period of UTC."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from difyops import atomic_file
from difyops.cost import BUDGETS_FILE
from difyops.cost.money import amount_of, currency_of
from difyops.errors import ConfigError, UsageError

FILE = BUDGETS_FILE
PERIODS = ("day", "week", "month")
PRICES = ("list", "dify")
_WRITES = "difyops cost budget set writes it."


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """What may be spent in a period. ``apps`` are selectors of the history; ``user`` an end user's id, blank for all.

    ``soft`` is where people are told; ``price`` says which column counts: the list's, or what Dify says.
    """

    name: str
    context: str
    hard: Decimal
    soft: Decimal
    currency: str = "USD"
    period: str = "month"
    apps: tuple[str, ...] = ("all",)
    user: str = ""
    price: str = "list"

    def bounds(self, now: datetime) -> tuple[float, float]:
        """Return when the period that ``now`` lies in begins and ends (unix seconds)."""
        today = datetime(now.year, now.month, now.day, tzinfo=UTC)
        if self.period == "day":
            begin, end = today, today + timedelta(days=1)
        elif self.period == "week":
            begin = today - timedelta(days=today.weekday())
            end = begin + timedelta(days=7)
        else:
            begin = today.replace(day=1)
            end = (begin + timedelta(days=32)).replace(day=1)
        return begin.timestamp(), end.timestamp()


def read_budgets(file: Path) -> tuple[Budget, ...]:
    """Return the budgets, by name.

    Raises:
        ConfigError: the file is not what ``write_budgets`` writes; names the place.
    """
    try:
        body = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return ()
    except (OSError, ValueError) as error:
        raise ConfigError(f"{file} cannot be read: {error}.", hint=_WRITES) from error
    rows = body.get("budgets") if isinstance(body, dict) else None
    if not isinstance(rows, list):
        raise ConfigError(f"{file}: budgets must be a list.", hint=_WRITES)
    return tuple(
        sorted((_read(f"{file}: budgets[{n}]", row) for n, row in enumerate(rows)), key=lambda item: item.name)
    )


def _read(where: str, row: Any) -> Budget:
    if not isinstance(row, dict) or not row.get("name") or not row.get("context"):
        raise ConfigError(f"{where} wants name and context.", hint=_WRITES)
    hard, soft, apps = amount_of(row.get("hard")), amount_of(row.get("soft")), row.get("apps", ["all"])
    if hard is None or soft is None or soft > hard:
        raise ConfigError(f"{where}: hard and soft are amounts, soft at most hard.", hint=_WRITES)
    if not isinstance(apps, list) or not apps or not all(isinstance(item, str) for item in apps):
        raise ConfigError(f"{where}.apps is a list of selectors.", hint=_WRITES)
    period, price = str(row.get("period", "month")), str(row.get("price", "list"))
    if period not in PERIODS or price not in PRICES:
        raise ConfigError(
            f"{where}: period is one of {', '.join(PERIODS)}, price of {', '.join(PRICES)}.", hint=_WRITES
        )
    return Budget(
        name=str(row["name"]), context=str(row["context"]), hard=hard, soft=soft, period=period, apps=tuple(apps),
        currency=currency_of(str(row.get("currency") or "USD")), user=str(row.get("user") or ""), price=price,
    )  # fmt: skip


def write_budgets(file: Path, budgets: Sequence[Budget]) -> None:
    """Write the budgets.

    Raises:
        StoreError: the file cannot be written.
    """
    rows = [
        {
            "name": item.name, "context": item.context, "hard": format(item.hard, "f"), "soft": format(item.soft, "f"),
            "currency": item.currency, "period": item.period, "apps": [*item.apps], "user": item.user,
            "price": item.price,
        }
        for item in sorted(budgets, key=lambda item: item.name)
    ]  # fmt: skip
    atomic_file.make_private_folder(file.parent)
    atomic_file.write(file, (json.dumps({"budgets": rows}, indent=2) + "\n").encode())


def named_budgets(budgets: Sequence[Budget], names: Sequence[str], context: str) -> list[Budget]:
    """Return the budgets of a context that are named; none named means all of them.

    Raises:
        UsageError: there is none of that name, or none at all.
    """
    mine = [item for item in budgets if item.context == context]
    missing = [name for name in names if name not in {item.name for item in mine}]
    if missing or not mine:
        known = ", ".join(item.name for item in mine) or "none"
        said = f"There is no budget {missing[0]!r} of {context}" if missing else f"{context} has no budget"
        raise UsageError(f"{said} (known: {known}).", hint="difyops cost budget set NAME --hard 500")
    return [item for item in mine if not names or item.name in names]


def soft_of(text: str, hard: Decimal) -> Decimal:
    """Read the soft limit: an amount, or a share of the hard one (``80%``).

    Raises:
        UsageError: it is neither, or above the hard one.
    """
    found = amount_of(text.removesuffix("%"))
    if found is not None and text.endswith("%"):
        found = hard * found / 100
    if found is None or found > hard:
        raise UsageError(f"--soft {text!r} is no amount up to --hard.", hint="Examples: 80%, 400")
    return found
