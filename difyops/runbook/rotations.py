"""The rotation room as a check and an action see it: its workbench and policy, made from a scene."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NoReturn

from difyops.changes import Journal
from difyops.errors import Refused
from difyops.ledger import Event, Ledger
from difyops.rotation.job import OWN_VARIABLES, Workbench
from difyops.rotation.journal import RotationJournal
from difyops.rotation.policy import RotationPolicy, policy_of
from difyops.runbook.scene import Scene
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


async def workbench(scene: Scene) -> Workbench:
    """Return what the rotation room works with. Where there is no ledger (the first dry run), nothing was ever rotated,
    and nothing can be: rotations are written down or not begun.
    """
    return Workbench(
        instance=await scene.instance(),
        journal=RotationJournal(
            Journal(
                ledger=scene.ledger or _Unwritten(),
                state=scene.config.state,
                context=scene.context_name,
                clock=scene.clock,
                actor=scene.actor,
            )
        ),
        hold=policy(scene).hold,
        judge=judge_answer,
        withheld=OWN_VARIABLES | scene.config.secret_variables,
    )


def policy(scene: Scene) -> RotationPolicy:
    """Return what the configuration asks of secrets.

    Raises:
        ConfigError: ``secrets:`` or ``deliver:`` has a mistake.
    """
    return policy_of(scene.config.sections)
