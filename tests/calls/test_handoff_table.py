import pytest
from hypothesis import given
from hypothesis import strategies as st

from voice_app.calls import MISSES, CallState, Handoff, HandoffState, HandoffStep
from voice_app.calls.handoff import TABLE
from voice_app.journal import Entry
from voice_app.journal.events import HandedOff


def walked(*steps: HandoffStep) -> Handoff:
    entries = [
        Entry(str(n), float(n), "CA1", HandedOff(step, "billing", "A refund.", "+1"))
        for n, step in enumerate(steps)
    ]
    return CallState.of(entries).handoff


@pytest.mark.parametrize(
    ("before", "step", "after"), [(state, step, TABLE[state, step]) for state, step in TABLE]
)
def test_every_transition_of_the_table_is_taken(
    before: HandoffState, step: HandoffStep, after: HandoffState
) -> None:
    assert Handoff(before).allows(step)
    assert Handoff(before).after(HandedOff(step)).state is after


@pytest.mark.parametrize("state", HandoffState)
@pytest.mark.parametrize("step", HandoffStep)
def test_a_step_that_does_not_fit_changes_nothing(state: HandoffState, step: HandoffStep) -> None:
    if (state, step) not in TABLE:
        assert Handoff(state).after(HandedOff(step)) == Handoff(state)


def test_a_step_that_nobody_knows_changes_nothing() -> None:
    assert Handoff().after(HandedOff("teleported")) == Handoff()


def test_a_person_takes_the_call() -> None:
    handoff = walked(HandoffStep.REQUESTED, HandoffStep.RANG, HandoffStep.ACCEPTED, HandoffStep.FINISHED)
    assert handoff.state is HandoffState.OVER
    assert (handoff.reason, handoff.summary, handoff.attempt) == ("billing", "A refund.", 1)


@pytest.mark.parametrize("miss", sorted(MISSES))
def test_a_missed_person_is_followed_by_the_next(miss: HandoffStep) -> None:
    handoff = walked(HandoffStep.REQUESTED, HandoffStep.RANG, miss, HandoffStep.RANG)
    assert (handoff.state, handoff.attempt) == (HandoffState.RINGING, 2)


def test_a_second_request_begins_to_count_anew() -> None:
    handoff = walked(
        HandoffStep.REQUESTED,
        HandoffStep.RANG,
        HandoffStep.BUSY,
        HandoffStep.RETURNED,
        HandoffStep.REQUESTED,
        HandoffStep.RANG,
    )
    assert (handoff.attempt, handoff.rounds) == (1, 2)


@given(st.lists(st.sampled_from(HandoffStep), max_size=30))
def test_whatever_happens_a_call_that_is_over_stays_over(steps: list[HandoffStep]) -> None:
    handoff = walked(*steps)
    assert handoff.attempt <= steps.count(HandoffStep.RANG)
    if handoff.state is not HandoffState.NONE:
        assert walked(*steps, HandoffStep.HUNG_UP).state is HandoffState.OVER
        assert walked(*steps, HandoffStep.HUNG_UP, *steps).state is HandoffState.OVER
