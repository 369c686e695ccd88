"""Options that ``release`` and ``release promote`` share, and what is made of them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from difyops.cli.door import seconds
from difyops.cli.session import Session
from difyops.errors import UsageError

if TYPE_CHECKING:
    from difyops.api.instance import Instance
    from difyops.release.plan import CasesGate, Gates, Shadow, WatchRules
    from difyops.workspace import Workspace

PlanFile = Annotated[Path, typer.Argument(metavar="PLAN", help="The file that plan wrote.")]
Again = Annotated[bool, typer.Option("--again", help="Also what was taken back before.")]
Calls = Annotated[int, typer.Option("--calls", min=1, help="Most recorded inputs that the shadow replays.")]
NoShadow = Annotated[bool, typer.Option("--no-shadow", help="Publish without trying copies first.")]
Inputs = Annotated[
    Path | None, typer.Option("--inputs", metavar="FILE", help="JSON lines {inputs, query} in place of recorded runs.")
]
AllowEffects = Annotated[
    bool, typer.Option("--allow-effects", help="Let copies run nodes that write somewhere (tools, POST, agents).")
]
Tokens = Annotated[int, typer.Option("--tokens", min=0, help="Most tokens of the shadow; 0: no limit.")]
Events = Annotated[int, typer.Option("--events", min=1, help="Runs of the new version that are enough to pass.")]
Least = Annotated[int, typer.Option("--least", min=1, help="New runs between two looks at the gates.")]
For = Annotated[str, typer.Option("--for", metavar="TIME", help="How long it is watched from publishing on.")]
Every = Annotated[str, typer.Option("--every", metavar="TIME", help="Time between two readings of the log.")]
Alpha = Annotated[float, typer.Option("--alpha", help="How often equal versions may be told apart (0.01: 1 %).")]
Slower = Annotated[float, typer.Option("--slower", min=0.0, help="Allowed share by which the median may be slower.")]
Dearer = Annotated[float, typer.Option("--dearer", min=0.0, help="The same for tokens.")]
Pricier = Annotated[
    float | None,
    typer.Option("--pricier", min=0.0, help="The same for the price; reads the nodes of runs. Default: not judged."),
]
CasesFile = Annotated[
    Path | None,
    typer.Option("--cases", metavar="FILE", help="Evaluation cases as a gate, in the shadow and once it is live."),
]
Baseline = Annotated[
    str | None,
    typer.Option("--baseline", metavar="TAG|newest", help="With --cases: a kept result stands for the old version."),
]
Margin = Annotated[
    str | None, typer.Option("--margin", metavar="SHARE", help="With --cases: prove that no more of them is lost.")
]
NoWaitSlot = Annotated[bool, typer.Option("--no-wait-slot", help="Publish at once, though a schedule is due.")]
Wait = Annotated[
    str | None, typer.Option("--wait", metavar="TIME", help="Watch for so long from now on; 0s: look once.")
]


def shadow_of(calls: int, none: bool, inputs: Path | None, allow_effects: bool, tokens: int) -> Shadow:
    """Return how the shadow is run."""
    from difyops.release.plan import Shadow

    if inputs is not None and not inputs.is_file():
        raise UsageError(f"--inputs {inputs}: there is no such file.")
    return Shadow(
        calls=0 if none else calls, least=min(10, calls), inputs=str(inputs.resolve()) if inputs else "",
        allow_effects=allow_effects, tokens=tokens,
    )  # fmt: skip


def watch_of(events: int, least: int, length: str, every: str) -> WatchRules:
    """Return how the watch is kept."""
    from difyops.release.plan import WatchRules

    return WatchRules(events=events, least=min(least, events), seconds=seconds(length), every=seconds(every))


def gates_of(alpha: float, slower: float, dearer: float, pricier: float | None = None) -> Gates:
    """Return the gates.

    Raises:
        UsageError: ``alpha`` is no share.
    """
    from difyops.release.plan import Gates

    if not 0 < alpha < 0.5:
        raise UsageError(f"--alpha {alpha}: expected a share between 0 and 0.5.", hint="--alpha 0.01")
    return Gates(alpha=alpha, slower=slower, dearer=dearer, pricier=pricier)


def cases_of(file: Path | None, baseline: str | None, margin: str | None) -> CasesGate | None:
    """Return the gate of evaluation cases, ``None`` where there is none.

    Raises:
        UsageError: the file is none of cases, or another option stands without it. Refused: a case holds a secret.
    """
    from difyops.cli.values import margin_of
    from difyops.release.cases import gate_of

    if file is None:
        if baseline is not None or margin is not None:
            alone = "--baseline" if baseline is not None else "--margin"
            raise UsageError(f"{alone} goes with --cases FILE.", hint=f"--cases cases.jsonl {alone} ...")
        return None
    return gate_of(file, baseline=baseline or "", margin=margin_of(margin) if margin else 0.0)


def workspace_of(session: Session, instance: Instance) -> Workspace:
    """Return the workspace with the store, where there is one."""
    from difyops.cli.stores import open_store
    from difyops.errors import StoreError

    try:
        store = open_store(session)
    except StoreError:
        store = None
    return session.workspace(instance, store=store)
