"""The table of states: every pair is either in it or refused, and the drawing shows all of it."""

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.domain.errors import WrongState
from services.domain.job_states import FINAL, HELD, OPEN, TRANSITIONS, WAITING, JobState, Trigger, drawing, next_state


@pytest.mark.parametrize(("state", "trigger"), list(itertools.product(JobState, Trigger)))
def test_every_pair_is_in_the_table_or_refused_with_the_state(state: JobState, trigger: Trigger) -> None:
    if (state, trigger) in TRANSITIONS:
        assert next_state(state, trigger) is TRANSITIONS[state, trigger]
    else:
        with pytest.raises(WrongState) as caught:
            next_state(state, trigger)
        assert caught.value.metadata == {"state": state.value}


def test_final_states_are_final() -> None:
    assert not any(state in FINAL for state, _ in TRANSITIONS)
    assert set(JobState) == FINAL | OPEN


def test_every_open_state_can_come_to_an_end() -> None:
    reachable = {state: {to for (source, _), to in TRANSITIONS.items() if source is state} for state in JobState}
    for state in OPEN:
        seen = {state}
        while more := set().union(*(reachable[each] for each in seen)) - seen:
            seen |= more
        assert FINAL & seen, state


def test_every_state_is_reached_from_the_queue() -> None:
    seen = {JobState.QUEUED}
    while more := {to for (source, _), to in TRANSITIONS.items() if source in seen} - seen:
        seen |= more
    assert seen == set(JobState)


def test_a_cancel_never_becomes_another_attempt() -> None:
    assert {to for (source, _), to in TRANSITIONS.items() if source is JobState.CANCELLING} == {JobState.CANCELLED}


def test_every_open_state_but_cancelling_can_be_cancelled() -> None:
    cancellable = {state for state, trigger in TRANSITIONS if trigger is Trigger.CANCEL}
    assert cancellable == OPEN - {JobState.CANCELLING}


def test_only_waiting_jobs_are_claimed_and_claiming_holds_them() -> None:
    claims = {state: to for (state, trigger), to in TRANSITIONS.items() if trigger is Trigger.CLAIM}
    assert set(claims) == WAITING
    assert set(claims.values()) <= HELD


def test_success_comes_through_finalizing_only() -> None:
    assert [source for (source, _), to in TRANSITIONS.items() if to is JobState.SUCCEEDED] == [JobState.FINALIZING]


@settings(max_examples=200, deadline=None)
@given(st.lists(st.sampled_from(Trigger), max_size=30))
def test_whatever_happens_a_job_is_in_a_known_state_and_ends_once(triggers: list[Trigger]) -> None:
    state, ends = JobState.QUEUED, 0
    for trigger in triggers:
        try:
            state = next_state(state, trigger)
        except WrongState:
            continue
        ends += state in FINAL
    assert ends <= 1


def test_the_drawing_shows_every_transition() -> None:
    lines = drawing().splitlines()
    assert lines[0] == "stateDiagram-v2"
    for (state, trigger), to in TRANSITIONS.items():
        assert f"    {state.value} --> {to.value}: {trigger.value}" in lines
