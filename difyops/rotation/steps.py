"""What each step of the machine does, with the help of the kind. Each may be repeated; what they find out is noted."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import asdict

from difyops.errors import AnswerIsNo, CredentialError, DifyopsError
from difyops.rotation.deliver import deliver, give_back
from difyops.rotation.job import NewValueRefused, RotationJob
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


async def perform(job: RotationJob, kind: SecretKind, action: RotationAction) -> None:
    """Do one step; raises what went wrong."""
    await _STEPS[action](job, kind)


async def _create(job: RotationJob, kind: SecretKind) -> None:
    if kind.needs_value and job.vault.get(NEW) is None:
        reference = job.rotation.settings.value_from
        if reference is None:
            raise NewValueRefused("The new value was never received; nothing was changed.")
        job.vault.keep(NEW, await job.resolve(reference))
    also = job.rotation.settings.also_from
    if also and not job.vault.others():
        job.vault.keep_others({name: await job.resolve(reference) for name, reference in also.items()})
    await kind.create(job)


async def _distribute(job: RotationJob, kind: SecretKind) -> None:
    if not job.rotation.settings.deliver:
        return
    value = await kind.new_value(job)
    if value is None:
        raise CredentialError("There is no new value to hand out.")
    await deliver(job, value)


async def _test(job: RotationJob, kind: SecretKind) -> None:
    """Try the new secret by itself, and the apps as they are.

    An app that somebody named has to be well. One that was chosen here and fails already tells nothing and is set
    aside; where all of them fail it may be the old secret that is broken, and they must be well after the switch.
    """
    await kind.prove_new(job)
    results = await _round(job, kind)
    job.note(before=[_plain(result) for result in results])
    sick = {result.app: result.why for result in results if result.health is Health.SICK}
    failing = [spec for spec in counted(job) if spec.name in sick]
    if any(not spec.found for spec in failing):
        told = ", ".join(f"{app}: {why}" for app, why in sick.items())
        raise AnswerIsNo(
            f"A health check fails before the switch ({told}); where that says nothing about the secret, choose others "
            "with --probe, or --no-probe."
        )
    if failing and len(failing) < len(results):
        job.note(left_out=[spec.app for spec in failing])


async def _switch(job: RotationJob, kind: SecretKind) -> None:
    await kind.switch(job)


async def _settle(job: RotationJob, kind: SecretKind) -> None:
    """Let the runs in flight pass, switch again, and look what is used."""
    await job.bench.clock.sleep(job.rotation.settings.settle)
    await kind.use_again(job)
    used = await kind.observe(job)
    job.note(used=str(used))
    if used is Used.OLD:
        raise StillOld


async def _begin_grace(job: RotationJob, kind: SecretKind) -> None:
    now = job.bench.clock.now().timestamp()
    if job.memo("grace_until") is None:
        job.note(grace_until=now + job.rotation.settings.grace)
    await _watch(job, kind)


async def _watch(job: RotationJob, kind: SecretKind) -> None:
    """One health round: is the new secret used, do the apps answer, is the old one still in use?"""
    began, grace = job.bench.clock.now().timestamp(), job.rotation.settings.grace
    if float(job.memo("grace_until") or 0.0) - began > grace:  # somebody set the clock back: count anew
        job.note(grace_until=began + grace)
    try:
        used, results = await kind.observe(job), await _round(job, kind)
        use = await kind.old_use(job)
    except NewValueRefused as error:
        used, use = Used.NEW, None
        results = [Probed(app=job.rotation.label, health=Health.SICK, why=error.message)]
    health = together(results)
    rounds = int(job.memo("sick_rounds") or 0)
    sick_rounds = rounds + 1 if health is Health.SICK else rounds if health is Health.INCONCLUSIVE else 0
    job.note(
        used=str(used),
        health=str(health),
        sick_rounds=sick_rounds,
        last_round=began,
        round_ended=job.bench.clock.now().timestamp(),
        rounds=int(job.memo("rounds") or 0) + 1,
        probed=[_plain(result) for result in results],
        old_in_use=bool(use and use.in_use),
        old_use=use.words if use else "",
    )


async def _retire(job: RotationJob, kind: SecretKind) -> None:
    await kind.retire(job)
    if job.memo("retired_at") is None:
        job.note(retired_at=job.bench.clock.now().timestamp())


async def _confirm(job: RotationJob, kind: SecretKind) -> None:
    """Look whether the retired secret is refused, twice: a server may go on accepting it for ten minutes, and a call
    that was under way at the first look may have put it back into the server's cache.
    """
    if await kind.is_retired(job):
        await job.bench.clock.sleep(job.rotation.settings.settle)
        if await kind.is_retired(job):
            job.note(refused=True)
            return
    now = job.bench.clock.now().timestamp()
    job.note(polled_at=now)
    waited = now - float(job.memo("retired_at") or now)
    if waited > job.rotation.settings.refusal:
        raise AnswerIsNo(f"The old secret is still accepted {waited / 60:.0f} minutes after it was deleted.")


async def _revert(job: RotationJob, kind: SecretKind) -> None:
    """Give callers the old value back, then take the new secret back."""
    if job.memo("old_use"):  # it may advise to revoke the old secret, which is the one that is needed again
        job.note(old_use="", old_in_use=False)
    if job.memo("handed_to") and job.memo("given_back_at") is None:
        old = await kind.old_value(job)
        if old is not None:
            await give_back(job, old)
            job.note(given_back_at=job.bench.clock.now().timestamp())
    pause = await kind.revert(job)
    if pause > 0:
        job.note(revert_asked_at=job.bench.clock.now().timestamp(), revert_pause=pause)
    else:
        job.note(reverted=True)


async def _clear(job: RotationJob, kind: SecretKind) -> None:
    """Let go of every held value; the last step both ways."""
    await asyncio.to_thread(job.vault.clear)


async def _round(job: RotationJob, kind: SecretKind) -> list[Probed]:
    """Run the checks one after the other: a polite guest."""
    return [await probe(job, spec, await kind.probe_key(job, spec.app)) for spec in counted(job)]


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
