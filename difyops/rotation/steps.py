"""What each step of the machine does, with the help of the kind. Each may be repeated; what they find out is noted."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import asdict

from difyops.errors import AnswerIsNo, CredentialError, DifyopsError
from difyops.rotation.deliver import deliver, give_back
from difyops.rotation.hands import NewValueRefused, RotationJob
from difyops.rotation.kinds import SecretKind
from difyops.rotation.machine import Health, RotationAction, Used
from difyops.rotation.probe import Probed, counted, probe, together
from difyops.rotation.vault import NEW

Perform = Callable[[RotationJob, SecretKind], Awaitable[None]]


class StillOld(DifyopsError):
    """After the switch the old secret is what is used; it is switched again."""

    code = "still_old"

    def __init__(self) -> None:
        super().__init__("The server still uses the old secret after the switch.", retryable=True)


async def perform(hands: RotationJob, kind: SecretKind, action: RotationAction) -> None:
    """Do one step; raises what went wrong."""
    await _STEPS[action](hands, kind)


async def _create(hands: RotationJob, kind: SecretKind) -> None:
    if kind.needs_value and hands.vault.get(NEW) is None:
        reference = hands.rotation.settings.value_from
        if reference is None:
            raise NewValueRefused("The new value was never received; nothing was changed.")
        hands.vault.keep(NEW, await hands.resolve(reference))
    also = hands.rotation.settings.also_from
    if also and not hands.vault.others():
        hands.vault.keep_others({name: await hands.resolve(reference) for name, reference in also.items()})
    await kind.create(hands)


async def _distribute(hands: RotationJob, kind: SecretKind) -> None:
    if not hands.rotation.settings.deliver:
        return
    value = await kind.new_value(hands)
    if value is None:
        raise CredentialError("There is no new value to hand out.")
    await deliver(hands, value)


async def _test(hands: RotationJob, kind: SecretKind) -> None:
    """Try the new secret by itself, and the apps as they are.

    An app that somebody named has to be well. One that was chosen here and fails already tells nothing and is set
    aside; where all of them fail it may be the old secret that is broken, and they must be well after the switch.
    """
    await kind.prove_new(hands)
    results = await _round(hands, kind)
    hands.note(before=[_plain(result) for result in results])
    sick = {result.app: result.why for result in results if result.health is Health.SICK}
    failing = [spec for spec in counted(hands) if spec.name in sick]
    if any(not spec.found for spec in failing):
        told = ", ".join(f"{app}: {why}" for app, why in sick.items())
        raise AnswerIsNo(
            f"A health check fails before the switch ({told}); where that says nothing about the secret, choose others "
            "with --probe, or --no-probe."
        )
    if failing and len(failing) < len(results):
        hands.note(set_aside=[spec.app for spec in failing])


async def _switch(hands: RotationJob, kind: SecretKind) -> None:
    await kind.switch(hands)


async def _settle(hands: RotationJob, kind: SecretKind) -> None:
    """Let the runs in flight pass, switch again, and look what is used."""
    await hands.bench.clock.sleep(hands.rotation.settings.settle)
    await kind.use_again(hands)
    used = await kind.observe(hands)
    hands.note(used=str(used))
    if used is Used.OLD:
        raise StillOld


async def _begin_grace(hands: RotationJob, kind: SecretKind) -> None:
    now = hands.bench.clock.now().timestamp()
    if hands.memo("grace_until") is None:
        hands.note(grace_until=now + hands.rotation.settings.grace)
    await _watch(hands, kind)


async def _watch(hands: RotationJob, kind: SecretKind) -> None:
    """One health round: is the new secret used, do the apps answer, is the old one still in use?"""
    began, grace = hands.bench.clock.now().timestamp(), hands.rotation.settings.grace
    if float(hands.memo("grace_until") or 0.0) - began > grace:  # somebody set the clock back: count anew
        hands.note(grace_until=began + grace)
    try:
        used, results = await kind.observe(hands), await _round(hands, kind)
        use = await kind.old_use(hands)
    except NewValueRefused as error:
        used, use = Used.NEW, None
        results = [Probed(app=hands.rotation.label, health=Health.SICK, why=error.message)]
    health = together(results)
    rounds = int(hands.memo("sick_rounds") or 0)
    sick_rounds = rounds + 1 if health is Health.SICK else rounds if health is Health.INCONCLUSIVE else 0
    hands.note(
        used=str(used),
        health=str(health),
        sick_rounds=sick_rounds,
        last_round=began,
        round_ended=hands.bench.clock.now().timestamp(),
        rounds=int(hands.memo("rounds") or 0) + 1,
        probed=[_plain(result) for result in results],
        old_in_use=bool(use and use.in_use),
        old_use=use.words if use else "",
    )


async def _retire(hands: RotationJob, kind: SecretKind) -> None:
    await kind.retire(hands)
    if hands.memo("retired_at") is None:
        hands.note(retired_at=hands.bench.clock.now().timestamp())


async def _confirm(hands: RotationJob, kind: SecretKind) -> None:
    """Look whether the retired secret is refused, twice: a server may go on accepting it for ten minutes, and a call
    that was under way at the first look may have put it back into the server's cache.
    """
    if await kind.is_retired(hands):
        await hands.bench.clock.sleep(hands.rotation.settings.settle)
        if await kind.is_retired(hands):
            hands.note(refused=True)
            return
    now = hands.bench.clock.now().timestamp()
    hands.note(polled_at=now)
    waited = now - float(hands.memo("retired_at") or now)
    if waited > hands.rotation.settings.refusal:
        raise AnswerIsNo(f"The old secret is still accepted {waited / 60:.0f} minutes after it was deleted.")


async def _revert(hands: RotationJob, kind: SecretKind) -> None:
    """Give callers the old value back, then take the new secret back."""
    if hands.memo("old_use"):  # it may advise to revoke the old secret, which is the one that is needed again
        hands.note(old_use="", old_in_use=False)
    if hands.memo("handed_to") and hands.memo("given_back_at") is None:
        old = await kind.old_value(hands)
        if old is not None:
            await give_back(hands, old)
            hands.note(given_back_at=hands.bench.clock.now().timestamp())
    pause = await kind.revert(hands)
    if pause > 0:
        hands.note(revert_asked_at=hands.bench.clock.now().timestamp(), revert_pause=pause)
    else:
        hands.note(reverted=True)


async def _clear(hands: RotationJob, kind: SecretKind) -> None:
    """Let go of every held value; the last step both ways."""
    await asyncio.to_thread(hands.vault.clear)


async def _round(hands: RotationJob, kind: SecretKind) -> list[Probed]:
    """Run the checks one after the other: a polite guest."""
    return [await probe(hands, spec, await kind.probe_key(hands, spec.app)) for spec in counted(hands)]


def _plain(result: Probed) -> dict[str, object]:
    return {**asdict(result), "health": str(result.health), "seconds": round(result.seconds, 3)}


_STEPS: dict[RotationAction, Perform] = {
    RotationAction.CREATE: _create,
    RotationAction.DISTRIBUTE: _distribute,
    RotationAction.TEST: _test,
    RotationAction.SWITCH: _switch,
    RotationAction.SETTLE: _settle,
    RotationAction.BEGIN_GRACE: _begin_grace,
    RotationAction.WATCH: _watch,
    RotationAction.RETIRE: _retire,
    RotationAction.CONFIRM: _confirm,
    RotationAction.FINISH: _clear,
    RotationAction.REVERT: _revert,
    RotationAction.CLEAR: _clear,
}
