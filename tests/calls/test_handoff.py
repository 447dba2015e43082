"""To a person and back, over real HTTP and a real WebSocket: every way that a handoff can go.

Whatever happens, the documents of the call lint clean, two speech-to-text engines never listen at once,
and the caller is spoken to or hung up politely.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest

from support.waiting import until
from voice_app.calls import CallState, HandoffState
from voice_app.journal import events
from voice_app.sandbox.phone import Person
from voice_app.testing.caller import Caller
from voice_app.testing.line import PhoneLine
from voice_app.twiml import lint_text

NUMBERS = ("+15550100010", "+15550100011")
ATTRIBUTES = {"conversationId", "conversationConfiguration"}
WISH = "I want to speak to a person."

pytestmark = pytest.mark.voice_app(handoff_to=NUMBERS)


@pytest.fixture(autouse=True)
def what_always_has_to_hold(line: PhoneLine) -> Iterator[None]:
    yield
    for call in [caller.call for caller in line.callers]:
        for document in call.documents:
            assert lint_text(document, "a document of the call") == []
            assert set(re.findall(r"conversation\w*(?==)", document)) <= ATTRIBUTES
        assert call.engine_overlaps == []


def anna(*more: str) -> Person:
    return Person("answers", says=["Anna here.", *more])


async def handed_over(line: PhoneLine, *people: Person, known: bool = False) -> Caller:
    """Somebody who has asked for a person; ``known``: not before the call's conversation is known."""
    line.people += people
    caller = line.caller()
    await caller.hears(line.settings.greeting)
    if known:
        await until(lambda: any(isinstance(event, events.Conversed) for event in caller.events))
    await caller.says(WISH)
    return caller


async def over(caller: Caller) -> CallState:
    """The call once everybody has hung up."""
    await caller.hangs_up()
    return await caller.state()


async def test_a_person_answers_and_what_is_said_is_written_down(line: PhoneLine) -> None:
    person = anna("I will look at it.")
    caller = await handed_over(line, person, known=True)
    await caller.hears("Anna here.")
    await caller.says("My order is late.")
    await caller.hears("I will look at it.")
    await line.loop.perform(caller.call.person_hangs_up())
    await caller.is_hung_up_on()
    assert caller.call.conversation_id is not None
    assert any("My order is late" in text for text in await caller.conversation())
    conversation = line.twilio.account.conversations[caller.call.conversation_id]
    assert conversation.resource["metadata"]["handoff_summary"] == WISH
    assert WISH in " ".join(person.heard)
    state = await caller.state()
    assert state.handoff.state is HandoffState.OVER
    lines = [(line.role, line.content) for line in state.transcript.lines() if line.transcribed]
    assert lines == [
        ("person", "Anna here."),
        ("user", "My order is late."),
        ("person", "I will look at it."),
    ]


async def test_the_transcription_joins_the_conversation_of_the_call(line: PhoneLine) -> None:
    caller = await handed_over(line, anna(), known=True)
    await caller.is_put_through()
    (handoff,) = [document for document in caller.call.documents if "<Transcription" in document]
    known = (await caller.state()).events(events.Conversed)
    assert (
        "conversationConfiguration=" in handoff or f'conversationId="{known[0].conversation_id}"' in handoff
    )


@pytest.mark.parametrize("kind", ["busy", "no-answer", "declines", "voicemail"])
async def test_whoever_does_not_take_the_call_is_followed_by_the_next(line: PhoneLine, kind: Any) -> None:
    caller = await handed_over(line, Person(kind), anna())
    await caller.hears("Anna here.")
    steps = [event.step for event in (await over(caller)).events(events.HandedOff)]
    assert steps.count("rang") == 2
    assert "accepted" in steps


@pytest.mark.parametrize("kind", ["busy", "no-answer", "declines", "voicemail"])
async def test_nobody_takes_the_call_and_a_message_is_left(line: PhoneLine, kind: Any) -> None:
    caller = await handed_over(line, Person(kind), Person(kind))
    await caller.hears("Please leave a message")
    await caller.says("Please call me back.")
    await caller.hears("Thank you for your message")
    await caller.is_hung_up_on()
    state = await caller.state()
    assert state.events(events.Voicemail)
    assert state.handoff.state is HandoffState.OVER


