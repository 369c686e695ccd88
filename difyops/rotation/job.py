"""What a step may use: the instance, the journal, the vault, time; and ``effect``, the only way to change anything.

All of it is the change's: ``effect`` writes "about to", does it, writes "did" and the audit line, and ``note`` keeps
what a later step or a later process must know.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from difyops import credentials
from difyops.api.instance import Instance
from difyops.asking import Judge, no_judge
from difyops.changes import Change
from difyops.changes.change import Checkpoint, no_checkpoint
from difyops.clock import Clock
from difyops.errors import DifyopsError
from difyops.rotation.journal import RotationJournal
from difyops.rotation.record import Rotation
from difyops.rotation.vault import Vault, fingerprint
from difyops.secret_text import SecretText

T = TypeVar("T")
OWN_VARIABLES = frozenset(
    ("DIFYOPS_PASSWORD", "DIFY_PASSWORD", "DIFYOPS_ADMIN_KEY", "DIFY_ADMIN_API_KEY", "DIFY_ADMIN_KEY")
)


class NewValueRefused(DifyopsError):
    """The new secret does not work; nothing was switched to it."""

    code = "new_value_refused"


@dataclass(frozen=True, slots=True, kw_only=True)
class Workbench:
    """What does not change from rotation to rotation. ``judge`` holds answers against a
    schema; ``withheld`` are environment variables that commands of ``cmd:`` references do not get.
    """

    instance: Instance
    journal: RotationJournal
    hold: str = "file"
    checkpoint: Checkpoint = no_checkpoint
    judge: Judge = no_judge
    withheld: frozenset[str] = OWN_VARIABLES

    @property
    def state(self) -> Path:
        """Return the state folder."""
        return self.journal.changes.state

    @property
    def clock(self) -> Clock:
        """Return the clock that counts."""
        return self.journal.clock


@dataclass(slots=True)
class RotationJob:
    """A workbench and the rotation it works on; ``at_effect`` while something is being changed outside.

    A publication keeps its documents and facts here (``publishing.Keeper``), and so in the journal of changes.
    """

    bench: Workbench
    rotation: Rotation
    change: Change
    at_effect: bool = False

    @classmethod
    def of(cls, bench: Workbench, rotation: Rotation) -> RotationJob:
        """Return the job of going on with a rotation."""
        return cls(bench, rotation, bench.journal.change(rotation, bench.checkpoint))

    @property
    def id(self) -> str:
        """Return the rotation's id."""
        return self.change.id

    @property
    def instance(self) -> Instance:
        """Return the instance."""
        return self.bench.instance

    @property
    def vault(self) -> Vault:
        """Return what this rotation holds back."""
        return Vault.of(self.bench.state, self.rotation.id, self.rotation.settings.hold)

    @property
    def withheld(self) -> frozenset[str]:
        """Return the environment variables that commands do not get: ours, and those that hold the new values."""
        return self.bench.withheld | self.rotation.settings.variables

    def target(self, name: str) -> str:
        """Return what the plan fixed under ``name`` (an id, a name); empty when it did not."""
        return str(self.rotation.target.get(name) or "")

    def memo(self, name: str) -> Any:
        """Return what was noted under ``name``, ``None`` when nothing was."""
        return self.change.memo(name)

    def note(self, **facts: Any) -> None:
        """Write down facts, unless they are known already."""
        self.change.note(**facts)

    def keep(self, name: str, document: dict[str, Any]) -> None:
        """Hold a document that may carry secrets, until the rotation ends."""
        self.change.keep(name, document)

    def kept(self, name: str) -> dict[str, Any] | None:
        """Return a held document, ``None`` when there is none."""
        return self.change.kept(name)

    def drop(self, name: str) -> None:
        """Let go of a held document."""
        self.change.drop(name)

    def set_aside(self, name: str, title: str) -> None:
        """Move a held document to where it outlives the rotation, and note its name and place."""
        self.change.set_aside(name, title)

    def say(self, text: str) -> None:
        """Tell the person who waits."""
        self.change.say(text)

    async def resolve(self, reference: str) -> SecretText:
        """Return the secret behind a reference; a command is not shown the secrets of this process."""
        return await credentials.resolve_async(reference, withheld=self.withheld)

    def seal(self, secret: SecretText) -> str:
        """Return the fingerprint of a secret."""
        return fingerprint(self.bench.state, secret)

    async def effect(self, name: str, work: Callable[[], Awaitable[T]], **facts: Any) -> T:
        """Do something that cannot be undone by forgetting it; ``facts`` go into the audit line."""

        async def told() -> T:
            self.at_effect = True
            result = await work()
            self.at_effect = False
            return result

        return await self.change.effect(name, told, **facts)

    def found_done(self, name: str, **facts: Any) -> None:
        """Write that an effect of a process that was cut off is there already."""
        self.change.found_done(name, **facts)

    def audit(self, action: str, outcome: str, **facts: Any) -> None:
        """Write one line of the audit trail."""
        self.change.audit(f"{self.change.record.kind}.{action.replace(' ', '_')}", outcome, **facts)
