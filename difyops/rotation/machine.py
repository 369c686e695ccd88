"""The rotation's states, and what comes next. Pure: no time, no calls, no files; facts in, one step out.

    planned -create-> created -distribute-> distributed -test-> tested -switch-> switched -settle*-> grace -watch*->
    retire -> retired -confirm*-> done

    from planned ... grace: turn back -> rolling_back -revert*-> rolled_back
    a step that no repetition cures: before the grace period turn back, later park; a parked one waits for a person
    an instance that is away: before the grace period the same, later wait for it: nothing is lost by waiting

Two promises hold here for every fact: the old secret is retired only when the new one is seen in use, the grace period
is over and a health round made after its end, a moment ago, did not fail; and nothing turns back once the old secret is
retired.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class State(StrEnum):
    """How far a rotation is: the last thing that is known to be done."""

    PLANNED = "planned"
    CREATED = "created"
    DISTRIBUTED = "distributed"
    TESTED = "tested"
    SWITCHED = "switched"
    GRACE = "grace"
    RETIRED = "retired"
    DONE = "done"
    ROLLING_BACK = "rolling_back"
    ROLLED_BACK = "rolled_back"
    PARKED = "parked"


class RotationAction(StrEnum):
    """What is to be done. ``WAIT`` for time, ``HOLD`` for a person (with ``--force``), ``REST`` for nobody."""

    CREATE = "create"
    DISTRIBUTE = "distribute"
    TEST = "test"
    SWITCH = "switch"
    SETTLE = "settle"
    BEGIN_GRACE = "begin grace"
    WATCH = "watch"
    RETIRE = "retire"
    CONFIRM = "confirm"
    FINISH = "finish"
    TURN_BACK = "turn back"
    REVERT = "revert"
    CLEAR = "clear"
    PARK = "park"
    WAIT = "wait"
    HOLD = "hold"
    REST = "rest"


class Used(StrEnum):
    """Which secret is seen in use."""

    NEW = "new"
    OLD = "old"
    UNKNOWN = "unknown"


class Health(StrEnum):
    """The verdict of the last health round; ``NONE``: there is nothing to probe."""

    HEALTHY = "healthy"
    SICK = "sick"
    INCONCLUSIVE = "inconclusive"
    NONE = "none"


ENDED = frozenset({State.DONE, State.ROLLED_BACK})
CAN_GO_BACK = frozenset({State.PLANNED, State.CREATED, State.DISTRIBUTED, State.TESTED, State.SWITCHED, State.GRACE})
_GOES_BACK_BY_ITSELF = CAN_GO_BACK - {State.GRACE}
_FORWARD: dict[State, tuple[RotationAction, State]] = {
    State.PLANNED: (RotationAction.CREATE, State.CREATED),
    State.CREATED: (RotationAction.DISTRIBUTE, State.DISTRIBUTED),
    State.DISTRIBUTED: (RotationAction.TEST, State.TESTED),
    State.TESTED: (RotationAction.SWITCH, State.SWITCHED),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class RotationFacts:
    """What the machine must know. Times are seconds from now; zero or less means due.

    ``failures`` counts failed tries of the present step in a row; ``hopeless`` says that no repetition cures it,
    ``is_away`` that the last try found nobody to ask.
    ``proof_is_fresh`` says that a health round was made after the grace period ended, and only a moment ago: what was
    seen before a long pause (a closed lid, a host that was down) proves nothing now.
    """

    wants_back: bool = False
    failures: int = 0
    patience: int = 5
    hopeless: bool = False
    is_away: bool = False
    parked_from: State | None = None
    used: Used = Used.UNKNOWN
    health: Health = Health.NONE
    sick_rounds: int = 0
    sick_limit: int = 2
    round_in: float = 0.0
    grace_left: float = 0.0
    proof_is_fresh: bool = False
    old_in_use: bool = False
    forced: bool = False
    poll_in: float = 0.0
    old_refused: bool = False
    reverted: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class RotationStep:
    """The next thing to do, the state it leads to, why (where that is not plain), and how long to wait."""

    action: RotationAction
    leads_to: State
    why: str = ""
    wait: float = 0.0


def next_step(state: State, facts: RotationFacts) -> RotationStep:
    """Return what is to be done in ``state``."""
    if state in ENDED:
        return RotationStep(action=RotationAction.REST, leads_to=state)
    if facts.wants_back and may_turn_back(state, facts.parked_from):
        return RotationStep(action=RotationAction.TURN_BACK, leads_to=State.ROLLING_BACK, why="asked to go back")
    if state is State.PARKED:
        return RotationStep(action=RotationAction.REST, leads_to=state, why="a person must look")
    is_patient = facts.is_away and state not in _GOES_BACK_BY_ITSELF
    if facts.hopeless or (facts.failures >= facts.patience and not is_patient):
        return _stuck(state, facts)
    match state:
        case State.SWITCHED:
            return _switched(facts)
        case State.GRACE:
            return _grace(facts)
        case State.RETIRED:
            return _until(
                facts.old_refused, RotationAction.FINISH, State.DONE, RotationAction.CONFIRM, state, facts.poll_in
            )
        case State.ROLLING_BACK:
            return _until(
                facts.reverted, RotationAction.CLEAR, State.ROLLED_BACK, RotationAction.REVERT, state, facts.poll_in
            )
        case _:
            action, leads_to = _FORWARD[state]
            return _waiting(facts.poll_in, state) or RotationStep(action=action, leads_to=leads_to)


def may_turn_back(state: State, parked_from: State | None = None) -> bool:
    """Say whether the old secret can still be brought back: until it is retired."""
    return state in CAN_GO_BACK or (state is State.PARKED and parked_from in CAN_GO_BACK | {State.ROLLING_BACK})


def _stuck(state: State, facts: RotationFacts) -> RotationStep:
    why = "the step cannot succeed" if facts.hopeless else f"the step failed {facts.failures} times"
    if state in _GOES_BACK_BY_ITSELF:
        return RotationStep(action=RotationAction.TURN_BACK, leads_to=State.ROLLING_BACK, why=why)
    return RotationStep(action=RotationAction.PARK, leads_to=State.PARKED, why=why)


def _switched(facts: RotationFacts) -> RotationStep:
    if facts.used is Used.NEW:
        return RotationStep(action=RotationAction.BEGIN_GRACE, leads_to=State.GRACE)
    why = "the old secret is still in use" if facts.used is Used.OLD else ""
    return _waiting(facts.poll_in, State.SWITCHED) or RotationStep(
        action=RotationAction.SETTLE, leads_to=State.SWITCHED, why=why
    )


def _grace(facts: RotationFacts) -> RotationStep:
    state = State.GRACE
    if facts.sick_rounds >= facts.sick_limit:
        why = f"the health check failed {facts.sick_rounds} times in a row"
        return RotationStep(action=RotationAction.TURN_BACK, leads_to=State.ROLLING_BACK, why=why)
    if waiting := _waiting(facts.poll_in, state):
        return waiting
    if facts.used is not Used.NEW:
        return RotationStep(action=RotationAction.SETTLE, leads_to=state, why="the old secret is in use again")
    is_over, is_unsure = facts.grace_left <= 0, facts.sick_rounds > 0
    if is_over and facts.proof_is_fresh and not is_unsure:
        return _end_of_grace(facts)
    if facts.round_in > 0 and (not is_over or is_unsure):
        soonest = facts.round_in if is_over else min(facts.round_in, facts.grace_left)
        return RotationStep(action=RotationAction.WAIT, leads_to=state, wait=soonest)
    return RotationStep(action=RotationAction.WATCH, leads_to=state)


def _end_of_grace(facts: RotationFacts) -> RotationStep:
    if facts.health is Health.INCONCLUSIVE and not facts.forced:
        return _held("the health check could not run", facts)
    if facts.old_in_use and not facts.forced:
        return _held("the old secret is still in use", facts)
    return RotationStep(action=RotationAction.RETIRE, leads_to=State.RETIRED)


def _held(why: str, facts: RotationFacts) -> RotationStep:
    """Look again from time to time; a person may say ``--force``."""
    if facts.round_in <= 0:
        return RotationStep(action=RotationAction.WATCH, leads_to=State.GRACE, why=why)
    return RotationStep(action=RotationAction.HOLD, leads_to=State.GRACE, why=why, wait=facts.round_in)


def _until(
    happened: bool, then: RotationAction, leads_to: State, otherwise: RotationAction, state: State, wait: float
) -> RotationStep:
    if happened:
        return RotationStep(action=then, leads_to=leads_to)
    return _waiting(wait, state) or RotationStep(action=otherwise, leads_to=state)


def _waiting(seconds: float, state: State) -> RotationStep | None:
    return RotationStep(action=RotationAction.WAIT, leads_to=state, wait=seconds) if seconds > 0 else None
