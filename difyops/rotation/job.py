"""What a step may use: the instance, the journal, the vault, time; and ``effect``, the only way to change anything.

``effect`` writes "about to", does it, writes "did" and the audit line; the checkpoint before and after it is where
tests kill the process. ``note`` keeps what a later step or a later process must know.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

from difyops import credentials
from difyops.api.instance import Instance
from difyops.asking import Judge, no_judge
from difyops.clock import Clock, SystemClock
from difyops.errors import DifyopsError
from difyops.ledger import AuditEntry
from difyops.rotation import journal as journals
from difyops.rotation.journal import RotationJournal
from difyops.rotation.record import Rotation
from difyops.rotation.vault import Vault, fingerprint
from difyops.secret_text import SecretText

T = TypeVar("T")
OWN_VARIABLES = frozenset(
    ("DIFYOPS_PASSWORD", "DIFY_PASSWORD", "DIFYOPS_ADMIN_KEY", "DIFY_ADMIN_API_KEY", "DIFY_ADMIN_KEY")
)
Checkpoint = Callable[[str], None]


class NewValueRefused(DifyopsError):
    """The new secret does not work; nothing was switched to it."""

    code = "new_value_refused"


def no_checkpoint(name: str) -> None:
    """Do nothing at a numbered step."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Workbench:
    """What does not change from rotation to rotation. ``judge`` holds answers against a
    schema; ``withheld`` are environment variables that commands of ``cmd:`` references do not get.
    """

    instance: Instance
    journal: RotationJournal
    state: Path
    actor: str
    hold: str = "file"
    clock: Clock = field(default_factory=SystemClock)
    checkpoint: Checkpoint = no_checkpoint
    judge: Judge = no_judge
    withheld: frozenset[str] = OWN_VARIABLES


@dataclass(slots=True)
class RotationJob:
    """A workbench and the rotation it works on; ``at_effect`` while something is being changed outside."""

    bench: Workbench
    rotation: Rotation
    at_effect: bool = False

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
        return self.rotation.memo.get(name)

    def note(self, **facts: Any) -> None:
        """Write down facts, unless they are known already."""
        if any(name not in self.rotation.memo or self.rotation.memo[name] != fact for name, fact in facts.items()):
            self.bench.journal.write(self.rotation, journals.NOTE, memo=facts)
            self._remember(facts)

    async def resolve(self, reference: str) -> SecretText:
        """Return the secret behind a reference; a command is not shown the secrets of this process."""
        return await credentials.resolve_async(reference, withheld=self.withheld)

    def seal(self, secret: SecretText) -> str:
        """Return the fingerprint of a secret."""
        return fingerprint(self.bench.state, secret)

    async def effect(self, name: str, work: Callable[[], Awaitable[T]], **facts: Any) -> T:
        """Do something that cannot be undone by forgetting it; ``facts`` go into the audit line."""
        journal = self.bench.journal
        journal.write(self.rotation, journals.ABOUT, name)
        self.bench.checkpoint(f"before {name}")
        self.at_effect = True
        result = await work()
        self.at_effect = False
        self.bench.checkpoint(f"after {name}")
        journal.did(self.rotation, name, self._entry(name, "done", facts))
        return result

    def found_done(self, name: str, **facts: Any) -> None:
        """Write that an effect of a process that was cut off is there already."""
        self.bench.journal.did(self.rotation, name, self._entry(name, "found done", facts), why="found done")

    def audit(self, action: str, outcome: str, **facts: Any) -> None:
        """Write one line of the audit trail."""
        self.bench.journal.ledger.audit(self._entry(action, outcome, facts))

    def _entry(self, action: str, outcome: str, facts: Mapping[str, Any]) -> AuditEntry:
        rotation = self.rotation
        return AuditEntry(
            actor=self.bench.actor,
            action=f"secret.{action.replace(' ', '_')}",
            subject=rotation.subject,
            when=self.bench.clock.now(),
            context=rotation.context,
            outcome=outcome,
            data={"rotation": rotation.id, **facts},
        )

    def _remember(self, facts: dict[str, Any]) -> None:
        self.rotation = replace(self.rotation, memo={**self.rotation.memo, **facts})
