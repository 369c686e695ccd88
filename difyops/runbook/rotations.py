"""The rotation room as a check and an action see it: its workbench and policy, made from the resources of a run."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NoReturn

from difyops.changes import Journal
from difyops.errors import Refused
from difyops.ledger import Event, Ledger
from difyops.rotation.job import OWN_VARIABLES, Workbench
from difyops.rotation.journal import RotationJournal
from difyops.rotation.policy import RotationPolicy, policy_of
from difyops.runbook.resources import Resources
from difyops.validation.answers import judge_answer


class _Unwritten(Ledger):
    """A ledger in which nothing stands and nothing can be written."""

    def __init__(self) -> None:
        """Open no file."""

    def append_all(self, events: Iterable[Event]) -> list[int]:
        """Refuse to write.

        Raises:
            Refused: always.
        """
        raise Refused("Rotations are kept in the ledger, and a dry run has none.")

    def lock(self, *_: Any, **__: Any) -> NoReturn:
        """Refuse to hold a lock.

        Raises:
            Refused: always.
        """
        raise Refused("Rotations are kept in the ledger, and a dry run has none.")

    def events(self, *_: Any, **__: Any) -> list[Event]:
        """Return nothing."""
        return []


async def workbench(resources: Resources) -> Workbench:
    """Return what the rotation room works with. Where there is no ledger (the first dry run), nothing was ever rotated,
    and nothing can be: rotations are written down or not begun.
    """
    return Workbench(
        instance=await resources.instance(),
        journal=RotationJournal(
            Journal(
                ledger=resources.ledger or _Unwritten(),
                state=resources.config.state,
                context=resources.context_name,
                clock=resources.clock,
                actor=resources.actor,
            )
        ),
        hold=policy(resources).hold,
        judge=judge_answer,
        withheld=OWN_VARIABLES | resources.config.secret_variables,
    )


def policy(resources: Resources) -> RotationPolicy:
    """Return what the configuration asks of secrets.

    Raises:
        ConfigError: ``secrets:`` or ``deliver:`` has a mistake.
    """
    return policy_of(resources.config.sections)
