"""From the journal and the clock to what the machine must know. No calls; times are capped, for clocks jump."""

from __future__ import annotations

from datetime import datetime

from difyops.rotation.machine import Health, RotationFacts, State, Used
from difyops.rotation.record import Rotation

_LONGEST_ROUND, _SHORTEST_ROUND, _SICK_ROUND = 60.0, 1.0, 2.0
_LONGEST_PAUSE = 30.0
_LONGEST_POLL = 15.0
_PROOF_LASTS = 300.0  # seconds; several of the longest rounds


def gather(rotation: Rotation, now: datetime, *, grace_floor: float = 0.0) -> RotationFacts:
    """Return the facts at ``now``.

    ``grace_floor`` is what a process that saw the grace period begin measured as left: a wall clock that jumps ahead
    does not shorten the period then. A clock that jumps back never makes it longer than it was.
    """
    memo, settings = rotation.memo, rotation.settings
    left = min(float(memo.get("grace_until") or 0.0) - now.timestamp(), settings.grace)
    last_round = float(memo.get("last_round") or 0.0)
    return RotationFacts(
        wants_back=rotation.wants_back is not None,
        failures=rotation.failures,
        patience=settings.patience,
        hopeless=rotation.hopeless,
        is_away=rotation.is_away,
        parked_from=rotation.parked_from,
        used=Used(memo.get("used") or Used.UNKNOWN),
        health=Health(memo.get("health") or Health.NONE),
        sick_rounds=int(memo.get("sick_rounds") or 0),
        sick_limit=settings.sick_limit,
        round_in=_left(last_round, round_length(rotation), now),
        grace_left=max(left, grace_floor),
        proof_is_fresh=_is_fresh(rotation, now),
        old_in_use=bool(memo.get("old_in_use")),
        forced=settings.force,
        poll_in=_poll_in(rotation, now),
        old_refused=bool(memo.get("refused")),
        reverted=bool(memo.get("reverted")),
    )


def round_length(rotation: Rotation) -> float:
    """Return the seconds between two health rounds: a tenth of the grace period, a minute at most, less when sick."""
    usual = max(_SHORTEST_ROUND, min(_LONGEST_ROUND, rotation.settings.grace / 10))
    return min(usual, _SICK_ROUND) if rotation.memo.get("sick_rounds") else usual


def _is_fresh(rotation: Rotation, now: datetime) -> bool:
    """Say whether the last round began after the grace period and ended a moment ago; a round in the future is not."""
    memo = rotation.memo
    began, over = float(memo.get("last_round") or 0.0), float(memo.get("grace_until") or 0.0)
    age = now.timestamp() - float(memo.get("round_ended") or began)
    return bool(began) and began >= over and 0 <= age <= _PROOF_LASTS


def _poll_in(rotation: Rotation, now: datetime) -> float:
    """Return how long to wait before the step is tried again: after a failure, a refusal that is late, a hand-over."""
    memo, waits = rotation.memo, [0.0]
    if rotation.failures:
        pause = min(_LONGEST_PAUSE, rotation.settings.pause * 2.0 ** min(rotation.failures - 1, 10))
        waits.append(_left(rotation.updated.timestamp(), pause, now))
    if rotation.state is State.RETIRED and memo.get("polled_at"):
        passed = float(memo["polled_at"]) - float(memo.get("retired_at") or 0.0)
        poll = min(_LONGEST_POLL, rotation.settings.pause + max(0.0, passed) / 10)
        waits.append(_left(float(memo["polled_at"]), poll, now))
    if rotation.state is State.ROLLING_BACK and memo.get("revert_asked_at"):
        waits.append(_left(float(memo["revert_asked_at"]), float(memo.get("revert_pause") or 0.0), now))
    return max(waits)


def _left(since: float, length: float, now: datetime) -> float:
    left = since + length - now.timestamp()
    return left if 0 < left <= length else 0.0
