"""What a transfer does next, row by row, and what holds whatever happens."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from voice_app.calls import MISSES, CallState, HandoffState, HandoffStep
from voice_app.handoff import (
    AGENT_FAILED,
    BUSY,
    NextStep,
    ReturnToAgent,
    RingTarget,
    SayGoodbye,
    TakeMessage,
    Target,
    next_step,
)
from voice_app.journal import Entry
from voice_app.journal.events import Event, HandedOff, Opened

NUMBER = "+15550100001"
FIRST, SECOND = Target(to=("+15550100010",)), Target(to=("queue:support",))
BILLING = Target(to=("client:anna",), reasons=frozenset({"billing"}))
WEEKDAYS = Target(to=("+15550100012",), hours="Mo-Fr 09:00-17:00")
TUESDAY = datetime(2026, 12, 1, 12, tzinfo=UTC)
SUNDAY = datetime(2026, 12, 6, 12, tzinfo=UTC)

Steps = tuple[str, ...]


def folded(*events: Event, at: datetime = TUESDAY) -> CallState:
    opened = Opened("+15550199999", NUMBER, "inbound")
    entries = [Entry(f"{n:04}", at.timestamp(), "CA1", event) for n, event in enumerate([opened, *events])]
    return CallState.of(entries)


def after(*steps: str, reason: str = "support", at: datetime = TUESDAY) -> CallState:
    return folded(*(HandedOff(step, reason) for step in steps), at=at)


def decide(state: CallState, *targets: Target, takes_back: bool = False) -> NextStep:
    return next_step(state, targets, TUESDAY, agent_takes_back=takes_back)


@pytest.mark.parametrize(
    ("steps", "decision"),
    [
        ((), SayGoodbye()),
        (("requested",), RingTarget(FIRST, 1)),
        (("requested", "rang"), RingTarget(FIRST, 1, None)),
        (("requested", "rang", "busy"), RingTarget(SECOND, 2)),
        (("requested", "rang", "no-answer", "rang"), RingTarget(SECOND, 2, None)),
        (("requested", "rang", "declined", "rang", "failed"), TakeMessage()),
        (("requested", "rang", "accepted"), SayGoodbye()),
        (("requested", "rang", "accepted", "failed"), RingTarget(SECOND, 2)),
        (("requested", "rang", "accepted", "finished"), SayGoodbye()),
        (("requested", "voicemail"), TakeMessage(None)),
        (("requested", "voicemail", "recorded"), SayGoodbye()),
        (("requested", "returned"), ReturnToAgent(None)),
        (("requested", "returned", "requested"), RingTarget(FIRST, 1)),
        (("requested", "returned", "requested", "returned", "requested"), TakeMessage()),
        (("requested", "hung-up"), SayGoodbye()),
    ],
)
def test_what_comes_next_follows_from_the_steps_that_were_taken(steps: Steps, decision: NextStep) -> None:
    assert decide(after(*steps), FIRST, SECOND) == decision


@pytest.mark.parametrize(
    ("steps", "reason", "decision"),
    [
        (("requested", "rang", "busy"), "support", ReturnToAgent()),
        (("requested", "rang", "busy"), BUSY, TakeMessage()),
        (("requested", "rang", "busy"), AGENT_FAILED, TakeMessage()),
        (("requested", "rang", "busy", "returned", "requested", "rang", "busy"), "support", TakeMessage()),
    ],
)
def test_the_agent_takes_a_caller_back_once_if_it_can(steps: Steps, reason: str, decision: NextStep) -> None:
    assert decide(after(*steps, reason=reason), FIRST, takes_back=True) == decision


def test_without_anybody_to_ring_a_message_is_taken_at_once() -> None:
    assert decide(after("requested")) == TakeMessage()
    assert decide(after("requested"), takes_back=True) == ReturnToAgent()


def test_a_target_that_the_settings_no_longer_have_rings_no_more() -> None:
    assert decide(after("requested", "rang")) == SayGoodbye()
    assert decide(after("requested", "rang", "busy", "rang"), FIRST) == RingTarget(FIRST, 2, None)


def test_the_reason_and_the_hours_choose_who_is_rung() -> None:
    targets = BILLING, WEEKDAYS, SECOND
    assert decide(after("requested", reason="billing"), *targets) == RingTarget(BILLING, 1)
    assert decide(after("requested"), *targets) == RingTarget(WEEKDAYS, 1)


def test_the_hours_count_when_a_person_was_asked_for_so_that_the_order_stays() -> None:
    state = after("requested", at=SUNDAY)
    assert next_step(state, (WEEKDAYS, SECOND), TUESDAY, agent_takes_back=False) == RingTarget(SECOND, 1)


def test_a_target_of_another_number_is_left_out() -> None:
    elsewhere = Target(to=("+15550100010",), numbers=frozenset({"+15550100002"}))
    assert decide(after("requested"), elsewhere, SECOND) == RingTarget(SECOND, 1)


@given(
    st.lists(st.sampled_from(HandoffStep), max_size=20),
    st.lists(st.sampled_from([FIRST, SECOND, BILLING]), max_size=4),
    st.sampled_from(["billing", "support", BUSY]),
    st.booleans(),
)
def test_whatever_happened_a_decision_fits_the_table_and_the_way_has_an_end(
    steps: list[HandoffStep], targets: list[Target], reason: str, takes_back: bool
) -> None:
    state = after(*steps, reason=reason)
    for _ in range(2 * len(targets) + 4):
        decision = next_step(state, targets, TUESDAY, agent_takes_back=takes_back)
        if decision.step is None:
            again = next_step(state, targets, TUESDAY, agent_takes_back=takes_back)
            assert again == decision
            return
        assert state.handoff.allows(decision.step)
        before = state.handoff
        state.take(Entry("9", TUESDAY.timestamp(), "CA1", HandedOff(decision.step)))
        if isinstance(decision, RingTarget):
            assert state.handoff.state is HandoffState.RINGING
            assert decision.attempt == state.handoff.attempt == before.attempt + 1
            state.take(Entry("9", TUESDAY.timestamp(), "CA1", HandedOff("busy")))
    raise AssertionError("it never comes to an end")


class Transfers(RuleBasedStateMachine):
    """A call whose people are rung, miss it, take it, or do what no table knows, in any order."""

    @initialize(people=st.integers(0, 3), takes_back=st.booleans())
    def begin(self, people: int, takes_back: bool) -> None:
        self.targets = [Target(to=(f"+1555010001{number}",)) for number in range(people)]
        self.takes_back = takes_back
        self.steps: list[HandoffStep] = []
        self.rung: list[Target] = []
        """Since a person was asked for."""

    @property
    def state(self) -> CallState:
        return folded(*(HandedOff(step, "support") for step in self.steps))

    @property
    def decision(self) -> NextStep:
        return decide(self.state, *self.targets, takes_back=self.takes_back)

    @rule()
    def a_person_is_asked_for(self) -> None:
        if self.state.handoff.allows(HandoffStep.REQUESTED):
            self.rung = []
        self.steps.append(HandoffStep.REQUESTED)

    @rule()
    def twilio_asks_what_to_do(self) -> None:
        decision = self.decision
        if decision.step is None:
            return
        assert self.state.handoff.allows(decision.step), (self.state.handoff, decision)
        if isinstance(decision, RingTarget):
            assert decision.target not in self.rung, "nobody is rung twice for one wish"
            self.rung.append(decision.target)
        self.steps.append(decision.step)
        again = self.decision
        assert type(again) is type(decision), "Twilio asks again, and is told the same"
        assert again.step is None
        if isinstance(again, RingTarget) and isinstance(decision, RingTarget):
            assert (again.target, again.attempt) == (decision.target, decision.attempt)

    @rule(step=st.sampled_from(sorted({*MISSES, HandoffStep.ACCEPTED, HandoffStep.FINISHED})))
    def twilio_reports(self, step: HandoffStep) -> None:
        self.steps.append(step)

    @rule()
    def the_caller_hangs_up(self) -> None:
        self.steps.append(HandoffStep.HUNG_UP)

    @invariant()
    def what_is_decided_can_be_done(self) -> None:
        handoff, decision = self.state.handoff, self.decision
        assert handoff.attempt == len(self.rung) <= len(self.targets)
        if handoff.state is HandoffState.OVER:
            assert decision == SayGoodbye()
        if isinstance(decision, ReturnToAgent) and decision.step is not None:
            assert self.takes_back

    def teardown(self) -> None:
        """With nobody at home a transfer ends, after a bounded number of questions."""
        for _ in range(2 * len(self.targets) + 2):
            decision = self.decision
            if isinstance(decision, RingTarget):
                if decision.step is not None:
                    self.steps.append(decision.step)
                self.steps.append(HandoffStep.NO_ANSWER)
        assert not isinstance(self.decision, RingTarget)


Transfers.TestCase.settings = hypothesis_settings(max_examples=100, stateful_step_count=25)
TestTransfers = Transfers.TestCase
