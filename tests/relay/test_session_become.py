"""`Become`: another agent has the call, in its session or in one of its own."""

from __future__ import annotations

from support.driver import Driver
from voice_app import Become, EndCall, Turn
from voice_app.calls import ResumeState
from voice_app.journal.events import Acted
from voice_app.relay.commands import Pull
from voice_app.relay.session import State

AGENTS = {"front": True, "billing": True, "berlin": False}


def driver() -> Driver:
    return Driver(agents=AGENTS)


def test_the_next_agent_is_asked_at_once_after_what_the_first_one_said() -> None:
    call = driver()
    call.prompt("My bill is wrong.")
    call.agent("I will put you through. ", Become("billing"), done=False)
    assert (call.pull, call.agents, call.stops) == (Pull.STOP, ["billing"], 1)
    assert call.asked == Turn("", "resumed")
    call.agent("Billing here.")
    assert [frame["token"] for frame in call.flush()] == ["I will put you through. ", "Billing here."]
    assert call.history() == [
        ("user", "My bill is wrong."),
        ("assistant", "I will put you through. "),
        ("assistant", "Billing here."),
    ]
    assert call.of(Acted) == [Acted("become", "billing")]


def test_what_the_caller_said_meanwhile_is_for_the_next_agent() -> None:
    call = driver()
    call.prompt("My bill is wrong.")
    call.agent("One moment. ", done=False)
    call.prompt("It is order 81.")
    call.agent(Become("billing"), done=False)
    assert call.agents == ["billing"]
    assert call.asked.text == "It is order 81."


def test_nothing_of_the_first_agent_is_said_afterwards() -> None:
    call = driver()
    call.prompt("My bill is wrong.")
    first = call.turns[-1].number
    call.agent(Become("billing"), done=False)
    assert call.session.agent_yielded(first, "too late", call.now) is Pull.STOP
    call.agent("Billing here.")
    assert call.flush()[0]["token"] == "Billing here."


def test_an_agent_may_give_the_call_back() -> None:
    call = driver()
    call.prompt("My bill is wrong.")
    call.agent(Become("billing"), done=False)
    call.agent("Done. ", Become("front"), done=False)
    assert call.agents == ["billing", "front"]


def test_an_agent_with_another_voice_gets_a_session_once_the_words_were_played() -> None:
    call = driver()
    call.prompt("Deutsch, bitte.")
    call.agent("One moment. ", Become("berlin"), done=False)
    assert (call.agents, call.session.state) == ([], State.LEAVING)
    call.flush()
    call.info("agentSpeaking", "on")
    call.falls_silent()
    assert call.flush() == [{"type": "end", "handoffData": '{"become":"berlin"}'}]


def test_the_agent_that_a_call_was_given_to_is_asked_in_the_next_session() -> None:
    call = driver()
    call.prompt("My bill is wrong.")
    call.agent("I will put you through. ", Become("billing"), done=False)
    call.agent(EndCall(), done=False)
    resumed = Driver(past=ResumeState(history=()), agents=AGENTS)
    resumed.prompt("Hello?")
    assert resumed.asked.text == "Hello?"