@pytest.mark.voice_app(handoff_then="agent")
async def test_nobody_takes_the_call_and_the_agent_goes_on(line: PhoneLine) -> None:
    caller = await handed_over(line, Person("busy"), Person("busy"))
    await caller.hears(line.settings.handoff_return_line)
    assert "Mill Lane" in await caller.asks("Where are you?")
    await caller.hangs_up()
    await caller.state()
    assert len(caller.call.endings) == 2


async def test_a_caller_who_hangs_up_while_it_rings_ends_it(line: PhoneLine) -> None:
    caller = await handed_over(line, Person("no-answer"))
    await caller.is_transferred()
    await until(lambda: sum(isinstance(event, events.HandedOff) for event in caller.events) >= 2)
    assert (await over(caller)).handoff.state is HandoffState.OVER


async def test_a_caller_who_hangs_up_while_talking_ends_it(line: PhoneLine) -> None:
    caller = await handed_over(line, Person("answers", says=["Hi."]))
    await caller.is_put_through()
    assert (await over(caller)).handoff.state is HandoffState.OVER


@pytest.mark.voice_app(handoff_to=("queue:support",))
async def test_a_queue_plays_and_a_person_takes_the_caller_out(line: PhoneLine) -> None:
    caller = await handed_over(line, anna())
    await caller.hears("Anna")


@pytest.mark.voice_app(handoff_to=("workflow:WW" + "0" * 32,))
async def test_a_workflow_gets_a_task_with_what_it_has_to_know(line: PhoneLine) -> None:
    caller = await handed_over(line, anna())
    await caller.hears("Anna")
    (task,) = caller.call.tasks
    assert WISH in str(task)


@pytest.mark.parametrize("address", ["sip:desk@example.com", "client:anna"])
async def test_a_sip_address_and_a_client_are_rung_alike(line: PhoneLine, address: str) -> None:
    caller = await handed_over(line, anna())
    await caller.hears("Anna here.")


@pytest.mark.voice_app(handoff_to=("conference:+15550100010",))
async def test_a_person_joins_a_conference_after_the_summary(line: PhoneLine) -> None:
    person = anna()
    caller = await handed_over(line, person)
    await caller.hears("Anna")
    await line.loop.perform(caller.call.person_hangs_up())
    await caller.is_hung_up_on()
    assert WISH in person.heard[0]
    assert (await caller.state()).handoff.state is HandoffState.OVER


@pytest.mark.voice_app(handoff_to=("conference:+15550100010", "conference:+15550100011"))
@pytest.mark.parametrize("kind", ["busy", "no-answer", "declines", "voicemail"])
async def test_whoever_does_not_join_the_conference_is_followed_by_the_next(
    line: PhoneLine, kind: Any
) -> None:
    caller = await handed_over(line, Person(kind), anna())
    await caller.hears("Anna")


@pytest.mark.voice_app(answer="people")
async def test_people_first_means_no_agent_where_somebody_answers(line: PhoneLine) -> None:
    line.people.append(anna())
    caller = line.caller()
    assert await caller.hears("Anna") == "Anna here."
    assert caller.call.endings == []


@pytest.mark.voice_app(answer="people", handoff_then="agent")
async def test_people_first_leaves_the_caller_to_the_agent_where_nobody_answers(line: PhoneLine) -> None:
    line.people += [Person("busy"), Person("busy")]
    caller = line.caller()
    await caller.hears(line.settings.handoff_return_line)
    assert "Mill Lane" in await caller.asks("Where are you?")


@pytest.mark.parametrize("disorder", ["shuffled", "doubled", "missing"])
async def test_callbacks_out_of_order_twice_or_never_strand_nobody(line: PhoneLine, disorder: Any) -> None:
    line.phone.callbacks = disorder
    caller = await handed_over(line, Person("busy"), anna("Bye."))
    await caller.hears("Anna here.")
    await caller.says("Thanks.")
    await caller.hears("Bye.")
    lines = [line.content for line in (await over(caller)).transcript.lines() if line.transcribed]
    if disorder != "missing":
        assert lines == ["Anna here.", "Thanks.", "Bye."]
