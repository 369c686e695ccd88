"""The kinds of secrets: one file each, found by walking this package. The file's name, with dashes, is the word on the
command line; its docstring is the help; it holds one class, ``Rotator``, that fulfils ``SecretKind``.

Every method that changes something first looks whether it happened already: a process may have been killed just after.
"""

from __future__ import annotations

import importlib
import pkgutil
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol, cast

from difyops.api.instance import Instance
from difyops.api.model import App
from difyops.errors import UsageError
from difyops.rotation.job import RotationJob
from difyops.rotation.machine import Used
from difyops.rotation.reading import HeldSecret, WorkspaceReading
from difyops.rotation.record import PlannedRotation
from difyops.secret_text import SecretText


@dataclass(frozen=True, slots=True, kw_only=True)
class WantedSecret:
    """What a person asked for: the words after the kind, ``--field``, ``--credential``, the fields of ``--also``.

    ``known`` are the first six digits of the rotations of this instance that the journal of this machine knows.
    """

    arguments: tuple[str, ...] = ()
    field: str | None = None
    credential: str | None = None
    others: tuple[str, ...] = ()
    known: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class OldUse:
    """Whether the old secret is still in use as far as the server tells, and how sure that is, in words."""

    in_use: bool = False
    words: str = ""


class SecretKind(Protocol):
    """One kind of secret. ``needs_value``: it comes from outside; ``has_fields``: it is one field of a credential."""

    name: str
    arguments: tuple[str, ...]
    needs_value: bool
    has_fields: bool
    role: str

    async def plan(self, instance: Instance, reading: WorkspaceReading, wanted: WantedSecret) -> PlannedRotation:
        """Find the secret and say what would be done; nothing is changed."""
        ...

    async def users(self, instance: Instance, reading: WorkspaceReading, planned: PlannedRotation) -> list[App]:
        """Return the apps whose runs show whether the secret works."""
        ...

    async def inventory(self, instance: Instance, reading: WorkspaceReading) -> list[HeldSecret]:
        """Return the secrets of this kind."""
        ...

    async def create(self, job: RotationJob) -> None:
        """Make the new secret beside the old one. Raises ``NewValueRefused`` when it does not work."""
        ...

    async def prove_new(self, job: RotationJob) -> None:
        """Check the new secret by itself, where that is possible. Raises ``NewValueRefused``."""
        ...

    async def switch(self, job: RotationJob) -> None:
        """Make new runs use the new secret."""
        ...

    async def use_again(self, job: RotationJob) -> None:
        """Switch once more, after the runs in flight have passed; also brings a lost switch back."""
        ...

    async def observe(self, job: RotationJob) -> Used:
        """Tell which secret is used now."""
        ...

    async def old_use(self, job: RotationJob) -> OldUse:
        """Tell whether the old secret still has users of its own."""
        ...

    async def retire(self, job: RotationJob) -> None:
        """End the old secret."""
        ...

    async def is_retired(self, job: RotationJob) -> bool:
        """Say whether the old secret is refused (by calling with it, where that is possible)."""
        ...

    async def is_beyond_recall(self, job: RotationJob) -> bool:
        """Say whether the old secret cannot be brought back any more, whoever ended it; nothing is changed."""
        ...

    async def revert(self, job: RotationJob) -> float:
        """Take the new secret back; return 0 when it is done, else seconds to wait before asking again."""
        ...

    async def new_value(self, job: RotationJob) -> SecretText | None:
        """Return the new secret, for those who are to get it."""
        ...

    async def old_value(self, job: RotationJob) -> SecretText | None:
        """Return the old secret, where it can be had."""
        ...

    async def probe_key(self, job: RotationJob, app_id: str) -> SecretText | None:
        """Return the service key that health checks of an app must use, ``None``: any key of the app."""
        ...


@lru_cache(maxsize=1)
def kinds() -> dict[str, SecretKind]:
    """Return every kind by name."""
    found = {}
    for module in pkgutil.iter_modules(__path__):
        rotator = importlib.import_module(f"{__name__}.{module.name}").Rotator()
        found[rotator.name] = cast("SecretKind", rotator)
    return found


def kind_named(name: str) -> SecretKind:
    """Return one kind.

    Raises:
        UsageError: there is none of that name.
    """
    if name not in kinds():
        raise UsageError(f"{name!r} is not a kind of secret.", hint=f"One of: {', '.join(sorted(kinds()))}.")
    return kinds()[name]
