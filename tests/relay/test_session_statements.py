"""What may not be interrupted is heard to its end: disclosures, and what an agent says like them."""

from __future__ import annotations

import pytest

from support.driver import Driver
from voice_app import EndCall, Say
from voice_app.calls import CallState, ResumeState
from voice_app.journal import Entry
from voice_app.journal.events import Heard, Replied
from voice_app.relay.commands import Pull
from voice_app.settings import NumberSettings

RECORDED = "This call is recorded."
STATEMENT = Say(RECORDED, interruptible=False)


def told() -> Driver:
    """A session in which the agent has said something that may not be interrupted."""
    driver = Driver()
    driver.prompt("Hello?")
    driver.agent(STATEMENT)
    driver.info("agentSpeaking", "on")
    return driver


def disclosing(**past: object) -> Driver:
    line = NumberSettings(disclosure=RECORDED, greeting="How can I help?")
    return Driver(line=line, past=ResumeState(**past))  # type: ignore[arg-type]


def state_of(driver: Driver) -> CallState:
    return CallState.of(
        Entry(str(number), float(number), "CA1", event) for number, event in enumerate(driver.events)
    )


def test_it_is_one_frame_that_twilio_lets_nobody_interrupt() -> None:
    assert told().flush() == [{"type": "text", "token": RECORDED, "last": True, "interruptible": False}]


def test_what_may_be_interrupted_is_a_stretch_of_its_own_without_a_flag() -> None:
    driver = Driver()
    driver.prompt("Hello?")
    driver.agent("Well. ", Say("We are **open**."), "Come in.")
    assert driver.flush() == [
        {"type": "text", "token": "Well. ", "last": True},
        {"type": "text", "token": "We are open.", "last": True},
        {"type": "text", "token": "Come in.", "last": True},
    ]


def test_a_prompt_waits_until_it_was_played() -> None:
    driver = told()
    driver.prompt("I want to order.")
    assert len(driver.turns) == 1
    driver.falls_silent()
    assert driver.asked.text == "I want to order."


def test_without_speaker_events_a_prompt_waits_for_the_estimated_end() -> None:
    driver = Driver()
    driver.prompt("Hello?")
    driver.agent(STATEMENT)
    driver.prompt("I want to order.")
    assert len(driver.turns) == 1
    driver.pass_time(15)
    assert driver.turns[1].turn.text == "I want to order."


def test_one_that_was_thrown_away_with_the_words_before_it_is_said_again() -> None:
    driver = Driver()
    driver.prompt("Hello?")
    driver.agent("Good morning to you. ", STATEMENT)
    driver.flush()
    driver.interrupt("Good morning")
    assert [frame["token"] for frame in driver.flush() if frame["token"]] == [RECORDED]
    driver.pass_time(30)
    assert driver.spoken.count(RECORDED) == 2


def test_one_that_waits_to_be_written_when_the_caller_cuts_in_is_written_once() -> None:
    driver = Driver()
    driver.prompt("Hello?")
    driver.agent("Good morning to you. ", STATEMENT)
    driver.interrupt()
    driver.flush()
    assert driver.spoken.count(RECORDED) == 1


def test_the_record_tells_which_time_it_was_heard_to_its_end() -> None:
    driver = told()
    driver.interrupt("This call")
    driver.info("agentSpeaking", "on")
    driver.falls_silent()
    assert [(line.text, line.heard_whole) for line in state_of(driver).transcript.statements()] == [
        (RECORDED, False),
        (RECORDED, True),
    ]
    assert [event.text for event in driver.of(Heard)] == ["This call"]


def test_a_caller_who_cuts_into_the_last_words_hears_them_before_the_call_ends() -> None:
    driver = Driver()
    driver.prompt("Bye!")
    driver.agent(STATEMENT, EndCall())
    driver.flush()
    driver.info("agentSpeaking", "on")
    driver.interrupt("This")
    assert [frame["token"] for frame in driver.flush()] == [RECORDED]
    driver.info("agentSpeaking", "on")
    driver.falls_silent()
    assert [frame["type"] for frame in driver.flush()] == ["end"]


def test_a_guess_waits_with_it() -> None:
    driver = Driver(line=NumberSettings(speculate="stable"))
    driver.prompt("When are you open?", last=False)
    driver.pass_time(2)
    driver.agent(STATEMENT, done=False)
    assert driver.pull is Pull.WAIT
    assert driver.flush() == []


def test_the_disclosure_of_a_number_is_said_before_its_greeting() -> None:
    driver = disclosing()
    assert [(frame["token"], frame.get("interruptible")) for frame in driver.flush()] == [
        (RECORDED, False),
        ("How can I help?", None),
    ]
    assert driver.history() == [("assistant", RECORDED), ("assistant", "How can I help?")]


def test_a_silent_caller_is_asked_after_disclosure_and_greeting() -> None:
    driver = disclosing()
    driver.info("agentSpeaking", "on")
    driver.falls_silent()
    driver.pass_time(11)
    assert "Are you still there?" in "".join(frame["token"] for frame in driver.flush())


def test_a_disclosure_that_was_heard_is_not_said_on_a_resume() -> None:
    driver = disclosing(stated=(RECORDED,), greeting="Sorry, the line broke.")
    assert RECORDED not in "".join(frame["token"] for frame in driver.flush())


def test_a_disclosure_that_was_not_heard_follows_the_greeting_of_a_resume() -> None:
    driver = disclosing(greeting="Sorry, the line broke.")
    assert [frame["token"] for frame in driver.flush()] == [RECORDED]
    assert [text for _, text in driver.history()] == ["Sorry, the line broke.", RECORDED]


def test_what_was_heard_of_it_is_folded_for_the_next_session() -> None:
    driver = told()
    assert driver.of(Replied)[-1].interruptible is False
    driver.falls_silent()
    assert state_of(driver).resume_state(0.0).stated == (RECORDED,)


@pytest.mark.parametrize("flag", ["no", 0, None])
def test_a_flag_that_is_none_is_refused(flag: object) -> None:
    driver = Driver()
    driver.prompt("Hello?")
    with pytest.raises(TypeError, match=r"Say\.interruptible has to be bool"):
        driver.agent(Say("Hello.", interruptible=flag))  # type: ignore[arg-type]
