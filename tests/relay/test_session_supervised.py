"""Somebody of ours acts on a session: speaks, tells the agent something, has it be silent."""

from __future__ import annotations

from support.driver import Driver
from voice_app import EndCall
from voice_app.calls import ResumeState
from voice_app.journal.events import Replied


def supervise(driver: Driver, act: str, text: str = "") -> bool:
    done = driver.session.supervise(act, text, driver.now)
    driver.collect()
    driver.flush()
    return done


def test_words_are_said_after_what_is_being_said_and_are_remembered() -> None:
    driver = Driver()
    driver.prompt("Hello?")
    driver.agent("We are ", done=False)
    assert supervise(driver, "say", "One moment, please.")
    driver.agent("open.")
    driver.flush()
    assert driver.spoken == "We are open.One moment, please."
    assert ("assistant", "One moment, please.") in [(role, text) for role, text in driver.history()] or [
        event.text for event in driver.of(Replied)
    ][-1] == "One moment, please."


def test_a_note_is_a_turn_of_its_own_and_need_not_be_answered() -> None:
    driver = Driver()
    assert supervise(driver, "note", "Order 81 was found.")
    assert (driver.asked.kind, driver.asked.text) == ("note", "Order 81 was found.")
    driver.agent()
    assert driver.wire == []
    driver.prompt("And?")
    assert driver.asked.kind == "speech"
    role, content = [(message.role, message.content) for message in driver.call.history][-1]
    assert (role, "Order 81 was found." in content, "colleague" in content) == ("user", True, True)


def test_a_note_waits_for_the_answer_that_is_being_given() -> None:
    driver = Driver()
    driver.prompt("Hello?")
    driver.agent("We are ", done=False)
    supervise(driver, "note", "One.")
    supervise(driver, "note", "Two.")
    assert driver.asked.kind == "speech"
    driver.agent("open.")
    assert (driver.asked.kind, driver.asked.text) == ("note", "One.\nTwo.")


def test_a_muted_agent_is_asked_nothing_until_it_may_answer_again() -> None:
    driver = Driver()
    driver.prompt("Hello?")
    assert supervise(driver, "mute")
    assert driver.stops == 1
    turns = len(driver.turns)
    driver.prompt("Are you there?")
    supervise(driver, "note", "Be quick.")
    driver.pass_time(60)
    assert len(driver.turns) == turns
    assert supervise(driver, "unmute")
    assert "Are you there?" in driver.asked.text
    assert "Hello?" in driver.asked.text
    driver.agent("Yes.")
    assert driver.asked.kind == "note"


def test_what_the_agent_had_said_before_it_was_muted_is_not_asked_again() -> None:
    driver = Driver()
    driver.prompt("Hello?")
    driver.agent("Hello there.")
    supervise(driver, "mute")
    turns = len(driver.turns)
    supervise(driver, "unmute")
    assert len(driver.turns) == turns


def test_a_muted_agent_is_muted_in_the_next_session_too() -> None:
    driver = Driver(past=ResumeState(muted=True))
    driver.prompt("Hello?")
    assert driver.turns == []
    supervise(driver, "unmute")
    assert driver.asked.text == "Hello?"


def test_nothing_can_be_done_on_a_session_that_is_leaving() -> None:
    driver = Driver()
    driver.session.leave(EndCall("over"), driver.now, "Goodbye.")
    assert not supervise(driver, "say", "Wait!")


def test_a_session_is_left_at_once_whatever_is_being_said() -> None:
    driver = Driver()
    driver.prompt("Hello?")
    driver.agent("A long answer.", done=False)
    driver.session.leave(EndCall("over"), driver.now, at_once=True)
    driver.collect()
    assert [frame["type"] for frame in driver.flush()][-1] == "end"
