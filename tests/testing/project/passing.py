import re
from datetime import UTC, datetime

import aiohttp
import pytest

from voice_app.testing.model import ScriptedModel, serve_model


async def test_a_call(caller, twilio):
    twilio.remembers(caller.number, "Likes tea.", firstName="Ann")
    await caller.hears("hello")
    await caller.says("Where is my order?")
    assert "Let me look that up." in await caller.hears(re.compile(r"Order \d+ leaves"))
    await caller.does_not_hear("tomorrow")
    await caller.presses("12")
    await caller.hears("You pressed 12.")
    await caller.says("What is in your memory?")
    await caller.hears("Likes tea.")
    assert caller.said == ["Where is my order?", "What is in your memory?"]
    assert caller.heard[0] == "Hello!"
    await caller.says("bye")
    await caller.is_hung_up_on()
    assert "CUSTOMER: Where is my order?" in await caller.conversation()
    history = (await caller.state()).transcript.as_heard()
    assert [line.content for line in history][:2] == ["Hello!", "Where is my order?"]


async def test_a_barge_in(caller):
    await caller.says("My order?")
    await caller.hears("Let me look that up.")
    assert await caller.interrupts("My order, please!", after_words=2) == "Order 81"
    await caller.hears("You have asked 2 times.")
    state = await caller.state()
    assert [line.heard for line in state.transcript.lines() if line.heard] == ["Order 81"]
    assert (caller.measures.turns, caller.measures.interruptions) == (2, 1)
    assert caller.measures.interruptions_missed == caller.measures.stale_words == 0


async def test_a_barge_in_into_the_greeting(caller):
    assert await caller.interrupts("My order, please!", after_words=1) == "Hello!"
    await caller.hears("You have asked 1 times.")


async def test_a_bad_line(caller, line):
    line.degrade(seed=3, word_errors=0.3, split_prompts=1, delay_ms=400, pace=1.5)
    await caller.says("I want to know where my order is.")
    await caller.hears("Sorry, what? Sorry, what?")
    assert caller.said == ["I want to know where my order is."]
    assert any("the caller said: I want" in entry.text for entry in caller.dialogue.lines)


async def test_a_world(caller, line):
    line.is_at("2026-12-24 18:30 Europe/Berlin")
    line.database.is_away(20)
    await caller.says("Where is my order?")
    await caller.hears("Order 81")
    assert datetime.now(UTC).date().isoformat() == "2026-12-24"
    line.database.is_slow(0.2)
    await caller.says("bye")
    await caller.is_hung_up_on()


async def test_a_silence(caller, line):
    before = line.loop.skipped
    await caller.is_silent(12)
    await caller.hears("Are you still there?")
    await caller.is_silent(3600)
    await caller.is_hung_up_on()
    assert "I cannot hear you" in caller.heard[-1]
    assert line.loop.skipped - before > 25


async def test_a_handoff(caller, person):
    await caller.says("A person, please.")
    await caller.is_transferred(reason="asked", summary="wants a person")
    await caller.is_put_through()
    await person.hears("Wants a person.")
    await caller.says("My bike is broken.")
    await person.hears("My bike is broken.")
    await person.says("Bring it here.")
    await caller.hears("Bring it here.")
    await person.hangs_up()
    await caller.is_hung_up_on()


async def test_nobody_is_there(caller, person):
    person.is_("busy")
    await caller.says("A person, please.")
    await caller.hears("leave a message")


@pytest.mark.voice_app(handoff_then="agent")
async def test_the_agent_has_the_caller_again(caller, person):
    person.is_("busy")
    await caller.says("A person, please.")
    await caller.hears("none of my colleagues is free")
    assert (
        await caller.asks("My order?")
        == "Let me look that up. Order 81 leaves today. You have asked 1 times."
    )


async def test_two_callers_at_once(line):
    first, second = line.caller(), line.caller("+15550190002")
    await first.says("My order?")
    await second.says("My order?")
    await first.hears("asked 1 times")
    await second.hears("asked 1 times")


async def test_a_lost_line(caller):
    await caller.hears("Hello!")
    await caller.drops()
    await caller.hears("the line broke for a moment")
    await caller.says("My order?")
    await caller.hears("Order 81")
    await caller.drops()
    await caller.says("My order?")
    await caller.hears("asked 2 times")
    await caller.hangs_up()


@pytest.mark.voice_app(agent="chat")
async def test_tools(caller, model):
    model.calls("transfer_to_person", reason="billing", summary="Order 81.")
    await caller.says("My money, please.")
    await caller.is_transferred(reason="billing")
    run = await caller.tool_called("transfer_to_person", summary="Order 81.")
    assert run.arguments["reason"] == "billing"
    assert model.requests[0]["messages"][-1]["content"] == "My money, please."


@pytest.mark.voice_app(agent="chat")
async def test_a_delay(caller, model):
    model.says("Here I am.", delay=5)
    await caller.says("Hello?")
    await caller.hears("One moment, please.")
    await caller.hears("Here I am.")


@pytest.mark.voice_app(agent="chat")
async def test_a_fault(caller, model):
    model.fails(400)
    model.whenever("again", text="Now I can.")
    await caller.says("Hello?")
    await caller.hears("something went wrong")
    assert len(caller.agent_failures) == 1
    await caller.says("Once again.")
    await caller.hears("Now I can.")


async def asked(model):
    body = {"model": "m", "messages": [{"role": "user", "content": "Hi"}]}
    url = f"{model.base_url}/chat/completions"
    async with aiohttp.ClientSession() as http, http.post(url, json=body) as response:
        return response.status, await response.text()


async def test_a_tape(tmp_path, model):
    real = ScriptedModel()
    real.says("Recorded.")
    async with serve_model(real):
        model.replays(tmp_path / "tape.json", real=real.base_url)
        first = await asked(model)
    model.replays(tmp_path / "tape.json")
    assert await asked(model) == first
    assert "Recorded." in first[1]
    model.replays(tmp_path / "other.json")
    assert (await asked(model))[0] == 501
