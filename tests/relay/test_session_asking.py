"""An agent that asks in the middle of its turn: the turn is over, and the next one is the answer."""

from __future__ import annotations

import pytest

from support.driver import CALL, Driver
from voice_app import EndCall, Turn
from voice_app.agents.protocol import Expected
from voice_app.calls import GIVEN_UP, CallState, HistoryLine, ReconnectState, ResumeState
from voice_app.journal import Entry
from voice_app.journal.events import Acted, AnswerAwaited, Event, Failed, Overheard, Prompted, Replied
from voice_app.relay.commands import Pull
from voice_app.relay.session import State
from voice_app.settings import NumberSettings

QUESTION = "What is your name?"


def asked(driver: Driver, expected: Expected = Expected()) -> Pull:  # noqa: B008 - it is frozen
    """The agent asks in its latest turn."""
    pull = driver.session.agent_asked(driver.turns[-1].number, QUESTION, expected, driver.now)
    driver.collect()
    return pull


def asking(driver: Driver | None = None, expected: Expected = Expected()) -> Driver:  # noqa: B008
    driver = driver or Driver()
    driver.prompt("Hello.")
    driver.agent("Welcome. ", done=False)
    assert asked(driver, expected) is Pull.ON
    return driver


def test_the_question_ends_the_stretch_of_speech_that_the_turn_had_begun() -> None:
    driver = asking()
    assert [(frame["token"], frame["last"]) for frame in driver.flush()] == [(f"Welcome. {QUESTION}", True)]
    assert driver.stops == 0


def test_the_next_prompt_is_a_turn_of_its_own_that_nothing_joins() -> None:
    driver = asking()
    driver.prompt("Anna")
    driver.prompt("Lee")
    assert [turn.turn.text for turn in driver.turns] == ["Hello.", "Anna"]
    driver.agent("Thank you.")
    assert driver.asked.text == "Lee"


def test_what_waited_was_said_before_the_question_and_is_remembered() -> None:
    driver = Driver()
    driver.prompt("Hello.")
    driver.agent("Welcome. ", done=False)
    driver.prompt("Are you open?")
    asked(driver)
    assert len(driver.turns) == 1
    assert ("user", "Are you open?") in driver.history()


def test_a_guess_waits_with_its_question() -> None:
    driver = Driver(line=NumberSettings(speculate="stable"))
    driver.prompt("Hello.", last=False)
    driver.pass_time(2)
    assert asked(driver) is Pull.WAIT
    assert driver.flush() == []
    driver.prompt("Hello.")
    assert asked(driver) is Pull.ON
    assert driver.spoken + "".join(frame["token"] for frame in driver.flush()) == QUESTION


def test_a_turn_that_is_over_asks_nothing() -> None:
    driver = Driver()
    driver.prompt("Hello.")
    driver.agent("Welcome.")
    assert asked(driver) is Pull.STOP


def test_a_caller_who_looks_for_something_is_given_time() -> None:
    driver = asking(expected=Expected(patience=30))
    driver.flush()
    driver.pass_time(25)
    assert driver.flush() == []
    driver.pass_time(10)
    assert [frame["token"] for frame in driver.flush()] == ["Are you still there?"]


def test_the_patience_of_the_settings_counts_where_it_is_longer() -> None:
    driver = asking(Driver(line=NumberSettings(silence_seconds=40)), Expected(patience=5))
    driver.flush()
    driver.pass_time(35)
    assert driver.flush() == []


def test_a_silent_caller_is_let_go_and_the_agent_stopped() -> None:
    driver = asking()
    driver.pass_time(120)
    assert driver.stops == 1
    assert driver.session.outcome == "the call was ended from here"
    assert driver.of(Failed) == []


def test_what_is_said_in_secret_is_not_written() -> None:
    driver = asking(expected=Expected(secret=True))
    driver.prompt("four seven one one")
    assert driver.asked.sensitive
    assert [event.text for event in driver.of(Prompted)] == ["Hello.", ""]
    driver.agent("Thank you.")
    driver.prompt("Bye.")
    assert [event.text for event in driver.of(Prompted)] == ["Hello.", "", "Bye."]


def test_a_sound_of_listening_may_be_the_answer() -> None:
    driver = asking()
    driver.info("agentSpeaking", "on")
    driver.prompt("Okay.")
    assert driver.asked.text == "Okay."
    assert driver.of(Overheard) == []


def test_a_question_is_journaled_with_what_its_turn_began_with() -> None:
    driver = asking()
    driver.prompt("Anna")
    asked(driver)
    assert driver.of(AnswerAwaited) == [AnswerAwaited("Hello.", "speech", "en-US")] * 2


def test_a_secret_that_comes_as_the_socket_is_given_up_is_not_written() -> None:
    driver = asking(expected=Expected(secret=True))
    driver.flush()
    driver.session.close(GIVEN_UP, "Another server takes over.", driver.now)
    driver.prompt("My PIN is 12345678.")
    assert driver.session.expects_secret
    assert driver.of(Prompted)[1:] == [Prompted("", "en-US")]
    driver.session.close_sent(driver.now)
    driver.pass_time(2)
    driver.prompt("Hello?")  # by now another server may have heard it
    assert driver.of(Prompted)[1:] == [Prompted("", "en-US")]


