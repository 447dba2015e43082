"""How a session ends when the server wants it to."""

from __future__ import annotations

import pytest

from support.driver import Driver
from voice_app import EndCall, Transfer
from voice_app.journal import events
from voice_app.relay.session import State

GOODBYE = "I have to go now."


def finish(driver: Driver) -> None:
    driver.collect()
    driver.flush()


def said(driver: Driver) -> list[str]:
    return [frame["token"] for frame in driver.wire if frame["type"] == "text" and frame["token"]]


def test_what_was_begun_is_played_and_then_the_goodbye() -> None:
    driver = Driver()
    driver.prompt("Hello?")
    driver.agent("Once upon a time ", done=False)
    assert driver.session.leave(EndCall("stop"), driver.now, GOODBYE)
    finish(driver)
    assert said(driver) == ["Once upon a time ", GOODBYE]
    assert driver.session.state is State.LEAVING
    assert driver.stops == 1
    driver.agent("there was a shop.")
    driver.flush()
    assert said(driver)[-1] == GOODBYE


def test_without_anything_to_play_the_goodbye_alone_is_waited_for() -> None:
    driver = Driver()
    assert driver.session.leave(EndCall("stop"), driver.now, GOODBYE)
    finish(driver)
    assert [frame["type"] for frame in driver.wire][-1] == "text"
    driver.info("tokensPlayed", GOODBYE)
    driver.flush()
    assert driver.wire[-1] == {"type": "end"}


def test_a_session_that_leaves_already_is_not_asked_twice() -> None:
    driver = Driver()
    assert driver.session.leave(EndCall("stop"), driver.now, GOODBYE)
    assert not driver.session.leave(EndCall("stop"), driver.now, GOODBYE)
    finish(driver)
    assert said(driver) == [GOODBYE]


@pytest.mark.parametrize("action", [EndCall("stop"), Transfer("billing", "Wants a refund.")])
def test_an_end_that_is_wanted_now_keeps_what_was_decided(action: EndCall | Transfer) -> None:
    driver = Driver()
    driver.session.leave(action, driver.now, GOODBYE)
    driver.session.end(driver.now)
    finish(driver)
    assert driver.wire[-1]["type"] == "end"
    assert ("handoffData" in driver.wire[-1]) == isinstance(action, Transfer)
    assert driver.session.state is State.ENDING


def test_an_end_stops_an_agent_in_the_middle_of_a_reply() -> None:
    driver = Driver()
    driver.prompt("Hello?")
    driver.agent("Once upon a time ", done=False)
    driver.session.end(driver.now)
    finish(driver)
    assert driver.stops == 1
    assert driver.wire[-1] == {"type": "end"}


def test_what_comes_before_the_close_frame_has_left_is_kept_however_late_that_is() -> None:
    driver = Driver()
    driver.session.close(1012, "restart", driver.now)
    driver.pass_time(30)  # an agent blocks the loop
    driver.prompt("What are your hours?")
    driver.session.close_sent(driver.now)
    driver.pass_time(0.5)
    driver.prompt("On Sundays, I mean.")
    driver.pass_time(1)
    driver.prompt("Hello?")  # by now another server may have heard it
    said = [event.text for event in driver.events if isinstance(event, events.Prompted)]
    assert said == ["What are your hours?", "On Sundays, I mean."]


def test_a_closed_socket_is_told_once_with_its_code() -> None:
    driver = Driver()
    driver.session.close(1012, "restart", driver.now)
    driver.session.close(1012, "restart", driver.now)
    finish(driver)
    assert driver.closed is not None
    assert (driver.closed.code, driver.closed.reason) == (1012, "restart")
    assert [event.code for event in driver.events if isinstance(event, events.Disconnected)] == [1012]
