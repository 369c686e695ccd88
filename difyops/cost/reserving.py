"""What goes on now is counted before it is in the history: reserved when it begins, settled at its end.

A reservation is taken under a lock, so two that begin at once cannot both have the last of a budget. One that was never
settled (the process was killed) ends by itself after its time. What was settled counts until the history has been read
up to that moment; then the runs themselves are there.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path

from difyops.clock import iso
from difyops.cost.budgets_file import Budget
from difyops.cost.money import amount_of
from difyops.errors import OutOfBudget
from difyops.ledger import Event, Ledger

RESERVED, SETTLED = "cost.reserved", "cost.settled"
_LOCK = "cost-reserving.lock"
_LONGEST = timedelta(hours=6)
_PERIOD = timedelta(days=32)  # the longest of a budget
_MOST = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Reserved:
    """An amount held for something that goes on; ``settled`` when it ended, ``amount`` then what it really took.

    ``copies``: what scratch copies took besides. Their runs go with them and are in no history, so it counts until the
    period of its budget ends.
    """

    id: str
    budget: str
    context: str
    amount: Decimal
    what: str
    since: datetime
    until: datetime
    settled: datetime | None = None
    copies: Decimal = Decimal(0)

    def counts(self, budget: Budget, upto: datetime | None, since: datetime | None = None) -> Decimal:
        """Return what of it counts beside the history, which was read up to a moment, in a period from ``since`` on."""
        if self.budget != budget.name or self.context != budget.context:
            return Decimal(0)
        known = self.settled is not None and upto is not None and self.settled <= upto
        now = self.settled is not None and (since is None or self.settled >= since)
        return (Decimal(0) if known else self.amount) + (self.copies if now else Decimal(0))


def reservations(ledger: Ledger | None, context: str, *, now: datetime) -> list[Reserved]:
    """Return what is reserved in a context, what was settled in the last day, and what copies took this month."""
    if ledger is None:
        return []
    begun = ledger.events(RESERVED, context=context, limit=_MOST)
    ended = {event.data.get("id"): event for event in ledger.events(SETTLED, context=context, limit=_MOST)}
    found = []
    for event in begun:
        until = datetime.fromisoformat(str(event.data.get("until")))
        end = ended.get(event.data.get("id"))
        if end is None and until < now:
            continue
        amount = amount_of((end or event).data.get("amount")) or Decimal(0)
        copies = amount_of(end.data.get("copies")) or Decimal(0) if end else Decimal(0)
        if end is not None and end.when < now - (_PERIOD if copies else timedelta(days=1)):
            continue
        found.append(
            Reserved(
                id=str(event.data.get("id")),
                budget=event.subject,
                context=context,
                amount=amount,
                what=str(event.data.get("what")),
                since=event.when,
                until=until,
                settled=end.when if end else None,
                copies=copies,
            )
        )
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Reserving:
    """Takes and settles reservations. ``left`` says what a budget still has, given what is reserved."""

    ledger: Ledger
    state: Path
    left: Callable[[Budget, Sequence[Reserved]], Decimal]

    def take(self, budgets: Sequence[Budget], amount: Decimal, *, what: str, now: datetime) -> list[Reserved]:
        """Hold an amount in every budget, or in none.

        Raises:
            OutOfBudget: one has less left. LockHeld: another reservation takes too long.
        """
        with self.ledger.lock(self.state / _LOCK, wait=30.0, holding="a reservation"):
            held = reservations(self.ledger, budgets[0].context, now=now) if budgets else []
            for budget in budgets:
                left = self.left(budget, held)
                if amount > left:
                    has = f"{max(left, Decimal(0)):f} left"
                    raise OutOfBudget(
                        f"{what} may take {amount:f} {budget.currency}; {budget.name} has {has}.",
                        hint=f"difyops cost budget status {budget.name}",
                    )
            return [self._write(budget, amount, what, now) for budget in budgets]

    def _write(self, budget: Budget, amount: Decimal, what: str, now: datetime) -> Reserved:
        made = Reserved(
            id=secrets.token_hex(8), budget=budget.name, context=budget.context, amount=amount, what=what, since=now,
            until=now + _LONGEST,
        )  # fmt: skip
        data = {"id": made.id, "amount": format(amount, "f"), "what": what, "until": iso(made.until)}
        self.ledger.append(Event(kind=RESERVED, subject=budget.name, when=now, context=budget.context, data=data))
        return made

    def settle(
        self, taken: Sequence[Reserved], amount: Decimal, *, now: datetime, copies: Decimal = Decimal(0)
    ) -> None:  # fmt: skip
        """Write what something really took, and scratch copies for it; what it did not take is free again."""
        for item in taken:
            data = {"id": item.id, "amount": format(amount, "f")}
            if copies:
                data["copies"] = format(copies, "f")
            self.ledger.append(Event(kind=SETTLED, subject=item.budget, when=now, context=item.context, data=data))