def test_a_secret_that_comes_after_the_end_was_sent_is_not_written() -> None:
    driver = asking(expected=Expected(secret=True))
    driver.flush()
    driver.session.leave(EndCall("the server stops"), driver.now, at_once=True)
    driver.session.end(driver.now)
    driver.prompt("My PIN is 12345678.")
    assert [event.text for event in driver.of(Prompted)[1:]] == [""]


def test_a_turn_that_a_secret_began_is_not_journaled() -> None:
    driver = asking(expected=Expected(secret=True))
    driver.prompt("4711")
    driver.agent("Thank you.")
    driver.prompt("Hello again.")
    asked(driver, Expected(secret=True))
    driver.prompt("4711")
    assert "4711" not in repr(driver.events)


@pytest.mark.parametrize("greeting", ["Sorry, we were cut off.", ""])
def test_after_a_break_the_turn_of_an_open_question_begins_again(greeting: str) -> None:
    history = [HistoryLine("user", "Hello."), HistoryLine("assistant", QUESTION)]
    past = ResumeState(history=history, greeting=greeting, awaited=AnswerAwaited("Hello.", "speech", "en-US"))
    driver = Driver(past=past)
    assert driver.asked == Turn("Hello.", language="en-US")
    assert asked(driver) is Pull.ON
    driver.prompt("Anna")
    assert driver.asked.text == "Anna"
    assert driver.history().count(("user", "Hello.")) == 1


def test_a_session_that_twilio_comes_back_to_asks_again_too() -> None:
    lost = ReconnectState(session_id="VX1", replies=3, questions=[Prompted("Anna")])
    past = ResumeState(reconnect=lost, awaited=AnswerAwaited("Hello."))
    assert Driver(past=past, setup=False).asked.text == "Hello."


@pytest.mark.parametrize(
    ("then", "open_"),
    [
        ([Prompted("Anna")], True),
        ([Replied(2, "VX1", "Are you still there?", done=True)], True),
        ([Prompted("Anna"), Replied(2, "VX1", "Thank you.", done=True, ends_turn=True)], False),
        ([Failed("agent", "ValueError")], False),
        ([Failed("frame", "not JSON")], True),
        ([Acted("transfer", "billing")], False),
        ([Acted("become", "billing")], False),
    ],
)
def test_a_question_is_open_until_its_turn_is_over(then: list[Event], open_: bool) -> None:
    told = [Prompted("Hello."), AnswerAwaited("Hello."), *then]
    state = CallState.of(Entry(str(number), 1.0 * number, CALL, event) for number, event in enumerate(told))
    assert (state.resume_state(10.0).awaited is not None) is open_


SPELT = Expected(hints="small,large", pause_ms=1500)
TUNED = NumberSettings(ask_tunes_listening=True, hints="Voice App")


def listening(driver: Driver) -> list[dict[str, object]]:
    """The frames that change how the session listens, since the last time."""
    return [frame for frame in driver.flush() if frame["type"] in ("hints", "config")]


def test_a_question_tells_what_to_expect_and_its_answer_ends_that() -> None:
    driver = asking(Driver(line=TUNED), SPELT)
    assert listening(driver) == [
        {"type": "hints", "hints": "Voice App,small,large"},
        {"type": "config", "speechTimeout": 1500},
    ]
    driver.prompt("Small.")
    assert listening(driver) == [
        {"type": "hints", "hints": "Voice App"},
        {"type": "config", "speechTimeout": "auto"},
    ]


def test_an_interruption_of_the_question_leaves_what_was_told() -> None:
    driver = asking(Driver(line=TUNED), SPELT)
    driver.interrupt("What is")
    assert [frame["type"] for frame in listening(driver)] == ["hints", "config"]


def test_nothing_is_told_where_the_setting_is_off() -> None:
    driver = asking(expected=SPELT)
    driver.prompt("Small.")
    assert listening(driver) == []


def test_a_session_that_refuses_such_a_frame_gets_no_more_and_goes_on() -> None:
    driver = asking(Driver(line=TUNED), SPELT)
    assert len(listening(driver)) == 2
    driver.receive(type="error", description="Invalid message received, code: 64107, {...}")
    driver.prompt("Small.")
    driver.agent("Thank you.")
    assert listening(driver) == []
    driver.prompt("Hello.")
    asked(driver, SPELT)
    assert listening(driver) == []
    assert driver.session.state is State.LIVE


def test_an_error_of_another_kind_changes_nothing() -> None:
    driver = asking(Driver(line=TUNED), SPELT)
    listening(driver)
    driver.receive(type="error", description="provider lost, code: 64114")
    driver.prompt("Small.")
    assert len(listening(driver)) == 2
