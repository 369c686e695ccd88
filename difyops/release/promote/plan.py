"""The plan of a promotion: for each ring (a target context) and app the bindings and a release, bound to both sides."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from difyops.release.plan import ReleasePlan, built, digest_of, read_body, signed
from difyops.release.promote.bindings import Bindings
from difyops.release.promote.translate import BindingRow

FORMAT = "difyops-promotion/1"


@dataclass(frozen=True, slots=True, kw_only=True)
class RingStep:
    """One app in one ring: ``source`` names the app there, ``hash`` what is live of it; ``plan`` is the release here.

    Without a plan ``rows`` say what is in the way, or ``is_same``: the target has it already.
    """

    source_id: str
    source_name: str
    hash: str
    target_id: str = ""
    rows: tuple[BindingRow, ...] = ()
    plan: ReleasePlan | None = None
    is_same: bool = False

    @property
    def problems(self) -> tuple[BindingRow, ...]:
        """Return what cannot be resolved."""
        return tuple(row for row in self.rows if row.problem)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ring:
    """One target: its context, what stands for what there, its apps."""

    context: str
    url: str
    bindings: Bindings = field(default_factory=Bindings)
    steps: tuple[RingStep, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Promotion:
    """A promotion from one context through rings, with a ``pause`` (seconds) between them."""

    source: str
    source_url: str
    made_at: str
    rings: tuple[Ring, ...]
    pause: float = 0.0
    with_secrets: bool = False
    format: str = FORMAT

    @property
    def digest(self) -> str:
        """Return what signs it."""
        return digest_of(dataclasses.asdict(self))

    @property
    def problems(self) -> tuple[tuple[str, str, BindingRow], ...]:
        """Return ring, app and row of everything that cannot be resolved."""
        return tuple((ring.context, step.source_name, row) for ring in self.rings for step in ring.steps
                     for row in step.problems)  # fmt: skip

    def as_data(self) -> dict[str, Any]:
        """Return the plan as a file holds it."""
        return signed(dataclasses.asdict(self))


def read_promotion(path: Path) -> Promotion:
    """Return the promotion in a file.

    Raises:
        UsageError: it cannot be read. Refused: it was changed.
    """
    body = read_body(path, FORMAT)
    return built(Promotion, {key: item for key, item in body.items() if key != "digest"}, str(path))
