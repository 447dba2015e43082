"""The agent `chat` on a real call, with a model behind a real socket."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from support.commands import serving, voice_app
from support.model import Answer, ScriptedModel
from support.sandbox import recorded, sandbox
from voice_app.journal import events

REFUSED = Answer([b'{"error":{"message":"Incorrect API key"}}'], 401, {"Content-Type": "application/json"})


def chat(model: ScriptedModel) -> dict[str, Any]:
    return {"agent": "chat", "model": "test", "openai_base_url": model.base_url}


async def test_a_model_talks_and_remembers_what_was_heard(tmp_path: Path, model: ScriptedModel) -> None:
    model.say("**We are** open ", "from nine ", "to six every day ", "of the week.")
    model.say("At nine.")
    async with sandbox(tmp_path, **chat(model)) as server, server.call() as call:
        await call.reply()
        await call.say("When are you open?")
        heard = await call.interrupt("When do you open?", after_words=4)
        assert heard.text == "We are open from"
        assert (await call.reply()).text == "At nine."
    assert call.problems == []
    assert model.requests[1]["messages"][-3:] == [
        {"role": "user", "content": "When are you open?"},
        {"role": "assistant", "content": "We are open from"},
        {"role": "user", "content": "When do you open?"},
    ]
    assert model.warmed == 1


async def test_a_tool_hands_the_caller_over(tmp_path: Path, model: ScriptedModel) -> None:
    arguments = '{"reason":"billing","summary":"Wants a refund for order 81."}'
    model.call(("call_1", "transfer_to_person", arguments), text="One moment, please.")
    async with sandbox(tmp_path, **chat(model)) as server, server.call() as call:
        await call.reply()
        assert (await call.ask("I want my money back!")).text == "One moment, please."
        await call.over.wait()
    assert call.endings[0].handoff_data == arguments


async def test_a_model_that_is_down_is_excused_and_then_the_call_is_handed_over(
    tmp_path: Path, model: ScriptedModel
) -> None:
    async with sandbox(tmp_path, **chat(model)) as server, server.call() as call:
        await call.reply()
        for _ in range(2):
            model.answers.append(REFUSED)
            assert (await call.ask("Hello?")).text == server.settings.failure_line
        model.answers.append(REFUSED)
        await call.say("Hello?")
        await call.over.wait()
    assert call.endings[0].handoff_data is not None
    assert "agent-failed" in call.endings[0].handoff_data
    failures = [
        entry.event for entry in await recorded(tmp_path, call.sid) if isinstance(entry.event, events.Failed)
    ]
    assert failures == [events.Failed("agent", "model: unauthorized")] * 3


async def test_a_terminal_talks_with_a_model(tmp_path: Path, model: ScriptedModel) -> None:
    model.say("Nine to six, Monday to Friday.")
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
