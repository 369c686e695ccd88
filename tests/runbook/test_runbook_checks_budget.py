"""``cost.budget`` in a runbook: over fails, kept passes, what nobody can judge is inconclusive."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

from difyops.cost import budgets_file
from difyops.cost.budgets_file import Budget
from difyops.cost.prices import load_prices
from difyops.history.store import History
from difyops.runbook.result import Fail, Inconclusive, Pass, Warn
from tests.cost.conftest import NOON, Book, node
from tests.runbook.runbook_tools import check, resources_at


class At:
    """A clock that stands still, for days; waiting goes on."""

    def now(self) -> datetime:
        return datetime.fromtimestamp(NOON, UTC)

    def monotonic(self) -> float:
        return 0.0

    async def sleep(self, seconds: float) -> None:
        return None


async def test_a_budget_in_a_runbook(tmp_path: Path) -> None:
    made = Budget(name="shop", context="-", hard=Decimal(100), soft=Decimal(80), price="dify")
    async with resources_at(tmp_path, clock=At()) as resources:
        assert isinstance(await check(resources, "cost.budget"), Inconclusive)  # no history
        with History.open(resources.config.state) as history:
            book = Book(history, load_prices(), context="-")
            book.app("shop")
            assert isinstance(await check(resources, "cost.budget"), Inconclusive)  # no budget
            budgets_file.write_budgets(resources.config.user_file.with_name(budgets_file.FILE), [made])
            book.run("shop", node("draft", 10, 10, "1"), at=NOON - 6 * 86400)
            assert isinstance(await check(resources, "cost.budget"), Inconclusive)  # nothing was synced
            book.cover("shop", NOON - 40 * 86400, NOON - 60)
            kept = await check(resources, "cost.budget", budget="shop")
            assert isinstance(kept, Pass), kept
            assert isinstance(await check(resources, "cost.budget", budget="other"), Inconclusive)
            book.run("shop", node("draft", 10, 10, "84"), at=NOON - 3600)
            assert isinstance(await check(resources, "cost.budget"), Warn)
            book.run("shop", node("draft", 10, 10, "15"), at=NOON - 3600)
            over = await check(resources, "cost.budget", budget="shop")
            assert isinstance(over, Fail), over
            assert "shop over: 100 of 100 USD in this month" in over.text
            wide = replace(made, name="wide", hard=Decimal(1000), soft=Decimal(900))
            budgets_file.write_budgets(resources.config.user_file.with_name(budgets_file.FILE), [made, wide])
            assert isinstance(await check(resources, "cost.budget"), Fail)  # the worst of all
