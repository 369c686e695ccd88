"""Rotating service keys, whatever they open: create beside, prove, hand out, delete the old one, call until refused.

The two kinds of service keys (of an app, of the workspace's datasets) differ in their address and in the cheapest call
that proves a key. Both keys work at the same time, so nothing is switched at the instance: callers switch when they
read the new value.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from difyops.api.instance import Instance
from difyops.api.keys import MOST_KEYS, Key, Keys
from difyops.api.server_time import server_time
from difyops.clock import from_unix, iso
from difyops.counting import counted
from difyops.errors import (
    AuthError,
    Forbidden,
    NotAuthenticated,
    Refused,
    RequestRejected,
    SelectorError,
    StalePlan,
    TimedOut,
)
from difyops.rotation import late
from difyops.rotation.job import NewValueRefused, RotationJob
from difyops.rotation.kinds import OldUse
from difyops.rotation.machine import Used
from difyops.rotation.vault import OLD
from difyops.secret_text import SecretText

LAG = "the last use is written every 30 minutes, and never where the server's scheduler (beat) does not run"


class ServiceKeyRotator:
    """What both kinds share; a kind says where its keys are (``keys``) and how one is tried (``try_key``)."""

    needs_value = False
    has_fields = False
    role = "admin"  # an editor may create keys but not delete them: the old one could never be retired

    def keys(self, instance: Instance, target: Any) -> Keys:
        """Return the surface of the keys."""
        raise AssertionError("a kind says where its keys are")

    async def try_key(self, job: RotationJob, key: SecretText) -> None:
        """Make the cheapest call with a key; raises what the server says."""
        raise AssertionError("a kind says how a key is tried")

    async def create(self, job: RotationJob) -> None:
        """Create the new key; one that was created by a process cut off is found by when it was made."""
        if job.memo("new_id") is None:
            created = await self._created_already(job)
            if created is None and job.memo("late"):
                await self._wait_for_late(job)
                created = await self._created_already(job)
            if created is None:
                created = await self._create_key(job)
            else:
                job.found_done("create key", key=created.id, fingerprint=job.seal(created.token))
            job.note(new_id=created.id, new_fingerprint=job.seal(created.token))
        await self.prove_new(job)

    async def prove_new(self, job: RotationJob) -> None:
        """Call with the new key.

        Raises:
            NewValueRefused: the server does not take it.
        """
        try:
            await self.try_key(job, (await self._new(job)).token)
        except NotAuthenticated as error:
            raise NewValueRefused(f"The new key does not work: {error.message}", hint=error.hint) from error

    async def switch(self, job: RotationJob) -> None:
        """Remember when callers could switch, in the server's time; the instance accepts both keys."""
        job.note(
            switched_at=(await server_time(job.instance, job.bench.clock)).latest + float(job.memo("ahead") or 0.0)
        )

    async def use_again(self, job: RotationJob) -> None:
        """Do nothing: the callers decide."""

    async def observe(self, job: RotationJob) -> Used:
        """Say new when the new key is served; whether callers use it, their last use tells later."""
        await self.prove_new(job)
        return Used.NEW

    async def old_use(self, job: RotationJob) -> OldUse:
        """Read the old key's last use."""
        old = await self._old(job)
        if old is None:
            return OldUse()
        seen = from_unix(old.last_used_at)
        if seen is None:
            return OldUse(words=f"the old key's last use is not known ({LAG})")
        switched = float(job.memo("switched_at") or 0)
        return OldUse(in_use=old.last_used_at is not None and old.last_used_at > switched, words=_last_use(seen))

    async def retire(self, job: RotationJob) -> None:
        """Delete the old key; its value is held until it is refused."""
        old = await self._old(job)
        if old is None:
            return
        key_id = old.id
        job.vault.keep(OLD, old.token)
        seal = job.seal(old.token)
        await job.effect("delete old key", lambda: self._keys(job).delete(key_id), key=key_id, fingerprint=seal)

    async def is_retired(self, job: RotationJob) -> bool:
        """Call with the old key: deleted is not refused yet, for up to ten minutes."""
        held = job.vault.get(OLD)
        if held is None:
            return await self._old(job) is None
        try:
            await self.try_key(job, held)
        except NotAuthenticated:
            return True
        except Forbidden:  # the API was switched off meanwhile: the key itself was accepted
            return False
        return False

    async def is_beyond_recall(self, job: RotationJob) -> bool:
        """Look whether the old key is gone from the list: a key that was deleted is never made again."""
        return bool(job.target("old_id")) and await self._old(job) is None

    async def revert(self, job: RotationJob) -> float:
        """Delete the new key, but only after callers had time to read the old one again.

        One that was asked for and did not come is waited for: a slow server may still make it.

        Raises:
            StalePlan: the old key is gone, and callers may have the new one: they would be left with none.
        """
        new = await self._new_if_any(job)
        if new is None:
            return await self._late_in(job)
        is_out = job.memo("handed_to") or job.memo("switched_at")
        if is_out and job.target("old_id") and await self._old(job) is None:
            raise StalePlan(
                "Somebody deleted the old key meanwhile; the new one is the only one that callers have, and stays.",
                hint=f"Delete the key {new.id} in the web page when nobody needs it.",
            )
        given_back = job.memo("given_back_at")
        if given_back is not None:
            pause = min(job.rotation.settings.handover, job.rotation.settings.grace)
            left = float(given_back) + pause - job.bench.clock.now().timestamp()
            if 0 < left <= pause:
                return left
        await job.effect("delete new key", lambda: self._keys(job).delete(new.id), key=new.id)
        return 0.0

    async def new_value(self, job: RotationJob) -> SecretText | None:
        """Return the new key: the list always shows it."""
        return (await self._new(job)).token

    async def old_value(self, job: RotationJob) -> SecretText | None:
        """Return the old key."""
        old = await self._old(job)
        return old.token if old else None

    def _keys(self, job: RotationJob) -> Keys:
        return self.keys(job.instance, job.rotation.target)

    async def _create_key(self, job: RotationJob) -> Key:
        """Ask for a key once. When it is asked is on disk before: only what is made then can be ours later."""
        asks, time = list(job.memo("asks") or ()), await server_time(job.instance, job.bench.clock)
        window = [time.earliest - late.SKEW, time.latest + late.longest(job) + late.SKEW]
        there = [key.id for key in await self._keys(job).list() if not _is_made_in(key, asks)]
        job.note(known=there, asks=[*asks, window])
        started = job.bench.clock.monotonic()
        try:
            created = await job.effect("create key", self._keys(job).create)
        except TimedOut:
            took = job.bench.clock.monotonic() - started
            job.note(asks=[*asks, [window[0], time.latest + took + late.LATE + late.SKEW]], late=True)
            raise
        except (AuthError, RequestRejected):
            job.note(asks=asks)  # nothing was created: a key that appears from now on is somebody else's
            raise
        if created.created_at is not None and not window[0] <= created.created_at <= window[1]:
            # its times of keys are hours off, as where database and server differ in their time zone
            job.note(ahead=created.created_at - time.now)
        return created

    async def _wait_for_late(self, job: RotationJob) -> None:
        """Wait for a key that a slow server may still make: asked for again at once, there would be two."""
        await job.bench.clock.sleep(await self._late_in(job))
        job.note(late=None)

    async def _late_in(self, job: RotationJob) -> float:
        """Return the seconds until no request of ours can make a key any more; 0 where ours is known."""
        asks = job.memo("asks")
        if not asks or job.memo("new_id") is not None:
            return 0.0
        return late.left_until(job, asks[-1][1], (await server_time(job.instance, job.bench.clock)).earliest)

    async def _created_already(self, job: RotationJob) -> Key | None:
        """Return the key that was made though its id was lost; ``None`` when none was.

        Ours is a key that was not there before, was made while the server could be at one of our requests, and was
        never used: nobody can have called with a key that was lost on the way here.

        Raises:
            Refused: several are like that, so that none can be called ours.
        """
        asks, known = job.memo("asks") or (), set(job.memo("known") or ())
        if not asks:
            return None
        fresh = [key for key in await self._keys(job).list() if key.id not in known and _is_made_in(key, asks)]
        if len(fresh) > 1:
            listed = ", ".join(key.id for key in fresh)
            raise Refused(
                f"{counted(len(fresh), 'key was', 'keys were')} made while one was asked for; "
                f"which one is ours? {listed}"
            )
        return fresh[0] if fresh else None

    async def _new_if_any(self, job: RotationJob) -> Key | None:
        if job.memo("new_id") is None:
            return await self._created_already(job)
        return await self._key(job, str(job.memo("new_id")))

    async def _new(self, job: RotationJob) -> Key:
        new = await self._key(job, str(job.memo("new_id")))
        if new is None:
            raise NewValueRefused("Somebody deleted the new key meanwhile.")
        return new

    async def _old(self, job: RotationJob) -> Key | None:
        return await self._key(job, job.target("old_id")) if job.target("old_id") else None

    async def _key(self, job: RotationJob, key_id: str) -> Key | None:
        return next((key for key in await self._keys(job).list() if key.id == key_id), None)


