"""What makes a conversation good, through a real socket."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support import agents
from support.sandbox import happened, recorded, remembered, sandbox
from voice_app.journal import events


@pytest.fixture(autouse=True)
def _closed_gate() -> Iterator[None]:
    agents.gate = agents.Gate()
    yield
    agents.gate.opened.set()


async def test_what_a_model_writes_is_heard_without_its_marks(tmp_path: Path) -> None:
    async with sandbox(tmp_path, agent="support.agents:markdown") as server, server.call() as call:
        await call.reply()
        answer = await call.ask("When are you open?")
    assert answer.text == "Opening hours:\nMonday.\nTuesday."
    assert "*" not in answer.text


async def test_an_interruption_may_cover_only_the_last_of_several_stretches(tmp_path: Path) -> None:
    async with sandbox(tmp_path, agent="support.agents:looking_up") as server, server.call() as call:
        await call.reply()
        await call.say("everything")
        assert (await call.reply()).text == "Let me look that up."
        heard = await call.interrupt("Thanks.", after_words=4)
        assert heard.text == "The answer to everything"
        await call.reply()
    history = [line.content for line in await remembered(tmp_path, call.sid)]
    assert history[1:4] == ["everything", "Let me look that up.", "The answer to everything"]


async def test_prompts_that_come_while_the_agent_thinks_are_asked_as_one(tmp_path: Path) -> None:
    async with sandbox(tmp_path, agent="support.agents:waiting") as server, server.call() as call:
        await call.reply()
        for text in ("I", "would like", "a bicycle."):
            await call.say(text)
        await happened(tmp_path, call.sid, events.Prompted, times=3)
        agents.gate.opened.set()
        assert (await call.reply()).text == "Finally: I would like a bicycle."


async def test_a_slow_answer_is_bridged_by_a_filler(tmp_path: Path) -> None:
    async with (
        sandbox(tmp_path, agent="support.agents:waiting", filler_seconds=0.05, filler="Moment.") as server,
        server.call() as call,
    ):
        await call.reply()
        assert (await call.ask("Hello?")).text == "Moment."
        agents.gate.opened.set()
        assert (await call.reply()).text == "Finally: Hello?"


async def test_a_stalled_answer_is_excused(tmp_path: Path) -> None:
    async with (
        sandbox(tmp_path, agent="support.agents:waiting", stall_seconds=0.05, filler_seconds=0) as server,
        server.call() as call,
    ):
        await call.reply()
        assert (await call.ask("Hello?")).text == server.settings.failure_line


async def test_a_silent_caller_is_asked_twice_and_then_let_go(tmp_path: Path) -> None:
    async with sandbox(tmp_path, silence_seconds=0.1) as server, server.call() as call:
        await call.reply()
        assert (await call.reply()).text == server.settings.silence_line
        assert (await call.reply()).text == server.settings.silence_line
        assert (await call.reply()).text == server.settings.silence_goodbye
        await call.over.wait()
    assert call.endings[0].status == "ended"
    assert call.problems == []


async def test_the_agent_begins_before_the_caller_is_done(tmp_path: Path) -> None:
    changes: dict[str, Any] = {"agent": "support.agents:echo", "speculate": "stable"}
    async with sandbox(tmp_path, **changes) as server, server.call() as call:
        await call.reply()
        assert 'partialPrompts="true"' in call.documents[0]
        answer = await call.ask("When do you open on Sundays?")
        assert answer.text.startswith("You said: When do you open on Sundays?")
        await call.ask("And when do you close?")
    found = [entry.event for entry in await recorded(tmp_path, call.sid)]
    guesses = [event for event in found if isinstance(event, events.Speculated)]
    assert [guess.hit for guess in guesses].count(True) == 2
    assert all(guess.saved_ms >= 0 for guess in guesses if guess.hit)
    assert len([event for event in found if isinstance(event, events.Prompted)]) == 2
    assert [line.role for line in await remembered(tmp_path, call.sid)] == [
        "assistant",
        "user",
        "assistant",
        "user",
        "assistant",
    ]


async def test_keys_are_collected_and_a_secret_entry_is_nowhere_written(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with sandbox(tmp_path, agent="support.agents:keypad") as server, server.call() as call:
        await call.reply()
        await call.press("12#")
        assert (await call.reply()).text == "keys: 12"
        await call.press("47114711")
        assert (await call.reply()).text == "keys: 8 keys."
    entries = await recorded(tmp_path, call.sid)
    assert [entry.event.digits for entry in entries if isinstance(entry.event, events.Pressed)] == ["12", ""]
    assert "47114711" not in repr(entries)
    assert "47114711" not in caplog.text


async def test_a_language_that_was_switched_survives_a_broken_connection(tmp_path: Path) -> None:
    async with sandbox(tmp_path, agent="support.agents:polyglot") as server, server.call() as call:
        await call.reply()
        assert (await call.ask("¿Habla español?")).text == "Hola."
        assert call.session is not None
        assert call.session.digits_sent == ["1w2"]
        await call.drop()
        await call.reply()
    assert 'ttsLanguage="es-ES"' in call.documents[1]
    assert 'transcriptionLanguage="es-MX"' in call.documents[1]
    assert call.problems == []


async def test_frames_of_the_newer_protocol_do_no_harm(tmp_path: Path) -> None:
    async with sandbox(tmp_path, agent="support.agents:echo") as server, server.call() as call:
        await call.reply()
        assert call.session is not None
        for frame in (
            '{"type":"info","name":"configUpdated","value":{"language":"en-US"}}',
            '{"type":"config","updated":true}',
            '{"type":"prompt","voicePrompt":"x","lang":"en","last":false,"turnState":"eager","segments":[]}',
        ):
            await call.session.send_raw(frame)
        assert (await call.ask("Hello.")).text.startswith("You said: Hello.")
    assert call.problems == []


async def test_a_person_who_asks_for_a_person_hears_the_last_words_first(tmp_path: Path) -> None:
    async with sandbox(tmp_path, agent="support.agents:leaving") as server, server.call() as call:
        await call.reply()
        assert (await call.ask("A person, please.")).text == "As you wish."
        await call.over.wait()
    (ending,) = call.endings
    assert ending.handoff_data == '{"reason":"asked","summary":"A person, please."}'


async def test_calls_at_once_do_not_wait_for_each_other(tmp_path: Path) -> None:
    async with sandbox(tmp_path, agent="support.agents:waiting") as server, server.call() as slow:
        await slow.reply()
        await slow.say("Hello?")
        async with server.call() as other:
            assert (await other.reply()).text == server.settings.greeting
        agents.gate.opened.set()
        assert (await asyncio.wait_for(slow.reply(), 10)).text == "Finally: Hello?"
