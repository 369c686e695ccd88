"""The shadow: copies of the old and the new version answer the same recorded inputs; nothing goes live for it.

Each pair is one event of both sides, and the gates are those of the watch. Evaluation cases are inputs too, and what
came is judged besides. The copies are scratch apps of the change: announced before, noted after, swept at the end and
after a kill.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from difyops.api.instance import Instance
from difyops.changes import Change
from difyops.cost.prices import Prices
from difyops.evaluation.cases import Case
from difyops.evaluation.result import Evaluation
from difyops.history.failures import GOOD, OURS
from difyops.publishing.putting import Now
from difyops.release.cases import CasesLook, in_shadow, inputs_of_cases
from difyops.release.gates import FAIL, OPEN, PASS, GateEvent, GateLook, look
from difyops.release.inputs import inputs_of
from difyops.release.plan import ReleasePlan
from difyops.release.pricing import priced_pairs
from difyops.replay import (
    COMPLETE,
    STOPPED,
    RecordedInput,
    Replayed,
    ReplayLimits,
    ReplayPair,
    ReplayTold,
    Side,
    replay,
)
from difyops.scratch import Scratches, Swept
from difyops.scratch.copies import make_copy, why_no_copy

_WORD = "release"


@dataclass(frozen=True, slots=True, kw_only=True)
class Shadowed:
    """How the shadow went. ``word``: pass, fail, inconclusive, or ``skipped``; ``used``: tokens of both copies, and of
    apps that judged. ``before``: the old version's verdicts on the cases.
    """

    word: str
    text: str
    pairs: int = 0
    used: int = 0
    look: GateLook | None = None
    cases: CasesLook | None = None
    before: Evaluation | None = None
    left: tuple[str, ...] = field(default=())


def scratches_of(instance: Instance, change: Change) -> Scratches:
    """Return the scratch apps of a release."""
    return Scratches(instance, change, word=_WORD)


@dataclass(frozen=True, slots=True, kw_only=True)
class ShadowInput:
    """What a shadow is made with besides the plan: the cases, a baseline for the old side, prices for their gate."""

    cases: Sequence[Case] = ()
    before: Evaluation | None = None
    prices: Prices | None = None


async def shadow(
    instance: Instance, change: Change, plan: ReleasePlan, now: Now, target: Mapping[str, Any], given: ShadowInput
) -> Shadowed:  # fmt: skip
    """Run recorded inputs, and the cases, through copies of both versions.

    Raises:
        DifyopsError: the copies could not be made or asked; they are swept all the same.
    """
    if plan.shadow.calls == 0:
        return Shadowed(word="skipped", text="no shadow was asked for")
    blocked = why_not(now, target, plan)
    if blocked:
        return Shadowed(word=OPEN, text=f"no shadow: {blocked}")
    recorded = [*await inputs_of(instance, now.app, plan), *inputs_of_cases(given.cases)]
    if len(recorded) < plan.shadow.least:
        return Shadowed(word=OPEN, text=f"{len(recorded)} recorded inputs, at least {plan.shadow.least} are needed")
    scratches = scratches_of(instance, change)
    try:
        found = await _both(scratches, plan, now, dict(target), recorded, given.prices)
    except BaseException:
        await asyncio.shield(scratches.sweep())
        raise
    swept = await scratches.sweep()
    done = _judged(found.pairs, plan, found.ended, found.tokens, swept)
    if not given.cases:
        return done
    before, cases = await in_shadow(instance, plan, given.cases, found.pairs, given.before)
    words = {done.word, cases.word}
    word = FAIL if FAIL in words else OPEN if OPEN in words else PASS
    return replace(
        done, word=word, text=f"{done.text}; {cases.text}", cases=cases, before=before, used=done.used + cases.used
    )


async def _both(
    scratches: Scratches, plan: ReleasePlan, now: Now, target: dict[str, Any], recorded: Sequence[RecordedInput],
    prices: Prices | None,
) -> Replayed:  # fmt: skip
    name = now.app.name
    old = await make_copy(scratches, 1, now.app, dict(now.live or {}), f"old {name}")
    new = await make_copy(scratches, 2, now.app, target, f"new {name}")

    async def ask(side: Side, what: RecordedInput) -> ReplayTold:
        return await (old if side == "old" else new).ask(what)

    pairs: list[ReplayPair] = []

    def enough(pair: ReplayPair) -> bool:
        pairs.append(pair)
        return _look(pairs, plan, failures_only=True).gates[0].word == FAIL

    limits = ReplayLimits(
        at_once=plan.shadow.at_once, deadline=plan.shadow.seconds, tokens=plan.shadow.tokens or None
    )  # fmt: skip
    scratches.change.checkpoint("before replay")
    done = await replay(recorded, ask, limits=limits, enough=enough, clock=scratches.change.journal.clock)
    if prices is None:
        return done
    known = await priced_pairs(done.pairs, (old.instance, old.app), (new.instance, new.app), prices)
    return replace(done, pairs=tuple(known))


def why_not(now: Now, target: Mapping[str, Any], plan: ReleasePlan) -> str:
    """Say why an app cannot stand in a shadow, blank where it can."""
    return why_no_copy(now.app, (target, now.live or {}), allow_effects=plan.shadow.allow_effects)


def _judged(pairs: Sequence[ReplayPair], plan: ReleasePlan, ended: str, used: int, swept: Swept) -> Shadowed:
    found = _look(pairs, plan)
    counted = len(_counted(pairs))
    word, text = found.word, found.text
    if word != FAIL and counted < plan.shadow.least:
        causes = sorted({side.outcome for pair in pairs for side in (pair.old, pair.new)} - {GOOD, OURS})
        word = OPEN
        text = f"{counted} of {len(pairs)} pairs counted, at least {plan.shadow.least} are needed"
        text += f" ({', '.join(causes)})" if causes else ""
    if ended not in (COMPLETE, STOPPED):
        text += f"; it ended early: {ended}"
    return Shadowed(word=word, text=text, pairs=len(pairs), used=used, look=found, left=swept.left)


def _look(pairs: Sequence[ReplayPair], plan: ReleasePlan, *, failures_only: bool = False) -> GateLook:
    counted = _counted(pairs)
    old = [_event(number, pair.old, failures_only) for number, pair in enumerate(counted)]
    new = [_event(number, pair.new, failures_only) for number, pair in enumerate(counted)]
    wanted = max(1, min(plan.shadow.least, len(counted)))
    return look(old, new, plan.gates, number=1, wanted=max(wanted, len(counted)))


def _counted(pairs: Sequence[ReplayPair]) -> list[ReplayPair]:
    """Return the pairs in which both versions were to be judged: a provider that was away for one is no difference."""
    return [pair for pair in pairs if {pair.old.outcome, pair.new.outcome} <= {GOOD, OURS}]


def _event(number: int, told: ReplayTold, failures_only: bool) -> GateEvent:
    plain = GateEvent(id=str(number), outcome=told.outcome, ended=float(number))
    if failures_only:
        return plain
    price = None if told.price is None else float(told.price)
    return replace(plain, seconds=told.seconds, tokens=told.tokens, price=price, currency=told.currency or "")
