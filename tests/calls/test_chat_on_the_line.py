"""The agent `chat` on a real call, with a model behind a real socket."""

from __future__ import annotations

import json
from pathlib import Path

from support.commands import serving, voice_app
from voice_app.journal import events
from voice_app.testing import plugin
from voice_app.testing.caller import Caller
from voice_app.testing.model import ScriptedModel

model = plugin.model


async def test_a_model_talks_and_remembers_what_was_heard(caller: Caller, model: ScriptedModel) -> None:
    model.says("**We are** open from nine to six every day of the week.")
    model.says("At nine.")
    await caller.says("When are you open?")
    assert await caller.interrupts("When do you open?", after_words=4) == "We are open from"
    await caller.hears("At nine.")
    assert model.requests[1]["messages"][-3:] == [
        {"role": "user", "content": "When are you open?"},
        {"role": "assistant", "content": "We are open from"},
        {"role": "user", "content": "When do you open?"},
    ]


async def test_a_tool_hands_the_caller_over(caller: Caller, model: ScriptedModel) -> None:
    given = {"reason": "billing", "summary": "Wants a refund for order 81."}
    model.answers(text="One moment, please.", tools=[("transfer_to_person", given)])
    assert await caller.asks("I want my money back!") == "One moment, please."
    await caller.is_hung_up_on()
    handoff_data = caller.call.endings[0].handoff_data
    assert handoff_data is not None
    assert json.loads(handoff_data) == given


async def test_a_model_that_is_down_is_excused_and_then_the_call_is_handed_over(
    caller: Caller, model: ScriptedModel
) -> None:
    model.whenever("", status=401)
    for _ in range(2):
        assert await caller.asks("Hello?") == caller.line.settings.failure_line
    await caller.says("Hello?")
    await caller.is_transferred()
    await caller.is_hung_up_on()
    assert "agent-failed" in (caller.call.endings[0].handoff_data or "")
    failures = [event for event in caller.events if isinstance(event, events.Failed)]
    assert failures == [events.Failed("agent", "model: unauthorized")] * 3


async def test_a_terminal_talks_with_a_model(tmp_path: Path, model: ScriptedModel) -> None:
    model.says("Nine to six, Monday to Friday.")
    environment = {"VOICE_APP_AGENT": "chat", "VOICE_APP_MODEL": "test", "OPENAI_BASE_URL": model.base_url}
    async with serving(tmp_path, **environment) as base_url:
        result = await voice_app(
            tmp_path, "call", "--url", f"{base_url}/voice", "--say", "When are you open?", "--pace", "300"
        )
    assert result.code == 0, result.err
    assert "Nine to six" in result.out


async def test_chat_without_a_model_says_what_to_set(tmp_path: Path) -> None:
    result = await voice_app(tmp_path, "serve", VOICE_APP_AGENT="chat")
    assert result.code == 2
    assert "VOICE_APP_MODEL is missing" in result.err
