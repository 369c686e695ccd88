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


class Action(StrEnum):
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
_FORWARD: dict[State, tuple[Action, State]] = {
    State.PLANNED: (Action.CREATE, State.CREATED),
    State.CREATED: (Action.DISTRIBUTE, State.DISTRIBUTED),
    State.DISTRIBUTED: (Action.TEST, State.TESTED),
    State.TESTED: (Action.SWITCH, State.SWITCHED),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
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
class Step:
    """The next thing to do, the state it leads to, why (where that is not plain), and how long to wait."""

    action: Action
    leads_to: State
    why: str = ""
    wait: float = 0.0


def next_step(state: State, facts: Facts) -> Step:
    """Return what is to be done in ``state``."""
    if state in ENDED:
        return Step(action=Action.REST, leads_to=state)
    if facts.wants_back and may_turn_back(state, facts.parked_from):
        return Step(action=Action.TURN_BACK, leads_to=State.ROLLING_BACK, why="asked to go back")
    if state is State.PARKED:
        return Step(action=Action.REST, leads_to=state, why="a person must look")
    is_patient = facts.is_away and state not in _GOES_BACK_BY_ITSELF
    if facts.hopeless or (facts.failures >= facts.patience and not is_patient):
        return _stuck(state, facts)
    match state:
        case State.SWITCHED:
            return _switched(facts)
        case State.GRACE:
            return _grace(facts)
        case State.RETIRED:
            return _until(facts.old_refused, Action.FINISH, State.DONE, Action.CONFIRM, state, facts.poll_in)
        case State.ROLLING_BACK:
            return _until(facts.reverted, Action.CLEAR, State.ROLLED_BACK, Action.REVERT, state, facts.poll_in)
        case _:
            action, leads_to = _FORWARD[state]
            return _waiting(facts.poll_in, state) or Step(action=action, leads_to=leads_to)


def may_turn_back(state: State, parked_from: State | None = None) -> bool:
    """Say whether the old secret can still be brought back: until it is retired."""
    return state in CAN_GO_BACK or (state is State.PARKED and parked_from in CAN_GO_BACK | {State.ROLLING_BACK})


def _stuck(state: State, facts: Facts) -> Step:
    why = "the step cannot succeed" if facts.hopeless else f"the step failed {facts.failures} times"
    if state in _GOES_BACK_BY_ITSELF:
        return Step(action=Action.TURN_BACK, leads_to=State.ROLLING_BACK, why=why)
    return Step(action=Action.PARK, leads_to=State.PARKED, why=why)


def _switched(facts: Facts) -> Step:
    if facts.used is Used.NEW:
        return Step(action=Action.BEGIN_GRACE, leads_to=State.GRACE)
    why = "the old secret is still in use" if facts.used is Used.OLD else ""
    return _waiting(facts.poll_in, State.SWITCHED) or Step(action=Action.SETTLE, leads_to=State.SWITCHED, why=why)


def _grace(facts: Facts) -> Step:
    state = State.GRACE
    if facts.sick_rounds >= facts.sick_limit:
        why = f"the health check failed {facts.sick_rounds} times in a row"
        return Step(action=Action.TURN_BACK, leads_to=State.ROLLING_BACK, why=why)
    if waiting := _waiting(facts.poll_in, state):
        return waiting
    if facts.used is not Used.NEW:
        return Step(action=Action.SETTLE, leads_to=state, why="the old secret is in use again")
    is_over, is_unsure = facts.grace_left <= 0, facts.sick_rounds > 0
    if is_over and facts.proof_is_fresh and not is_unsure:
        return _end_of_grace(facts)
    if facts.round_in > 0 and (not is_over or is_unsure):
        soonest = facts.round_in if is_over else min(facts.round_in, facts.grace_left)
        return Step(action=Action.WAIT, leads_to=state, wait=soonest)
    return Step(action=Action.WATCH, leads_to=state)


def _end_of_grace(facts: Facts) -> Step:
    if facts.health is Health.INCONCLUSIVE and not facts.forced:
        return _held("the health check could not run", facts)
    if facts.old_in_use and not facts.forced:
        return _held("the old secret is still in use", facts)
    return Step(action=Action.RETIRE, leads_to=State.RETIRED)


def _held(why: str, facts: Facts) -> Step:
    """Look again from time to time; a person may say ``--force``."""
    if facts.round_in <= 0:
        return Step(action=Action.WATCH, leads_to=State.GRACE, why=why)
    return Step(action=Action.HOLD, leads_to=State.GRACE, why=why, wait=facts.round_in)


def _until(happened: bool, then: Action, leads_to: State, otherwise: Action, state: State, wait: float) -> Step:
    if happened:
        return Step(action=then, leads_to=leads_to)
    return _waiting(wait, state) or Step(action=otherwise, leads_to=state)


def _waiting(seconds: float, state: State) -> Step | None:
    return Step(action=Action.WAIT, leads_to=state, wait=seconds) if seconds > 0 else None
