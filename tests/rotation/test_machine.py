"""The state machine's laws: whatever the facts, the old secret is safe until the new one is proved."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from difyops.rotation.machine import (
    CAN_GO_BACK,
    ENDED,
    Health,
    RotationAction,
    RotationFacts,
    State,
    Used,
    may_turn_back,
    next_step,
)

seconds = st.floats(min_value=-5, max_value=500, allow_nan=False)
facts = st.builds(
    RotationFacts,
    wants_back=st.booleans(),
    failures=st.integers(0, 8),
    hopeless=st.booleans(),
    is_away=st.booleans(),
    parked_from=st.sampled_from([None, *State]),
    used=st.sampled_from(list(Used)),
    health=st.sampled_from(list(Health)),
    sick_rounds=st.integers(0, 4),
    round_in=seconds,
    grace_left=seconds,
    proof_is_fresh=st.booleans(),
    old_in_use=st.booleans(),
    forced=st.booleans(),
    poll_in=seconds,
    old_refused=st.booleans(),
    reverted=st.booleans(),
)
GOOD = RotationFacts(used=Used.NEW, health=Health.HEALTHY, proof_is_fresh=True, old_refused=True, reverted=True)


@given(st.sampled_from(list(State)), facts)
def test_the_old_secret_is_retired_only_when_the_new_one_is_used_the_grace_is_over_and_a_late_check_passed(
    state: State, known: RotationFacts
) -> None:
    step = next_step(state, known)
    if step.action is RotationAction.RETIRE:
        assert state is State.GRACE
        assert known.used is Used.NEW
        assert known.grace_left <= 0
        assert known.proof_is_fresh
        assert known.sick_rounds == 0
        assert known.forced or (not known.old_in_use and known.health is not Health.INCONCLUSIVE)


@given(st.sampled_from(list(State)), facts)
def test_nothing_turns_back_once_the_old_secret_is_retired(state: State, known: RotationFacts) -> None:
    if next_step(state, known).action is RotationAction.TURN_BACK:
        assert may_turn_back(state, known.parked_from)
        assert state not in (State.RETIRED, State.DONE, State.ROLLED_BACK)


@given(facts)
def test_after_a_long_pause_somebody_looks_before_the_old_secret_is_retired(known: RotationFacts) -> None:
    ready = replace(GOOD, grace_left=min(0.0, known.grace_left), health=known.health, forced=known.forced)
    step = next_step(State.GRACE, replace(ready, proof_is_fresh=False, round_in=0.0))
    assert step.action is RotationAction.WATCH


@given(st.sampled_from(list(State)), facts)
def test_done_is_reached_only_when_the_old_secret_is_refused(state: State, known: RotationFacts) -> None:
    step = next_step(state, known)
    if step.leads_to is State.DONE and state is not State.DONE:
        assert state is State.RETIRED
        assert known.old_refused


@given(st.sampled_from(sorted(CAN_GO_BACK)), facts)
def test_a_person_can_turn_back_from_everywhere_before_the_end(state: State, known: RotationFacts) -> None:
    assert next_step(state, replace(known, wants_back=True)).leads_to is State.ROLLING_BACK


@given(st.sampled_from([state for state in State if state is not State.PARKED]))
def test_with_good_facts_every_state_reaches_an_end(state: State) -> None:
    for _ in range(12):
        if state in ENDED:
            break
        state = next_step(state, GOOD).leads_to
    assert state in ENDED


@given(st.sampled_from(list(State)), facts)
def test_a_step_that_cannot_succeed_turns_back_before_the_grace_period_and_parks_after_it(
    state: State, known: RotationFacts
) -> None:
    step = next_step(state, replace(known, hopeless=True, wants_back=False))
    if state in ENDED or state is State.PARKED:
        assert step.action is RotationAction.REST
    else:
        assert step.action in (RotationAction.TURN_BACK, RotationAction.PARK)
        assert (step.action is RotationAction.PARK) == (state in (State.GRACE, State.RETIRED, State.ROLLING_BACK))


@given(st.sampled_from([State.GRACE, State.RETIRED, State.ROLLING_BACK]), facts)
def test_an_instance_that_is_away_parks_nothing_that_can_wait(state: State, known: RotationFacts) -> None:
    step = next_step(state, replace(known, is_away=True, hopeless=False))
    assert step.action is not RotationAction.PARK


@given(st.sampled_from(list(State)), facts)
def test_waiting_is_never_for_no_time(state: State, known: RotationFacts) -> None:
    step = next_step(state, known)
    if step.action is RotationAction.WAIT:
        assert step.wait > 0
