"""Backchannels, bursts and speculation."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.driver import Driver
from voice_app import Break, EndCall
from voice_app.journal import events
from voice_app.relay.backchannels import is_backchannel
from voice_app.relay.commands import Pull
from voice_app.relay.preemption import SECONDS_UNTIL_STABLE
from voice_app.settings import NumberSettings


def speculating(**line: Any) -> Driver:
    return Driver(line=NumberSettings(speculate="stable", **line))


def sent(made: Driver) -> str:
    made.flush()
    return made.spoken


@pytest.mark.parametrize("text", ["Mm-hm.", "okay", "Yeah, yeah.", "uh-huh", "Right.", "I see."])
def test_a_sound_of_listening_starts_no_turn_while_the_agent_speaks(text: str) -> None:
    driver = Driver()
    driver.prompt("Tell me a story.")
    driver.agent("Once upon a time ", done=False)
    driver.prompt(text)
    driver.agent("there was a king.")
    assert len(driver.turns) == 1
    assert driver.of(events.Overheard) == [events.Overheard(text)]


def test_the_same_sound_is_an_answer_when_the_agent_is_silent() -> None:
    driver = Driver()
    driver.prompt("Tell me a story.")
    driver.agent("Do you like kings?")
    driver.info("agentSpeaking", "on")
    driver.falls_silent()
    driver.prompt("Yeah.")
    assert driver.asked.text == "Yeah."


def test_sounds_of_listening_may_be_answered() -> None:
    driver = Driver(line=NumberSettings(backchannels="answer"))
    driver.prompt("Tell me a story.")
    driver.agent("Once upon a time ", done=False)
    driver.prompt("Okay.")
    driver.agent("there was a king.")
    assert driver.asked.text == "Okay."


@pytest.mark.parametrize(
    ("text", "language", "expected"),
    [
        ("Genau.", "de-DE", True),
        ("Genau.", "en-US", False),
        ("Sí, claro.", "es-MX", True),
        ("mhm", "ja-JP", True),
        ("Okay, stop.", "en-US", False),
        ("Okay?", "en-US", False),
        ("Yes yes yes yes", "en-US", False),
        ("", "en-US", False),
        ("No.", "en-US", False),
    ],
)
def test_what_is_a_sound_of_listening_depends_on_the_language(
    text: str, language: str, expected: bool
) -> None:
    assert is_backchannel(text, language) is expected


def test_a_burst_of_stale_prompts_becomes_one_turn() -> None:
    driver = Driver()
    driver.prompt("Hello?")
    driver.agent("Well, ", done=False)
    for text in ("Hello?", "Are you there?", "Anybody?"):
        driver.prompt(text)
    driver.agent("yes.")
    assert len(driver.turns) == 2
    assert driver.asked.text == "Hello? Are you there? Anybody?"


def test_a_partial_that_ends_a_sentence_starts_the_agent_in_private() -> None:
    driver = speculating()
    driver.prompt("When do you", last=False)
    assert driver.turns == []
    driver.prompt("When do you open?", last=False)
    assert driver.asked.text == "When do you open?"
    driver.agent("At nine.")
    assert sent(driver) == ""


def test_a_right_guess_is_sent_the_moment_it_is_right() -> None:
    driver = speculating()
    driver.prompt("When do you open?", last=False)
    driver.pass_time(0.3)
    driver.agent("At ", done=False)
    driver.pass_time(0.05)
    driver.prompt("when do you open")
    assert sent(driver) == "At "
    driver.agent("nine.")
    assert sent(driver) == "At nine."
    assert len(driver.turns) == 1
    assert driver.continued == 1
    (guess,) = driver.of(events.Speculated)
    assert guess.hit
    assert guess.saved_ms == pytest.approx(300)
    assert driver.of(events.Replied)[-1].first_token_ms == 0
    assert driver.history() == [("user", "when do you open"), ("assistant", "At nine.")]


def test_a_right_guess_that_is_finished_is_a_whole_reply() -> None:
    driver = speculating()
    driver.prompt("When do you open?", last=False)
    driver.agent("At nine.")
    driver.prompt("When do you open?")
    assert driver.flush() == [{"type": "text", "token": "At nine.", "last": True}]


def test_a_wrong_guess_is_thrown_away_unheard() -> None:
    driver = speculating()
    driver.prompt("When do you open?", last=False)
    driver.agent("At nine.", done=False)
    driver.prompt("When do you open on Sundays?")
    assert driver.asked.text == "When do you open on Sundays?"
    assert driver.stops == 1
    driver.agent("Never.")
    assert sent(driver) == "Never."
    assert driver.of(events.Speculated) == [events.Speculated(hit=False)]
    assert driver.history() == [("user", "When do you open on Sundays?"), ("assistant", "Never.")]


def test_a_guess_is_given_up_when_the_caller_goes_on() -> None:
    driver = speculating()
    driver.prompt("When do you open?", last=False)
    driver.prompt("When do you open? I mean", last=False)
    assert driver.stops == 1
    driver.prompt("When do you open? I mean on Sundays.", last=False)
    assert driver.asked.text == "When do you open? I mean on Sundays."


def test_a_partial_that_comes_twice_or_stands_still_is_stable() -> None:
    driver = speculating()
    driver.prompt("twelve please", last=False)
    driver.prompt("Twelve, please", last=False)
    assert len(driver.turns) == 1
    driver = speculating()
    driver.prompt("twelve please", last=False)
    driver.pass_time(SECONDS_UNTIL_STABLE + 0.01)
    assert len(driver.turns) == 1


def test_only_so_many_guesses_are_made_on_one_prompt() -> None:
    driver = speculating()
    for number in range(10):
        driver.prompt(f"I say {number}.", last=False)
    assert len(driver.turns) == 3
    driver.prompt("I say 9.")
    driver.agent("Yes.")
    driver.prompt("I say 10.", last=False)
    assert driver.asked.text == "I say 10."


@pytest.mark.parametrize("piece", [Break(), EndCall()])
def test_nothing_acts_on_a_guess(piece: Any) -> None:
    driver = speculating()
    driver.prompt("Goodbye.", last=False)
    driver.agent("Bye!", piece, done=False)
    assert driver.pull is Pull.WAIT
    assert driver.of(events.Acted) == []
    assert sent(driver) == ""
    driver.prompt("Goodbye.")
    assert sent(driver) == "Bye!"


def test_a_guess_on_which_the_agent_failed_is_asked_again() -> None:
    driver = speculating()
    driver.prompt("When do you open?", last=False)
    driver.fail()
    driver.prompt("When do you open?")
    assert len(driver.turns) == 2
    driver.agent("At nine.")
    assert sent(driver) == "At nine."
    assert driver.of(events.Failed) == []


def test_without_the_setting_nothing_is_guessed() -> None:
    driver = Driver()
    driver.prompt("When do you open?", last=False)
    driver.pass_time(1)
    assert driver.turns == []


def test_nothing_is_guessed_while_an_answer_is_being_written() -> None:
    driver = speculating()
    driver.prompt("When?")
    driver.agent("At ", done=False)
    driver.prompt("And where?", last=False)
    assert len(driver.turns) == 1


@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("partial"), st.sampled_from(["one.", "one. two.", "One", "three?"])),
            st.tuples(st.just("final"), st.sampled_from(["One.", "one two", "three", "something else"])),
            st.tuples(st.just("say"), st.sampled_from(["a ", "b. "])),
            st.tuples(st.just("done"), st.none()),
            st.tuples(st.just("fail"), st.none()),
            st.tuples(st.just("time"), st.sampled_from([0.05, 0.2, 1.0])),
            st.tuples(st.just("interrupt"), st.none()),
        ),
        max_size=40,
    )
)
def test_nothing_is_ever_heard_of_a_guess_before_it_is_right(steps: list[tuple[str, Any]]) -> None:
    driver = speculating(filler_seconds=0, silence_seconds=0, failure_line="Sorry.")
    finals = 0
    for name, value in steps:
        match name:
            case "partial":
                driver.prompt(value, last=False)
            case "final":
                finals += 1
                driver.prompt(value)
            case "time":
                driver.pass_time(value)
            case "interrupt":
                driver.interrupt("")
            case "say" if driver.turns:
                driver.agent(value, done=False)
            case "done" if driver.turns:
                driver.agent()
            case "fail" if driver.turns:
                driver.fail()
        driver.flush()
        assert finals or not driver.spoken
        users = [content for role, content in driver.history() if role == "user"]
        assert len(users) <= finals
