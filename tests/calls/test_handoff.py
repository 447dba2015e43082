"""To a person and back, over real HTTP and a real WebSocket: every way that a handoff can go.

Whatever happens, the documents of the call lint clean, two speech-to-text engines never listen at once,
and the caller is spoken to or hung up politely.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from support.sandbox import Sandbox, happened, recorded, sandbox
from voice_app.calls import CallState, HandoffState
from voice_app.journal import events
from voice_app.sandbox.phone import Person, PhoneCall
from voice_app.twilio import Conversations
from voice_app.twiml import lint_text

NUMBERS = ("+15550100010", "+15550100011")
ATTRIBUTES = {"conversationId", "conversationConfiguration"}
WISH = "I want to speak to a person."


def anna() -> Person:
    return Person("answers", says=["Anna here."])


@asynccontextmanager
async def handed_over(
    folder: Path, *people: Person, known: bool = False, **changes: Any
) -> AsyncIterator[tuple[Sandbox, PhoneCall]]:
    """A call on which the caller has asked for a person. Checks what always has to hold.

    ``known``: not before the call's conversation is known.
    """
    settings = {"handoff_to": NUMBERS, **changes}
    async with sandbox(folder, **settings) as server:
        async with server.call(*people) as call:
            await call.reply()
            if known:
                await happened(folder, call.sid, events.Conversed)
            await call.ask(WISH)
            yield server, call
        for document in call.documents:
            assert lint_text(document, "a document of the call") == []
            assert set(re.findall(r"conversation\w*(?==)", document)) <= {
                "conversationId",
                "conversationConfiguration",
            }
        assert call.engine_overlaps == []
        assert call.problems == []


async def test_a_person_answers_and_what_is_said_is_written_down(tmp_path: Path) -> None:
    person = Person("answers", says=["Anna here.", "I will look at it."])
    async with handed_over(tmp_path, person, known=True) as (server, call):
        assert (await call.reply()).text == "Anna here."
        await call.say("My order is late.")
        assert (await call.reply()).text == "I will look at it."
        await call.person_hangs_up()
        await call.over.wait()
        assert call.conversation_id is not None
        said = await Conversations(server.api).communications(call.conversation_id)
        assert any("My order is late" in (item.text or "") for item in said)
        conversation = await Conversations(server.api).fetch(call.conversation_id)
        assert conversation.metadata["handoff_summary"] == WISH
    assert WISH in " ".join(person.heard)
    entries = await recorded(tmp_path, call.sid)
    assert CallState.of(entries).handoff.state is HandoffState.OVER
    lines = [
        (line.role, line.content) for line in CallState.of(entries).transcript.lines() if line.transcribed
    ]
    assert lines == [
        ("person", "Anna here."),
        ("user", "My order is late."),
        ("person", "I will look at it."),
    ]


async def test_the_transcription_joins_the_conversation_of_the_call(tmp_path: Path) -> None:
    async with sandbox(tmp_path, handoff_to=NUMBERS) as server, server.call(anna()) as call:
        await call.reply()
        await happened(tmp_path, call.sid, events.Conversed)
        await call.ask(WISH)
        await call.bridged()
    (handoff,) = [document for document in call.documents if "<Transcription" in document]
    known = [
        entry.event
        for entry in await recorded(tmp_path, call.sid)
        if isinstance(entry.event, events.Conversed)
    ]
    assert (
        "conversationConfiguration=" in handoff or f'conversationId="{known[0].conversation_id}"' in handoff
    )


@pytest.mark.parametrize("kind", ["busy", "no-answer", "declines", "voicemail"])
async def test_whoever_does_not_take_the_call_is_followed_by_the_next(tmp_path: Path, kind: Any) -> None:
    async with handed_over(tmp_path, Person(kind), anna()) as (_, call):
        assert (await call.reply()).text == "Anna here."
    steps = [
        entry.event.step
        for entry in await recorded(tmp_path, call.sid)
        if isinstance(entry.event, events.HandedOff)
    ]
    assert steps.count("rang") == 2
    assert "accepted" in steps


@pytest.mark.parametrize("kind", ["busy", "no-answer", "declines", "voicemail"])
async def test_nobody_takes_the_call_and_a_message_is_left(tmp_path: Path, kind: Any) -> None:
    async with handed_over(tmp_path, Person(kind), Person(kind)) as (_, call):
        assert "Please leave a message" in (await call.reply()).text
        await call.say("Please call me back.")
        assert "Thank you for your message" in (await call.reply()).text
        await call.over.wait()
    entries = await recorded(tmp_path, call.sid)
    assert any(isinstance(entry.event, events.Voicemail) for entry in entries)
    assert CallState.of(entries).handoff.state is HandoffState.OVER


async def test_nobody_takes_the_call_and_the_agent_goes_on(tmp_path: Path) -> None:
    people = (Person("busy"), Person("busy"))
    async with handed_over(tmp_path, *people, handoff_then="agent") as (server, call):
        assert (await call.reply()).text == server.settings.handoff_return_line
        assert "Mill Lane" in (await call.ask("Where are you?")).text
    assert len(call.endings) == 2


async def test_a_caller_who_hangs_up_while_it_rings_ends_it(tmp_path: Path) -> None:
    async with handed_over(tmp_path, Person("no-answer")) as (_, call):
        await happened(tmp_path, call.sid, events.HandedOff, times=2)
        await call.hang_up()
    assert CallState.of(await recorded(tmp_path, call.sid)).handoff.state is HandoffState.OVER


async def test_a_caller_who_hangs_up_while_talking_ends_it(tmp_path: Path) -> None:
    async with handed_over(tmp_path, Person("answers", says=["Hi."])) as (_, call):
        await call.bridged()
        await call.hang_up()
    assert CallState.of(await recorded(tmp_path, call.sid)).handoff.state is HandoffState.OVER


async def test_a_queue_plays_and_a_person_takes_the_caller_out(tmp_path: Path) -> None:
    async with handed_over(
        tmp_path, Person("answers", says=["Anna here."]), handoff_to=("queue:support",)
    ) as (_, call):
        heard = ""
        while "Anna" not in heard:
            heard = (await asyncio.wait_for(call.reply(), 20)).text


async def test_a_workflow_gets_a_task_with_what_it_has_to_know(tmp_path: Path) -> None:
    workflow = "workflow:WW" + "0" * 32
    async with handed_over(tmp_path, Person("answers", says=["Anna here."]), handoff_to=(workflow,)) as (
        _,
        call,
    ):
        heard = ""
        while "Anna" not in heard:
            heard = (await asyncio.wait_for(call.reply(), 20)).text
    (task,) = call.tasks
    assert WISH in str(task)


@pytest.mark.parametrize("address", ["sip:desk@example.com", "client:anna"])
async def test_a_sip_address_and_a_client_are_rung_alike(tmp_path: Path, address: str) -> None:
    async with handed_over(tmp_path, Person("answers", says=["Anna here."]), handoff_to=(address,)) as (
        _,
        call,
    ):
        assert (await call.reply()).text == "Anna here."


async def test_a_person_joins_a_conference_after_the_summary(tmp_path: Path) -> None:
    person = anna()
    async with handed_over(tmp_path, person, handoff_to=("conference:+15550100010",)) as (_, call):
        while "Anna" not in (await asyncio.wait_for(call.reply(), 20)).text:
            pass
        await call.person_hangs_up()
        await call.over.wait()
    assert WISH in person.heard[0]
    assert CallState.of(await recorded(tmp_path, call.sid)).handoff.state is HandoffState.OVER


@pytest.mark.parametrize("kind", ["busy", "no-answer", "declines", "voicemail"])
async def test_whoever_does_not_join_the_conference_is_followed_by_the_next(
    tmp_path: Path, kind: Any
) -> None:
    rooms = ("conference:+15550100010", "conference:+15550100011")
    async with handed_over(tmp_path, Person(kind), anna(), handoff_to=rooms) as (_, call):
        while "Anna" not in (await asyncio.wait_for(call.reply(), 20)).text:
            pass


async def test_people_first_means_no_agent_where_somebody_answers(tmp_path: Path) -> None:
    async with sandbox(tmp_path, handoff_to=NUMBERS, answer="people") as server:
        async with server.call(anna()) as call:
            assert (await call.reply()).text == "Anna here."
        assert call.endings == []
        assert call.engine_overlaps == []
        assert call.problems == []


async def test_people_first_leaves_the_caller_to_the_agent_where_nobody_answers(tmp_path: Path) -> None:
    changes: dict[str, Any] = {"handoff_to": NUMBERS, "answer": "people", "handoff_then": "agent"}
    async with sandbox(tmp_path, **changes) as server, server.call(Person("busy"), Person("busy")) as call:
        assert (await call.reply()).text == server.settings.handoff_return_line
        assert "Mill Lane" in (await call.ask("Where are you?")).text
    assert call.engine_overlaps == []
    assert call.problems == []


@pytest.mark.parametrize("disorder", ["shuffled", "doubled", "missing"])
async def test_callbacks_out_of_order_twice_or_never_strand_nobody(tmp_path: Path, disorder: Any) -> None:
    async with sandbox(tmp_path, handoff_to=NUMBERS) as server:
        server.phone.callbacks = disorder
        async with server.call(Person("busy"), Person("answers", says=["Anna here.", "Bye."])) as call:
            await call.reply()
            await call.ask(WISH)
            assert (await call.reply()).text == "Anna here."
            await call.say("Thanks.")
            assert (await call.reply()).text == "Bye."
        assert call.engine_overlaps == []
    lines = [
        line.content
        for line in CallState.of(await recorded(tmp_path, call.sid)).transcript.lines()
        if line.transcribed
    ]
    if disorder != "missing":
        assert lines == ["Anna here.", "Thanks.", "Bye."]
