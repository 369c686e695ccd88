"""Budgets held while runs are made: what they will take is held before, what they took is settled after."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

from difyops.cli.cost_asked import open_prices
from difyops.cli.cost_budget import budgets_of
from difyops.cli.history import open_history
from difyops.cli.session import Session

if TYPE_CHECKING:
    from difyops.cost.holding import Cheaper

T = TypeVar("T")


class Settled:
    """The tokens that were really used, by context and app: by the apps, and by scratch copies of them, whose runs no
    history will hold; and which of them another model took for less.
    """

    def __init__(self) -> None:
        self.apps: dict[tuple[str, str], int] = {}
        self.copies: dict[tuple[str, str], int] = {}
        self.cheaper: dict[tuple[str, str], Cheaper] = {}

    def __call__(self, used: Mapping[tuple[str, str], int], *, copies: bool = False) -> None:
        """Take down what was used."""
        (self.copies if copies else self.apps).update(used)


@contextmanager
def holding(session: Session, asked: Sequence[tuple[str, str]], *, what: str) -> Iterator[Settled]:
    """Hold what runs of apps (context, app id; one entry a run) will take in the budgets, if there are any.

    Yields what is to be told the tokens that were really used, by app; without that, what was held is given back.

    Raises:
        OutOfBudget: a budget has less left.
    """
    file = budgets_of(session)
    if not file.exists():
        yield Settled()
        return
    from difyops.cost.budget import Books
    from difyops.cost.budgets_file import read_budgets
    from difyops.cost.holding import HeldBudget, hold, left
    from difyops.cost.leaves import Leaves
    from difyops.cost.reserving import Reserving

    clock, prices, held, used = session.ledger.clock, open_prices(session), list[HeldBudget](), Settled()
    now = clock.now()  # reservations of several machines are compared
    budgets = read_budgets(file)
    with open_history(session) as history, Leaves(history, prices) as leaves:
        books = Books(history=history, leaves=leaves, prices=prices)
        reserving = Reserving(
            ledger=session.ledger, state=session.config.state, left=lambda one, taken: left(books, one, taken, now=now)
        )
        for context in sorted({name for name, _ in asked}):
            runs = Counter(app for name, app in asked if name == context)
            mine = [item for item in budgets if item.context == context]
            held += hold(books, reserving, mine, runs, what=what, now=now)
    try:
        yield used
    finally:
        for item in held:
            context = item.budget.context
            copies = item.cost(_of(context, used.copies), _of(context, used.cheaper))
            reserving.settle(item.taken, item.cost(_of(context, used.apps)), copies=copies, now=clock.now())


def _of(context: str, kept: Mapping[tuple[str, str], T]) -> dict[str, T]:
    return {app: value for (name, app), value in kept.items() if name == context}
