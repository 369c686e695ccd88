"""One session with one instance: what a room needs from the world, built once by the door, runbook or program."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from difyops.api.instance import Instance
from difyops.changes.journal import Journal
from difyops.clock import Clock, SystemClock
from difyops.ledger import Ledger
from difyops.sealing.access import Access

if TYPE_CHECKING:
    from difyops.git_store import GitStore


@dataclass(frozen=True, slots=True, kw_only=True)
class Workspace:
    """The open instance, the state folder, the ledger, who is at work, the clock; the store where there is one.

    ``access``: what this machine has for the sealed values of a store.
    """

    instance: Instance
    state: Path
    ledger: Ledger
    actor: str
    clock: Clock = field(default_factory=SystemClock)
    store: GitStore | None = None
    access: Access = field(default_factory=Access)

    @property
    def journal(self) -> Journal:
        """Return the journal of changes of this instance."""
        return Journal(
            ledger=self.ledger, state=self.state, context=self.instance.name, clock=self.clock, actor=self.actor
        )
