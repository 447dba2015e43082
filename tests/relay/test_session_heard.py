"""How far the voice has got is written down, so that a crash does not blur what was heard."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from support.driver import Driver
from voice_app import Break, EndCall
from voice_app.calls import CallState
from voice_app.journal import Entry
from voice_app.journal.events import Disconnected, Heard, Played, Replied, SessionEnded
from voice_app.relay.speaker import SECONDS_BETWEEN_RECORDS
from voice_app.settings import NumberSettings

TEXT = "We are open from nine to six, every day of the week."


def talking(line: NumberSettings | None = None) -> Driver:
    """A session in which the agent has said something that is being spoken."""
    driver = Driver(line=line)
    driver.prompt("When are you open?")
    driver.agent(TEXT)
    driver.flush()
    return driver


def test_what_is_played_is_written_down_now_and_then() -> None:
    driver = talking()
    for word in ("We", "are", "open", "from"):
        driver.info("tokensPlayed", word)
    assert driver.of(Played) == [Played(1, "VX1", len("We"))]
    driver.now += SECONDS_BETWEEN_RECORDS
    driver.info("tokensPlayed", "nine")
    assert driver.of(Played)[1:] == [Played(1, "VX1", len("We are open from nine"))]


def test_the_end_of_a_reply_is_written_down_at_once() -> None:
    driver = talking()
    driver.info("tokensPlayed", TEXT)
    assert driver.of(Played) == [Played(1, "VX1", len(TEXT))]


def test_silence_tells_that_everything_was_played_with_one_entry() -> None:
    driver = talking()
    driver.session.line.silence_line = "Hello?"
    driver.prompt("And where?")
    driver.agent("In Mill Lane.")
    driver.now += 0.5
    driver.info("agentSpeaking", "on")
    driver.falls_silent()
    assert driver.of(Played) == [Played(2, "VX1", len("In Mill Lane."), 500.0)]


def test_how_long_a_caller_waited_for_the_voice_is_written_down_once() -> None:
    driver = talking()
    driver.prompt("And where?")
    driver.agent("In Mill Lane.")
    driver.now += 0.5
    driver.info("agentSpeaking", "on")
    driver.info("tokensPlayed", "In")
    driver.now += SECONDS_BETWEEN_RECORDS
    driver.info("tokensPlayed", "Mill Lane.")
    assert [event.sound_ms for event in driver.of(Played)] == [500.0, None, None]


def test_words_of_a_later_reply_tell_that_an_earlier_one_is_over() -> None:
    driver = Driver(greeting="Good morning!")
    driver.prompt("When are you open?")
    driver.agent(TEXT)
    driver.info("tokensPlayed", TEXT)
    driver.session.disconnected(1006, driver.now)
    driver.collect()
    assert driver.of(Heard) == []


def test_no_word_of_the_agents_writes_anything_about_playing() -> None:
    driver = Driver()
    driver.prompt("Tell me a story.")
    driver.agent(*["word "] * 1000)
    assert driver.of(Played) == []
    assert len(driver.of(Replied)) == 1


def test_a_lost_socket_cuts_what_was_being_said_to_what_was_played() -> None:
    driver = talking()
    driver.info("tokensPlayed", "We are open from nine")
    driver.session.disconnected(1006, driver.now)
    driver.collect()
    assert driver.of(Heard) == [Heard(1, "VX1", "We are open from nine")]
    assert driver.of(Disconnected) == [Disconnected("VX1", 1006, told=True)]


def test_a_lost_socket_cuts_by_the_time_where_twilio_tells_nothing() -> None:
    driver = talking()
    driver.now += 2.0
    driver.session.disconnected(1012, driver.now)
    driver.collect()
    (heard,) = driver.of(Heard)
    assert 0 < len(heard.text) < len(TEXT)
    assert TEXT.startswith(heard.text)


def test_what_was_spoken_long_ago_is_not_cut() -> None:
    driver = talking()
    driver.now += 60.0
    driver.session.disconnected(1006, driver.now)
    driver.collect()
    assert driver.of(Heard) == []


def test_a_session_that_was_ended_by_the_agent_is_not_cut() -> None:
    driver = Driver()
    driver.prompt("Bye.")
    driver.agent("Goodbye!", EndCall())
    driver.pass_time(30.0)
    driver.session.disconnected(1000, driver.now)
    driver.collect()
    assert driver.of(Heard) == []


def test_a_session_that_twilio_may_come_back_to_tells_nothing_yet() -> None:
    driver = talking(NumberSettings(reconnect=True))
    driver.session.disconnected(1006, driver.now)
    driver.collect()
    assert driver.of(Heard) == []
    assert driver.of(Disconnected) == [Disconnected("VX1", 1006)]


def test_a_reply_that_the_socket_cut_off_is_not_done() -> None:
    driver = Driver()
    driver.prompt("Tell me a story.")
    driver.agent("Once upon ", done=False)
    driver.session.disconnected(1006, driver.now)
    driver.collect()
    assert [(reply.text, reply.done) for reply in driver.of(Replied)] == [("Once upon ", False)]


def test_a_break_tells_that_more_was_to_come() -> None:
    driver = Driver()
    driver.prompt("Where is my parcel?")
    driver.agent("Let me see.", Break(), "It is on its way.")
    assert [(reply.text, reply.more) for reply in driver.of(Replied)] == [
        ("Let me see.", True),
        ("It is on its way.", False),
    ]


words = st.lists(st.sampled_from(["one", "two", "three", "four", "five"]), min_size=1, max_size=8)


@given(st.lists(words, min_size=1, max_size=4), st.integers(0, 40), st.floats(0, 1), st.booleans())
def test_whatever_is_lost_the_history_is_a_beginning_of_what_was_sent(
    replies: list[list[str]], played: int, pause: float, graceful: bool
) -> None:
    """As heard never goes beyond what was played; and after a graceful end it has every word that was."""
    driver = Driver()
    for reply in replies:
        driver.prompt("Go on.")
        driver.agent(" ".join(reply) + ".")
    spoken = [word for reply in replies for word in reply][:played]
    left = list(spoken)
    for reply in replies:
        for word in reply[: len(left)]:
            driver.now += pause
            driver.info("tokensPlayed", word)
        left = left[len(reply) :]
    if graceful:
        driver.session.disconnected(1012, driver.now)
        driver.collect()
    events = [*driver.events, SessionEnded("VX1", "failed")]
    entries = [Entry(f"{number:05}", driver.now, "CA1", event) for number, event in enumerate(events)]
    lines = [line.content for line in CallState.of(entries).transcript.as_heard() if line.role == "assistant"]
    heard = " ".join(lines).replace(".", "").split()
    assert spoken[: len(heard)] == heard
    if graceful or pause >= SECONDS_BETWEEN_RECORDS:
        assert heard == spoken