def old_key(keys: tuple[Key, ...], wanted: str | None) -> Key | None:
    """Return the key to replace: the one named by the start of its id, the only one, ``None`` when there is none.

    Raises:
        SelectorError: several and none chosen. Refused: there is no room for one more.
    """
    chosen = [key for key in keys if key.id.startswith(wanted)] if wanted else list(keys)
    if wanted and len(chosen) != 1:
        raise SelectorError(f"No single key has an id that starts with {wanted!r}.", hint=_listed(keys))
    if len(chosen) > 1:
        raise SelectorError(
            f"There are {counted(len(chosen), 'key')}; which one is to be replaced?", hint=_listed(keys)
        )
    if len(keys) >= MOST_KEYS:
        raise Refused(
            f"There are {counted(len(keys), 'key')} already, and the server allows {MOST_KEYS}; "
            "a new one finds no room.",
            hint="Delete one that is not in use in the web page first.",
        )
    return chosen[0] if chosen else None


def _is_made_in(key: Key, asks: Sequence[Sequence[float]]) -> bool:
    made = key.created_at
    is_ours = made is not None and any(first <= made <= last for first, last in asks)
    return is_ours and key.last_used_at is None


def key_words(key: Key) -> str:
    """Return a key for people: its id and times, never the token."""
    created, used = from_unix(key.created_at), from_unix(key.last_used_at)
    return f"{key.id} (created {iso(created) if created else 'unknown'}, {_last_use(used)})"


def _listed(keys: tuple[Key, ...]) -> str:
    return "Add --credential ID: " + "; ".join(key_words(key) for key in keys)


def _last_use(seen: datetime | None) -> str:
    return f"last used {iso(seen)}" if seen else "last use unknown"
