"""Whole calls, from the number's webhook to the hang-up, over real HTTP and a real WebSocket."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from support.sandbox import happened, recorded, remembered, sandbox
from voice_app.journal import events
from voice_app.sandbox.phone import CallOverError
from voice_app.twilio import Conversations
from voice_app.twiml import lint_text


async def test_a_caller_is_answered_talks_cuts_in_presses_a_key_and_says_goodbye(tmp_path: Path) -> None:
    async with sandbox(tmp_path) as server, server.call() as call:
        assert (await call.reply()).text == server.settings.greeting
        await call.say("When are you open?")
        heard = await call.interrupt("Sorry, where are you?", after_words=5)
        assert heard.text == "We are open from nine"
        assert "Mill Lane" in (await call.reply()).text
        await call.press("3")
        assert "eighty dollars" in (await call.reply()).text
        assert "Goodbye" in (await call.ask("Goodbye.")).text
        await call.over.wait()
    assert call.problems == []
    assert [ending.status for ending in call.endings] == ["ended"]
    history = [(line.role, line.content) for line in await remembered(tmp_path, call.sid)]
    assert history[:4] == [
        ("assistant", server.settings.greeting),
        ("user", "When are you open?"),
        ("assistant", "We are open from nine"),
        ("user", "Sorry, where are you?"),
    ]


async def test_the_journal_has_the_whole_call(tmp_path: Path) -> None:
    async with sandbox(tmp_path) as server, server.call() as call:
        await call.reply()
        await call.ask("When are you open?")
    kinds = [type(entry.event) for entry in await recorded(tmp_path, call.sid)]
    for kind in (
        events.Opened,
        events.Served,
        events.Connected,
        events.Prompted,
        events.Replied,
        events.Closed,
    ):
        assert kind in kinds


async def test_the_twiml_names_the_configuration_and_lints_clean(tmp_path: Path) -> None:
    async with sandbox(tmp_path) as server, server.call() as call:
        await call.reply()
        configuration = server.settings.conversation_configuration
    document = call.documents[0]
    assert f'conversationConfiguration="{configuration}"' in document
    assert re.search(r'url="wss://sandbox\.localhost/relay/[\w.-]+"', document)
    assert 'action="https://sandbox.localhost/voice/relay-ended"' in document
    assert [lint_text(document, "answer") for document in call.documents] == [[] for _ in call.documents]


async def test_what_is_said_lands_in_the_conversation(tmp_path: Path) -> None:
    async with sandbox(tmp_path) as server:
        async with server.call() as call:
            await call.reply()
            await call.ask("When are you open?")
            await happened(tmp_path, call.sid, events.Conversed)
        assert call.conversation_id is not None
        conversations = Conversations(server.api)
        conversation = await conversations.fetch(call.conversation_id)
        assert conversation.configuration_id == server.settings.conversation_configuration
        said = await conversations.communications(call.conversation_id)
        assert len(said) > 3
    found = [entry.event for entry in await recorded(tmp_path, call.sid)]
    assert events.Conversed(conversation.id, conversation.configuration_id or "") in found


async def test_without_a_configuration_no_attribute_is_emitted(tmp_path: Path) -> None:
    account: dict[str, Any] = {"account_sid": "AC" + "1" * 32, "public_domain": "voice.example.com"}
    async with sandbox(tmp_path, auth_token=SecretStr("x"), **account) as server, server.call() as call:
        await call.reply()
    assert "conversation" not in call.documents[0]
    assert 'url="wss://voice.example.com/relay/' in call.documents[0]


async def test_a_broken_connection_is_taken_up_again_where_it_broke(tmp_path: Path) -> None:
    async with sandbox(tmp_path, agent="support.agents:echo") as server, server.call() as call:
        await call.reply()
        await call.ask("Hello?")
        await happened(tmp_path, call.sid, events.Conversed)
        await call.drop()
        assert (await call.reply()).text == server.settings.resume_greeting
        answer = await call.ask("Do you remember?")
        assert answer.text == "You said: Do you remember? Before that there were 4 messages."
    assert [ending.error_code for ending in call.endings] == [64105, None]
    assert call.problems == []
    assert call.conversation_id is not None
    assert f'conversationId="{call.conversation_id}"' in call.documents[1]
    assert "conversationConfiguration" not in call.documents[1]


async def test_a_connection_that_breaks_again_ends_with_a_message(tmp_path: Path) -> None:
    async with sandbox(tmp_path, max_resumes=1) as server, server.call() as call:
        await call.reply()
        await call.drop()
        await call.reply()
        await call.drop()
        assert "Please leave a message" in (await call.reply()).text
    assert call.problems == []


async def test_an_interruption_stops_an_agent_that_would_talk_forever(tmp_path: Path) -> None:
    async with sandbox(tmp_path, agent="support.agents:endless") as server, server.call() as call:
        await call.reply()
        await call.say("one")
        heard = await call.interrupt("two", after_words=10)
        assert heard.text.split() == [f"one-{number}" for number in range(10)]
        heard = await call.interrupt("three", after_words=5)
        assert heard.text.split() == [f"two-{number}" for number in range(5)]
    assert call.problems == []
    assert ("assistant", heard.text) in [
        (line.role, line.content) for line in await remembered(tmp_path, call.sid)
    ]


async def test_a_caller_who_wants_a_person_and_there_is_none_may_leave_a_message(tmp_path: Path) -> None:
    async with sandbox(tmp_path) as server, server.call() as call:
        await call.reply()
        await call.ask("I want to speak to a person.")
        assert "Please leave a message" in (await call.reply()).text
    assert call.endings[0].handoff_data is not None
    assert call.problems == []


async def test_an_agent_that_fails_is_excused_and_its_error_keeps_to_itself(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with sandbox(tmp_path, agent="support.agents:broken") as server, server.call() as call:
        await call.reply()
        assert (await call.ask("Hello?")).text == "Well,"
        assert (await call.reply()).text == server.settings.failure_line
    failures = [
        entry.event for entry in await recorded(tmp_path, call.sid) if isinstance(entry.event, events.Failed)
    ]
    assert failures == [events.Failed("agent", "RuntimeError")]


async def test_a_hang_up_is_the_end_of_everything(tmp_path: Path) -> None:
    async with sandbox(tmp_path) as server, server.call() as call:
        await call.reply()
        await call.hang_up()
        with pytest.raises(CallOverError):
            await call.ask("Hello?")
    assert [ending.status for ending in call.endings] == ["completed"]
    assert call.problems == []


async def test_fifty_calls_at_once_keep_to_themselves(tmp_path: Path) -> None:
    async def talk(number: int) -> str:
        async with server.call() as call:
            await call.reply()
            return (await call.ask(f"number {number}")).text

    async with sandbox(tmp_path, agent="support.agents:echo", filler_seconds=0) as server:
        answers = await asyncio.gather(*(talk(number) for number in range(50)))
    assert answers == [
        f"You said: number {number} Before that there were 1 messages." for number in range(50)
    ]


async def test_partial_prompts_start_no_turn(tmp_path: Path) -> None:
    templates = Path(__file__).parents[2] / "twiml_templates"
    folder = tmp_path / "twiml_templates"
    folder.mkdir()
    for template in templates.glob("*.xml"):
        source = template.read_text().replace(
            'dtmfDetection="true"', 'dtmfDetection="true" partialPrompts="true"'
        )
        (folder / template.name).write_text(
            source.replace('"partialPrompts": "true" if partial_prompts else None,', "")
        )
    async with (
        sandbox(tmp_path, agent="support.agents:echo", templates=folder) as server,
        server.call() as call,
    ):
        await call.reply()
        answer = await call.ask("this is said word by word and so in parts")
        assert answer.text.startswith("You said: this is said word by word and so in parts")
    prompts = [
        entry for entry in await recorded(tmp_path, call.sid) if isinstance(entry.event, events.Prompted)
    ]
    assert len(prompts) == 1
