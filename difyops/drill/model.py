"""What a drill is asked and what it found: plain frozen data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from difyops.asking import Smoke
from difyops.changes.change import Checkpoint, no_checkpoint
from difyops.errors import AnswerIsNo, DifyopsError, PartialFailure

Word = Literal["fail", "warn", "inconclusive"]
KIND = "drill.run"
EVENT = "drill.ended"
DAMAGED, NOT_RESTORED, DIFFERS = "snapshot damaged", "not restored", "content differs"
LACKS, SMOKE, LEFT, CAME_IN = "lacks", "smoke run", "left behind", "while restoring"


@dataclass(frozen=True, slots=True, kw_only=True)
class DrillRequest:
    """What to drill. ``source``: whose snapshots; ``selectors``: which apps; ``smokes``: inputs by app name or id.

    ``allow_effects``: also run apps whose nodes write somewhere. ``at_once``: apps side by side.
    """

    source: str
    selectors: tuple[str, ...] = ("all",)
    to: str = "latest"
    smoke: bool = True
    allow_effects: bool = False
    smokes: Mapping[str, Smoke] = field(default_factory=dict)
    at_once: int = 3
    checkpoint: Checkpoint = no_checkpoint


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that was found. ``fail``: it could not be restored as it is; ``warn``: to be known beforehand."""

    word: Word
    kind: str
    app: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AppDrill:
    """One app: whether it was restored and proven by reading back, its smoke run, seconds until it was proven."""

    id: str
    name: str
    mode: str
    proven: bool
    smoke: str
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Drilled:
    """A drill as it ended. ``rpo``: seconds that would have been lost (age of the last complete look at the instance),
    ``None`` when it is unknown; ``rto``: seconds until every app was proven; ``swept``: what an earlier drill had left.
    """

    id: str
    context: str
    into: str
    commit: str
    snapshot_at: datetime | None
    began: datetime
    ended: datetime
    rpo: float | None
    rto: float
    files: int
    apps: tuple[AppDrill, ...]
    findings: tuple[Finding, ...]
    swept: tuple[str, ...]

    @property
    def verdict(self) -> str:
        """Return pass, fail or inconclusive."""
        words = {item.word for item in self.findings}
        return "fail" if "fail" in words else "inconclusive" if "inconclusive" in words else "pass"

    @property
    def error(self) -> DifyopsError | None:
        """Return the "no" (5) for a backup that does not hold, 3 where something could not be judged."""
        for word, kind in (("fail", AnswerIsNo), ("inconclusive", PartialFailure)):
            found = [item for item in self.findings if item.word == word]
            if found:
                more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
                return kind(f"{found[0].app or 'snapshot'}: {found[0].kind}: {found[0].text}{more}.")
        return None
