"""Two calls of one person in the sandbox as it comes: the second one knows of the first."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.model import ScriptedModel
from support.sandbox import Sandbox, happened, recorded, sandbox
from voice_app.journal import events
from voice_app.sandbox.phone import PhoneCall
from voice_app.sandbox.phone.leg import Leg
from voice_app.twilio import Conversations, Intelligence


async def a_call(server: Sandbox, *lines: str) -> tuple[PhoneCall, list[str]]:
    """A call in which these lines are said, and what was answered."""
    async with server.call() as call:
        await call.reply()
        answers = [(await call.ask(line)).text for line in lines]
    assert call.problems == []
    return call, answers


async def test_what_the_first_call_left_is_known_in_the_second(tmp_path: Path) -> None:
    async with sandbox(tmp_path, agent="support.agents:knowing") as server:
        first, answers = await a_call(server, "I like tea.", "Note Has a dog.")
        assert answers[0].startswith("I know: nothing of ")
        assert answers[1].startswith("Noted: True.")
        await Conversations(server.api).close(first.conversation_id or "")
        _, (answer,) = await a_call(server, "Hello?")
    assert "Has a dog." in answer
    assert "Said: I like tea." in answer
    assert "The customer said: I like tea. Note Has a dog." in answer


async def test_what_twilio_tells_stands_in_the_journal_of_the_call(tmp_path: Path) -> None:
    async with sandbox(tmp_path, agent="support.agents:knowing") as server:
        call, _ = await a_call(server, "I want a refund.")
        await Conversations(server.api).close(call.conversation_id or "")
        await happened(tmp_path, call.sid, events.Analysed)
        (result,) = await Intelligence(server.api).results(conversation_id=call.conversation_id or "")
    found = [entry.event for entry in await recorded(tmp_path, call.sid)]
    told = {event.event_type for event in found if isinstance(event, events.Notified)}
    assert {"PARTICIPANT_ADDED", "COMMUNICATION_CREATED", "CONVERSATION_UPDATED"} <= told
    (analysed,) = [event for event in found if isinstance(event, events.Analysed)]
    assert (analysed.result_id, analysed.result) == (result.id, "The customer said: I want a refund.")
    assert analysed.trigger == "CONVERSATION_END"


async def test_a_model_is_told_what_is_known_and_notes_more(tmp_path: Path, model: ScriptedModel) -> None:
    async with (
        sandbox(tmp_path, agent="chat", model="test", openai_base_url=model.base_url) as server,
        server.call() as call,
    ):
        await call.reply()
        model.call(("call_1", "remember", '{"fact":"Has a dog called Rex."}'), text="I will note that.")
        model.say("Noted.")
        assert (await call.ask("Remember that I have a dog called Rex.")).text == "I will note that."
        assert (await call.reply()).text == "Noted."
        model.say("Hello again.")
        await a_call(server, "Do you know me?")
    assert model.requests[1]["messages"][-1]["content"] == "noted"
    assert "Has a dog called Rex." in model.requests[2]["messages"][0]["content"]


async def test_without_an_orchestrator_a_model_cannot_note_anything(
    tmp_path: Path, model: ScriptedModel
) -> None:
    model.say("Hello.")
    async with sandbox(
        tmp_path, agent="chat", model="test", openai_base_url=model.base_url, memory_seconds=0
    ) as server:
        await a_call(server, "Hello?")
    names = {item["function"]["name"] for item in model.requests[0]["tools"]}
    assert "remember" not in names
    assert "end_call" in names


@pytest.mark.parametrize(
    ("verdict", "changes", "knows"),
    [
        ("TN-Validation-Passed-A", {}, True),
        ("No-TN-Validation", {}, True),
        ("TN-Validation-Failed-C", {}, False),
        ("TN-Validation-Failed-C", {"memory_unverified": True}, True),
    ],
)
async def test_who_shows_a_number_that_failed_its_attestation_gets_nobodys_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, verdict: str, changes: dict[str, bool], knows: bool
) -> None:
    form = Leg.form
    async with sandbox(tmp_path, agent="support.agents:knowing", **changes) as server:
        first, _ = await a_call(server, "Note Has a dog.")
        await Conversations(server.api).close(first.conversation_id or "")
        monkeypatch.setattr(Leg, "form", lambda leg, *of: form(leg, *of) | {"StirVerstat": verdict})
        _, (answer,) = await a_call(server, "Hello?")
    assert ("Has a dog." in answer) is knows
