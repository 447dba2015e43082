"""What makes a conversation good, through a real socket."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.sandbox import recorded
from voice_app.journal import events
from voice_app.testing.caller import Caller
from voice_app.testing.line import PhoneLine


@pytest.mark.voice_app(agent="support.agents:markdown")
async def test_what_a_model_writes_is_heard_without_its_marks(caller: Caller) -> None:
    answer = await caller.asks("When are you open?")
    assert answer == "Opening hours:\nMonday.\nTuesday."
    assert "*" not in answer


@pytest.mark.voice_app(agent="support.agents:looking_up")
async def test_an_interruption_may_cover_only_the_last_of_several_stretches(caller: Caller) -> None:
    await caller.says("everything")
    assert await caller.hears("look") == "Let me look that up."
    assert await caller.interrupts("Thanks.", after_words=4) == "The answer to everything"
    await caller.hears("The answer to Thanks")
    history = [line.content for line in (await caller.state()).transcript.as_heard()]
    assert history[1:4] == ["everything", "Let me look that up.", "The answer to everything"]


@pytest.mark.voice_app(agent="support.agents:pondering")
async def test_prompts_that_come_while_the_agent_thinks_are_asked_as_one(caller: Caller) -> None:
    await caller.hears(caller.line.settings.greeting)
    await caller.says("I", "would like", "a bicycle.")
    assert (await caller.hears("Finally")).endswith("Finally: I would like a bicycle.")
    assert sum(isinstance(event, events.Prompted) for event in caller.events) == 3


@pytest.mark.voice_app(agent="support.agents:pondering", filler="Moment.")
async def test_a_slow_answer_is_bridged_by_a_filler(caller: Caller) -> None:
    assert await caller.asks("Hello?") == "Moment. Finally: Hello?"


@pytest.mark.voice_app(agent="support.agents:pondering", stall_seconds=3, filler_seconds=0)
async def test_a_stalled_answer_is_excused(caller: Caller) -> None:
    assert await caller.asks("Hello?") == caller.line.settings.failure_line


async def test_a_silent_caller_is_asked_twice_and_then_let_go(caller: Caller) -> None:
    await caller.is_silent(60)
    await caller.is_hung_up_on()
    settings = caller.line.settings
    assert caller.heard == [
        settings.greeting,
        settings.silence_line,
        settings.silence_line,
        settings.silence_goodbye,
    ]
    assert caller.call.endings[0].status == "ended"


@pytest.mark.voice_app(agent="support.agents:echo", speculate="stable")
async def test_the_agent_begins_before_the_caller_is_done(caller: Caller) -> None:
    answer = await caller.asks("When do you open on Sundays?")
    assert 'partialPrompts="true"' in caller.call.documents[0]
    assert answer.startswith("You said: When do you open on Sundays?")
    await caller.asks("And when do you close?")
    await caller.hangs_up()
    state = await caller.state()
    guesses = state.events(events.Speculated)
    assert [guess.hit for guess in guesses].count(True) == 2
    assert all(guess.saved_ms >= 0 for guess in guesses if guess.hit)
    assert len([event for event in caller.events if isinstance(event, events.Prompted)]) == 2
    assert [line.role for line in state.transcript.as_heard()] == [
        "assistant",
        "user",
        "assistant",
        "user",
        "assistant",
    ]


@pytest.mark.voice_app(agent="support.agents:keypad")
async def test_keys_are_collected_and_a_secret_entry_is_nowhere_written(
    caller: Caller, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    await caller.presses("12#")
    await caller.hears("keys: 12")
    await caller.presses("47114711")
    await caller.hears("keys: 8 keys.")
    await caller.hangs_up()
    state = await caller.state()
    assert [pressed.digits for pressed in state.events(events.Pressed)] == ["12", ""]
    assert "47114711" not in repr(await recorded(tmp_path, caller.call.sid))
    assert "47114711" not in caplog.text


@pytest.mark.voice_app(agent="support.agents:polyglot")
async def test_a_language_that_was_switched_survives_a_broken_connection(caller: Caller) -> None:
    assert await caller.asks("¿Habla español?") == "Hola."
    assert caller.call.session is not None
    assert caller.call.session.digits_sent == ["1w2"]
    await caller.drops()
    await caller.hears(caller.line.settings.resume_greeting)
    assert 'ttsLanguage="es-ES"' in caller.call.documents[1]
    assert 'transcriptionLanguage="es-MX"' in caller.call.documents[1]


FRAMES = (
    '{"type":"info","name":"configUpdated","value":{"language":"en-US"}}',
    '{"type":"config","updated":true}',
    '{"type":"prompt","voicePrompt":"x","lang":"en","last":false,"turnState":"eager","segments":[]}',
)


@pytest.mark.voice_app(agent="support.agents:echo")
async def test_frames_of_the_newer_protocol_do_no_harm(caller: Caller) -> None:
    await caller.hears(caller.line.settings.greeting)
    assert caller.call.session is not None
    for frame in FRAMES:
        await caller.line.loop.perform(caller.call.session.send_raw(frame))
    assert (await caller.asks("Hello.")).startswith("You said: Hello.")


@pytest.mark.voice_app(agent="support.agents:leaving")
async def test_a_person_who_asks_for_a_person_hears_the_last_words_first(caller: Caller) -> None:
    assert await caller.asks("A person, please.") == "As you wish."
    (ending,) = caller.call.endings
    assert ending.handoff_data == '{"reason":"asked","summary":"A person, please."}'


@pytest.mark.voice_app(agent="support.agents:pondering", greeting="Hi.")
async def test_calls_at_once_do_not_wait_for_each_other(line: PhoneLine) -> None:
    slow, other = line.caller(), line.caller("+15550190002")
    await slow.says("Hello?")
    await other.hears(line.settings.greeting)
    assert not any(isinstance(event, events.Replied) and "Finally" in event.text for event in slow.events)
    await slow.hears("Finally: Hello?")
