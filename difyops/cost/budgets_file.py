"""The budgets: beside the configuration file, each for some apps or a user of a context, and a period of UTC."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Annotated

from difyops import atomic_file
from difyops.cost import BUDGETS_FILE
from difyops.cost.money import Amount, Currency, amount_of
from difyops.errors import UsageError
from difyops.setting_values import Name, one_of
from difyops.settings import Fault, written
from difyops.settings_file import read_file

FILE = BUDGETS_FILE
PERIODS = ("day", "week", "month")
PRICES = ("list", "dify")
_WRITES = "difyops cost budget set writes it."


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """What may be spent in a period. ``apps`` are selectors of the history; ``user`` an end user's id, blank for all.

    ``soft`` is where people are told; ``price`` says which column counts: the list's, or what Dify says.
    """

    name: Name
    context: Name
    hard: Amount
    soft: Amount
    currency: Currency = "USD"
    period: Annotated[str, one_of(*PERIODS)] = "month"
    apps: Annotated[tuple[Name, ...], "selectors of the history"] = ("all",)
    user: str = ""
    price: Annotated[str, one_of(*PRICES), "the list's, or what Dify says"] = "list"

    def faults(self) -> Iterator[Fault]:
        """Yield what goes not together."""
        if self.soft > self.hard:
            yield ("soft",), "soft is at most hard"

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


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetsFile:
    """The file."""

    budgets: tuple[Budget, ...]


def read_budgets(file: Path) -> tuple[Budget, ...]:
    """Return the budgets, by name.

    Raises:
        ConfigError: the file is not what ``write_budgets`` writes; names file, line and field.
    """
    found = read_file(BudgetsFile, file, hint=_WRITES)[0].budgets if file.exists() else ()
    return tuple(sorted(found, key=lambda item: item.name))


def write_budgets(file: Path, budgets: Sequence[Budget]) -> None:
    """Write the budgets.

    Raises:
        StoreError: the file cannot be written.
    """
    body = written(BudgetsFile(budgets=tuple(sorted(budgets, key=lambda item: item.name))))
    atomic_file.make_private_folder(file.parent)
    atomic_file.write(file, (json.dumps(body, indent=2) + "\n").encode())


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
