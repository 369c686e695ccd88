"""One trial: copies of what is live and of the other version, the same cases through both, every answer judged.

The app itself is not asked and not changed. The copies are scratch apps of the change: swept at the end, after a kill
by the next trial of the app, and by ``difyops changes undo``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from difyops.api.instance import Instance
from difyops.changes import Change
from difyops.changes.change import Checkpoint, no_checkpoint
from difyops.counting import counted
from difyops.errors import AnswerIsNo, DifyopsError, PartialFailure, Refused
from difyops.evaluation.asking import AskOptions, asker
from difyops.evaluation.cases import Case
from difyops.evaluation.checks import FAIL, NOT_JUDGED, Ask
from difyops.evaluation.judging import judge_told
from difyops.evaluation.trial.classes import SIZE, ClassOf, classes_of
from difyops.evaluation.trial.verdict import NOT_ENOUGH, NOT_WORSE, WORSE, TrialFinding, TriedModel, find
from difyops.history.failures import GOOD, OURS
from difyops.publishing.putting import Now, now_of
from difyops.replay import (
    BUDGET,
    COMPLETE,
    DEADLINE,
    STOPPED,
    RecordedInput,
    Replayed,
    ReplayLimits,
    ReplayPair,
    ReplayTold,
    Side,
    replay,
)
from difyops.requirements import missing, stock_of
from difyops.scratch import Scratches, TakenAway
from difyops.scratch.copies import make_copy, why_no_copy
from difyops.workspace import Workspace

KIND = "evaluation.trial"
WORD = "trial"
_DEAD_AFTER = 20  # pairs in a row that do not count: nobody answers
_NAMED = 20
_ENDS = {
    STOPPED: f"{counted(_DEAD_AFTER, 'pair')} in a row could not be judged", BUDGET: "the tokens were used up",
    DEADLINE: "the time was over",
}  # fmt: skip
JsonObject = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialRequest:
    """What to try. ``change`` makes the other document of the live one; ``what`` names it. ``margin``: the share of all
    cases that may be lost. ``tokens``: most that both sides may use, ``None`` for no limit.
    """

    app_id: str
    what: str
    change: Callable[[JsonObject], JsonObject]
    cases: tuple[Case, ...]
    margin: float
    alpha: float = 0.05
    by: str = SIZE
    allow_effects: bool = False
    tokens: int | None = None
    at_once: int = 2
    deadline: float | None = None
    checkpoint: Checkpoint = no_checkpoint


@dataclass(frozen=True, slots=True, kw_only=True)
class Broken:
    """A case that passes as it is and fails with the other version."""

    id: str
    kind: str
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """How it went. ``overall``: all cases together; ``classes``: each by itself, at alpha shared among them. Tokens are
    those of both sides in the pairs that count; ``used`` is everything, ``used_new`` the other version's part of it,
    ``judges`` what judging apps took besides.
    """

    app_id: str
    app: str
    what: str
    margin: float
    overall: TrialFinding
    classes: tuple[TrialFinding, ...]
    broken: tuple[Broken, ...]
    left_out: tuple[Broken, ...]
    ended: str
    used: int
    pairs: tuple[TriedModel, ...] = field(default=(), repr=False)
    judges: Mapping[str, int] = field(default_factory=dict)
    used_new: int = field(default=0, repr=False)
    warnings: tuple[str, ...] = field(default=(), repr=False)

    @property
    def error(self) -> DifyopsError | None:
        """Return the "no" (5) where it is proven worse, 3 where nothing is proven."""
        found = self.overall
        fits = [item.name for item in self.classes if item.verdict == NOT_WORSE]
        also = f" It is not worse for: {', '.join(fits)}." if fits else ""
        if found.verdict == WORSE:
            return AnswerIsNo(f"{self.what} is worse: {found.text}.{also}")
        if found.verdict == NOT_ENOUGH:
            more = f" About {counted(found.more, 'more case')} would tell." if found.more else ""
            return PartialFailure(f"{self.what}: not enough to say: {found.text}.{more}{also}")
        return None


def trials() -> TakenAway:
    """Return the recovery of trials that were cut off."""
    return TakenAway(WORD)


async def run_trial(workspace: Workspace, request: TrialRequest) -> Trial:
    """Try the other version.

    Raises:
        Refused: nothing is published, copies cannot be asked, or the instance lacks what the other version needs.
        UsageError: a class is none. LockHeld: another trial of the app runs. DifyopsError: a call failed.
    """
    instance, journal = workspace.instance, workspace.journal
    now, target = await ready(instance, request)
    names, class_of = classes_of(request.cases, request.by)
    subject = f"trial/{request.app_id}"
    with journal.lock(subject, holding=f"a trial of {now.app.name!r}"):
        said = list(await trials().sweep_earlier(instance, journal, KIND, subject))
        change = Change.begin(
            journal, KIND, subject=subject, label=f"trial of {request.what} for {now.app.name}",
            url=instance.context.url, facts={"app_id": request.app_id, "what": request.what},
            checkpoint=request.checkpoint,
        )  # fmt: skip
        done, left = await _replayed(Scratches(instance, change, word=WORD), now, target, request)
        said += left
        tried, judges = await _judged(instance, done, request, class_of)
        change.close("done", pairs=len(done.pairs))
    if (await now_of(instance, request.app_id)).version != now.version:
        said.append(f"{now.app.name} was published anew meanwhile: the copies are of what was live before.")
    if done.ended != COMPLETE:
        why = _ENDS.get(done.ended, done.ended)
        said.append(f"It ended early ({why}): {len(done.pairs)} of {counted(len(request.cases), 'case')} were asked.")
    return _found(now, request, done, tried, judges, names, said)


async def ready(instance: Instance, request: TrialRequest) -> tuple[Now, JsonObject]:
    """Return what is live and the other document, where nothing stands against trying it; nothing is changed.

    Raises:
        Refused: nothing is published, copies cannot be asked, or the instance lacks something.
    """
    now = await now_of(instance, request.app_id)
    if now.live is None:
        raise Refused(f"{now.app.name!r} was never published; only what is live is tried.")
    target = request.change(now.live)
    if why := why_no_copy(now.app, (now.live, target), allow_effects=request.allow_effects):
        raise Refused(f"{now.app.name!r} cannot be tried in a copy: {why}.")
    stock = await stock_of(instance)
    new = [text for text in missing(target, stock) if text not in missing(now.live, stock)]
    if new:
        raise Refused(f"{request.what} cannot be tried here: {new[0]}.", hint="difyops doctor")
    return now, target


async def _replayed(
    scratches: Scratches, now: Now, target: JsonObject, request: TrialRequest
) -> tuple[Replayed, tuple[str, ...]]:  # fmt: skip
    """Ask both copies, and take them away whatever comes of it."""
    try:
        done = await _both(scratches, now, target, request)
    except (DifyopsError, asyncio.CancelledError):
        await asyncio.shield(scratches.sweep())
        scratches.change.close("stopped")
        raise
    return done, (await scratches.sweep()).left


async def _both(scratches: Scratches, now: Now, target: JsonObject, request: TrialRequest) -> Replayed:
    old = await make_copy(scratches, 1, now.app, dict(now.live or {}), f"old {now.app.name}")
    new = await make_copy(scratches, 2, now.app, target, f"new {now.app.name}")
    silent = 0

    async def ask(side: Side, what: RecordedInput) -> ReplayTold:
        return await (old if side == "old" else new).ask(what)

    def enough(pair: ReplayPair) -> bool:
        nonlocal silent
        silent = 0 if {pair.old.outcome, pair.new.outcome} <= {GOOD, OURS} else silent + 1
        return silent >= _DEAD_AFTER

    recorded = [RecordedInput(id=case.id, inputs=case.inputs, query=case.query) for case in request.cases]
    limits = ReplayLimits(at_once=request.at_once, deadline=request.deadline, tokens=request.tokens)
    scratches.change.checkpoint("before replay")
    return await replay(recorded, ask, limits=limits, enough=enough, clock=scratches.change.journal.clock)


async def _judged(
    instance: Instance, done: Replayed, request: TrialRequest, class_of: ClassOf
) -> tuple[list[TriedModel], dict[str, int]]:  # fmt: skip
    cases = {case.id: case for case in request.cases}
    apps = [app async for app in instance.console.apps()]
    async with asker(instance, apps, AskOptions(at_once=request.at_once, user="difyops-trial")) as asking:
        tried = await asyncio.gather(
            *(_tried(cases[one.recorded.id], one, asking.judge, class_of) for one in done.pairs)
        )
        return list(tried), asking.judges


async def _tried(case: Case, pair: ReplayPair, ask: Ask, class_of: ClassOf) -> TriedModel:
    old, new = await judge_told(case, pair.old, ask), await judge_told(case, pair.new, ask)
    return TriedModel(
        id=case.id, old=old.word, new=new.word, why=old.why if old.word == NOT_JUDGED else new.why,
        kind=class_of(case), cluster=case.cluster, tokens_old=pair.old.tokens, tokens_new=pair.new.tokens,
    )  # fmt: skip


def _found(
    now: Now, request: TrialRequest, done: Replayed, tried: Sequence[TriedModel], judges: Mapping[str, int],
    names: Sequence[str], said: Sequence[str],
) -> Trial:  # fmt: skip
    shared = request.alpha / max(1, len(names))
    classes = [
        find(name, [item for item in tried if item.kind == name], margin=request.margin, alpha=shared) for name in names
    ]
    broken = [item for item in tried if item.counts and item.old != item.new == FAIL]
    left_out = [item for item in tried if not item.counts]
    return Trial(
        app_id=now.app.id, app=now.app.name, what=request.what, margin=request.margin,
        overall=find("all", tried, margin=request.margin, alpha=request.alpha), classes=tuple(classes),
        broken=tuple(Broken(id=item.id, kind=item.kind, why=item.why) for item in broken[:_NAMED]),
        left_out=tuple(Broken(id=item.id, kind=item.kind, why=item.why) for item in left_out[:_NAMED]),
        ended=done.ended, used=done.tokens, used_new=sum(pair.new.tokens or 0 for pair in done.pairs),
        pairs=tuple(item for item in tried if item.counts), judges=judges,
        warnings=tuple(said),
    )  # fmt: skip
