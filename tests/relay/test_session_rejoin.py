"""A session that Twilio comes back to after its socket was lost, and what another session takes over."""

from __future__ import annotations

from typing import Any

import pytest

from support.driver import Driver
from voice_app import Keys, Message, Transfer, Turn
from voice_app.calls import HistoryLine, ReconnectState, ResumeState
from voice_app.journal.events import (
    Acted,
    Connected,
    Heard,
    KeysAwaited,
    Played,
    Pressed,
    Prompted,
    Replied,
    Typing,
)
from voice_app.relay.session import State
from voice_app.settings import NumberSettings

ASKED = HistoryLine("user", "When are you open?")
LINE = NumberSettings(reconnect=True, resume_greeting="Sorry, go on.")


def rejoined(
    *,
    line: NumberSettings = LINE,
    decided: Acted | None = None,
    digits: str = "",
    keys: KeysAwaited | None = None,
    **lost: Any,
) -> Driver:
    """A session that Twilio has come back to, and that has had no setup."""
    past = ResumeState(
        history=[ASKED],
        decided=decided,
        digits=digits,
        keys=keys,
        reconnect=ReconnectState(**{"session_id": "VX1", "replies": 3, **lost}),
    )
    return Driver(past=past, line=line, setup=False)


# --- coming back ---------------------------------------------------------------------------------


def test_where_nothing_is_lost_nothing_is_said() -> None:
    driver = rejoined()
    assert driver.flush() == []
    assert driver.turns == []
    assert driver.session.state is State.LIVE


def test_the_caller_is_answered_without_a_setup() -> None:
    driver = rejoined()
    driver.prompt("And on Sundays?")
    driver.agent("Closed.")
    assert driver.spoken + "".join(frame["token"] for frame in driver.flush()) == "Closed."
    assert driver.of(Replied) == [Replied(3, "VX1", "Closed.", True, 0.0, 0.0, ends_turn=True)]
    assert driver.call.history == [Message("user", ASKED.content)]


def test_a_setup_of_the_same_session_changes_nothing() -> None:
    driver = rejoined()
    driver.setup()
    assert driver.of(Connected) == []
    assert driver.flush() == []
    assert driver.turns == []


def test_a_setup_with_a_new_id_goes_on_under_that_id() -> None:
    driver = rejoined(unplayed=[(2, "From nine to six.")])
    driver.setup(sessionId="VX2", customParameters={"x": "y"})
    assert driver.of(Connected) == [Connected("VX2", "", {"x": "y"})]
    driver.interrupt("From nine")
    driver.prompt("And on Sundays?")
    driver.agent("Closed.")
    assert driver.of(Heard) == [Heard(2, "VX1", "From nine", 500.0)]
    assert [reply.session_id for reply in driver.of(Replied)] == ["VX2"]


@pytest.mark.parametrize("changes", [{"callSid": "CA" + "9" * 32}, {"accountSid": "AC" + "9" * 32}])
def test_a_setup_of_another_call_ends_the_session(changes: dict[str, str]) -> None:
    driver = rejoined()
    driver.setup(**{"sessionId": "VX2", **changes})
    assert driver.flush() == [{"type": "end"}]


def test_what_was_sent_before_goes_on_being_played_and_may_be_cut() -> None:
    driver = rejoined(unplayed=[(1, "We are open."), (2, "From nine to six.")], heard="We are")
    driver.info("tokensPlayed", "open.")
    driver.info("tokensPlayed", "From nine")
    driver.interrupt("From nine")
    assert driver.of(Played) == [Played(1, "VX1", len("We are open.")), Played(2, "VX1", len("From nine"))]
    assert driver.of(Heard) == [Heard(2, "VX1", "From nine", 500.0)]
    assert driver.history()[1:] == [("assistant", "We are open."), ("assistant", "From nine")]


def test_a_question_that_nothing_was_said_to_is_answered() -> None:
    driver = rejoined(questions=[Prompted("And on"), Prompted("Sundays?")])
    assert driver.asked == Turn("And on Sundays?")
    driver.agent("Closed.")
    assert driver.flush()[-1] == {"type": "text", "token": "Closed.", "last": True}


def test_an_answer_that_was_cut_off_is_excused_with_one_line() -> None:
    driver = rejoined(cut_off=True)
    words = [frame["token"] for frame in driver.flush()]
    assert words == ["", "Sorry, go on."]
    assert driver.turns == []


def test_an_answer_that_was_cut_off_is_the_agents_where_there_is_no_line() -> None:
    driver = rejoined(cut_off=True, line=NumberSettings(reconnect=True, resume_greeting=""))
    assert driver.asked == Turn("", "resumed")


@pytest.mark.parametrize(
    ("decided", "frame"),
    [
        (
            Acted("transfer", "billing", "A refund."),
            {"type": "end", "handoffData": '{"reason":"billing","summary":"A refund."}'},
        ),
        (Acted("end-call", "finished"), {"type": "end"}),
    ],
)
def test_what_the_agent_had_decided_comes_about(decided: Acted, frame: dict[str, Any]) -> None:
    driver = rejoined(decided=decided)
    assert driver.flush() == [frame]


def test_what_the_agent_had_decided_waits_until_its_words_were_played() -> None:
    driver = rejoined(decided=Acted("transfer", "billing"), unplayed=[(2, "I connect you.")])
    assert "end" not in [frame["type"] for frame in driver.flush()]
    driver.info("tokensPlayed", "I connect you.")
    assert [frame["type"] for frame in driver.flush()] == ["end"]


def test_a_silent_caller_is_asked_as_ever() -> None:
    driver = rejoined()
    driver.pass_time(LINE.silence_seconds + 1)
    assert [frame["token"] for frame in driver.flush()] == [LINE.silence_line]


# --- keys ----------------------------------------------------------------------------------------


def test_every_key_of_an_entry_is_written_down() -> None:
    driver = Driver()
    for digit in "12#":
        driver.receive(type="dtmf", digit=digit)
    assert driver.of(Typing) == [Typing("1"), Typing("12")]
    assert driver.of(Pressed) == [Pressed("12")]


def test_no_key_of_a_secret_is_written_down() -> None:
    driver = Driver()
    driver.call.keys = Keys(4, sensitive=True)
    for digit in "1234":
        driver.receive(type="dtmf", digit=digit)
    assert driver.of(Typing) == []
    assert driver.of(Pressed) == [Pressed("")]
    assert driver.of(KeysAwaited) == [KeysAwaited(4, "#", 2.0, True)]


def test_how_keys_are_collected_is_written_down_as_soon_as_it_changes() -> None:
    driver = Driver()
    driver.prompt("I want to pay.")
    driver.call.keys = Keys(4, sensitive=True)
    driver.agent("Please type your PIN.", done=False)
    assert driver.of(KeysAwaited) == [KeysAwaited(4, "#", 2.0, True)]
    driver.call.keys = Keys(4, sensitive=True)
    driver.agent(" Thank you.")
    assert len(driver.of(KeysAwaited)) == 1


@pytest.mark.parametrize("lost", [True, False])
def test_keys_go_on_where_they_were(*, lost: bool) -> None:
    keys = KeysAwaited(4, "#", 2.0, True)
    if lost:
        driver = rejoined(digits="12", keys=keys)
    else:
        driver = Driver(past=ResumeState(history=[ASKED], greeting="Sorry.", digits="12", keys=keys))
    driver.receive(type="dtmf", digit="3")
    driver.receive(type="dtmf", digit="4")
    assert driver.asked == Turn("1234", "keys", sensitive=True)


def test_keys_that_nothing_follows_are_an_entry() -> None:
    driver = Driver(past=ResumeState(history=[ASKED], greeting="Sorry.", digits="12"))
    driver.pass_time(driver.call.keys.seconds)
    assert driver.asked == Turn("12", "keys")


# --- another session -----------------------------------------------------------------------------


def test_what_was_said_last_time_is_not_said_again() -> None:
    past = ResumeState(history=[ASKED, HistoryLine("assistant", "Sorry, go on.")])
    driver = Driver(past=past, line=LINE)
    assert driver.turns == []
    assert driver.flush() == []
    driver.pass_time(LINE.silence_seconds)
    assert [frame["token"] for frame in driver.flush()] == [LINE.silence_line]


def test_a_transfer_is_written_down_with_what_the_person_has_to_know() -> None:
    driver = Driver()
    driver.prompt("A person, please.")
    driver.agent("As you wish.", Transfer("asked", "Wants a refund."))
    assert driver.of(Acted) == [Acted("transfer", "asked", "Wants a refund.")]


def test_a_session_needs_a_setup_unless_twilio_comes_back_to_it() -> None:
    driver = Driver(past=ResumeState(history=[ASKED]), setup=False)
    driver.prompt("Hello?")
    assert driver.closed is not None
    assert driver.closed.code == 1008
