"""The shell around a session, on the event loop that the server runs on."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from yarl import URL

from support.driver import CALL
from support.relay_wire import Wire
from support.waiting import until
from voice_app import (
    Become,
    Call,
    EndCall,
    Keys,
    Piece,
    Play,
    SendDigits,
    Ssml,
    SwitchLanguage,
    Transfer,
    Turn,
)
from voice_app.agents.runner import MAX_PIECE, MAX_READY
from voice_app.calls import GIVEN_UP
from voice_app.calls.scripts import seconds_to_speak
from voice_app.journal import events
from voice_app.relay import connection
from voice_app.relay import session as session_module
from voice_app.settings import NumberSettings

GOODBYE = {"type": "websocket.disconnect", "code": 1000}


async def hands_over(call: Call, turn: Turn) -> AsyncIterator[Piece]:
    yield "I will put you through."
    yield Transfer("billing", "Wants a refund.")


async def test_a_caller_may_talk_over_the_words_of_a_handoff() -> None:
    wire = Wire(hands_over)
    running = asyncio.create_task(wire.connection.run())
    wire.prompt("Billing, please.")
    await until(lambda: wire.connection.leaving, "the transfer")
    wire.receive(type="interrupt", utteranceUntilInterrupt="I will", durationUntilInterruptMs=400)
    wire.receive(type="info", name="clientSpeaking", value="on")
    await until(lambda: "end" in wire.kinds, "the end of the session")
    wire.incoming.put_nowait(GOODBYE)
    await running


async def test_what_was_said_as_the_socket_was_given_up_is_kept_for_the_next_session() -> None:
    wire = Wire(hands_over)
    running = asyncio.create_task(wire.connection.run())
    await until(lambda: wire.session.id != "", "the session")
    wire.connection.close(GIVEN_UP, "Another server takes over.")
    wire.receive(type="prompt", voicePrompt="What are your", last=False)
    wire.incoming.put_nowait({"type": "websocket.receive", "text": "{"})
    wire.prompt("What are your hours?")
    wire.incoming.put_nowait(GOODBYE)
    await running
    kinds = [event for event in wire.events if isinstance(event, events.Prompted | events.Disconnected)]
    assert [type(event) for event in kinds] == [events.Disconnected, events.Prompted]
    assert kinds[1] == events.Prompted("What are your hours?", "en-US")
    assert wire.session.turns == 0


async def test_what_was_said_while_the_loop_was_blocked_is_kept_though_the_socket_is_given_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(session_module, "SECONDS_TO_HEAR_OUT", 0.5)
    wire = Wire(hands_over)
    running = asyncio.create_task(wire.connection.run())
    await until(lambda: wire.session.id != "", "the session")
    wire.connection.close(GIVEN_UP, "Another server takes over.")
    wire.prompt("What are your hours?")
    time.sleep(0.6)  # noqa: ASYNC251 - as an agent does that blocks
    await running
    assert [event.text for event in wire.events if isinstance(event, events.Prompted)] == [
        "What are your hours?"
    ]


async def test_a_deadline_that_is_due_at_once_can_be_moved() -> None:
    wire = Wire(hands_over, NumberSettings(silence_seconds=0.0001, silence_line="Hello?"))
    running = asyncio.create_task(wire.connection.run())
    for _ in range(20):
        wire.receive(type="info", name="clientSpeaking", value="off")
    await until(lambda: "Hello?" in wire.spoken, "the question")
    wire.incoming.put_nowait(GOODBYE)
    await running


class _Text(str):
    __slots__ = ()


UNFIT: list[Any] = [
    Play(URL("https://example.com/a.mp3")),  # type: ignore[arg-type]
    Play("https://example.com/a.mp3", loop="2"),  # type: ignore[arg-type]
    Play("https://example.com/a.mp3", loop=-1),
    Play("https://example.com/a.mp3", loop=True),
    SwitchLanguage(Path("en-US")),  # type: ignore[arg-type]
    SwitchLanguage(transcription=None),  # type: ignore[arg-type]
    SendDigits(123),  # type: ignore[arg-type]
    SendDigits("12 34"),
    SendDigits(""),
    Transfer(None),  # type: ignore[arg-type]
    Transfer("billing", {"order": 81}),  # type: ignore[arg-type]
    EndCall(ValueError("over")),  # type: ignore[arg-type]
    Ssml(b"<speak/>"),  # type: ignore[arg-type]
    b"bytes",
    None,
    42,
    Play,
]


@pytest.mark.parametrize("piece", UNFIT, ids=repr)
async def test_what_cannot_be_encoded_is_the_agents_failure(
    piece: Any, caplog: pytest.LogCaptureFixture
) -> None:
    async def agent(call: Call, turn: Turn) -> AsyncIterator[Piece]:
        if turn.text == "Do it.":
            yield piece
        yield "I am still here."

    wire = Wire(agent)
    running = asyncio.create_task(wire.connection.run())
    wire.prompt("Do it.")
    await until(lambda: wire.session.line.failure_line in wire.spoken, "the apology")
    wire.prompt("Hello?")
    await until(lambda: "I am still here." in wire.spoken, "an answer")
    wire.incoming.put_nowait(GOODBYE)
    await running
    assert [event for event in wire.events if isinstance(event, events.Failed)]
    assert "has to be" in caplog.text or "may hold" in caplog.text or "yields text or actions" in caplog.text


@pytest.mark.parametrize("text", ["Great \ud83d", "\udfffwords", "a\x00b\x1b[31mc\ud800"])
async def test_text_of_our_own_settings_is_repaired_too(text: str) -> None:
    async def fails(call: Call, turn: Turn) -> AsyncIterator[Piece]:
        raise RuntimeError
        yield ""

    line = NumberSettings()
    wire = Wire(fails, line.model_copy(update={"failure_line": text}))
    running = asyncio.create_task(wire.connection.run())
    wire.prompt("Hello?")
    await until(lambda: wire.spoken, "words")
    wire.incoming.put_nowait(GOODBYE)
    await running
    wire.spoken.encode()


async def test_text_of_a_kind_of_its_own_is_text() -> None:
    async def agent(call: Call, turn: Turn) -> AsyncIterator[Piece]:
        yield _Text("Hello.")

    wire = Wire(agent)
    running = asyncio.create_task(wire.connection.run())
    wire.prompt("Hello?")
    await until(lambda: wire.spoken == "Hello.", "the answer")
    wire.incoming.put_nowait(GOODBYE)
    await running


async def test_a_session_whose_writer_died_is_closed_and_logged(caplog: pytest.LogCaptureFixture) -> None:
    wire = Wire(hands_over)
    wire.breaks_on = "put you through"
    running = asyncio.create_task(wire.connection.run())
    wire.prompt("Billing, please.")
    await running
    assert wire.sent[-1] == {"type": "websocket.close", "code": 1011, "reason": "The server failed."}
    assert wire.events[-1] == events.Disconnected("VX1", 1011, told=True)
    assert f"call {CALL}: nothing can be written any more; the socket is closed" in caplog.text
    assert "the transport has a bug" in caplog.text


@pytest.mark.parametrize(
    ("prompts", "over"),
    [
        (["Billing, please."], "1 turns: the caller is handed over"),
        ([], "0 turns: the socket was closed (1000)"),
    ],
)
async def test_a_call_has_a_line_at_its_beginning_and_one_at_its_end(
    prompts: list[str], over: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "voice_app.relay")
    wire = Wire(hands_over)
    running = asyncio.create_task(wire.connection.run())
    for text in prompts:
        wire.prompt(text)
        await until(lambda: wire.connection.leaving, "the transfer")
    wire.incoming.put_nowait(GOODBYE)
    await running
    first, last = [record.message for record in caplog.records if record.levelno == logging.INFO]
    assert first == f"call {CALL}: the agent has the call"
    assert last == f"call {CALL}: session VX1 is over after 0 s and {over}"


async def endless(call: Call, turn: Turn) -> AsyncIterator[Piece]:
    while True:
        yield "and so on "


async def test_an_agent_that_never_ends_is_asked_for_no_more_than_the_voice_can_say() -> None:
    wire = Wire(endless, NumberSettings(ahead_seconds=10))
    running = asyncio.create_task(wire.connection.run())
    wire.prompt("Tell me everything.")
    await until(lambda: wire.spoken, "words")
    at_most = seconds_to_speak("x" * MAX_READY) + 10
    first = seconds_to_speak(wire.spoken)
    assert 8 <= first <= at_most
    wire.receive(type="interrupt", utteranceUntilInterrupt="and", durationUntilInterruptMs=400)
    wire.prompt("Stop!")
    await until(lambda: seconds_to_speak(wire.spoken) > first + 7, "the next reply")
    wire.incoming.put_nowait(GOODBYE)
    await running


async def test_a_text_that_is_too_long_is_spoken_in_parts() -> None:
    async def agent(call: Call, turn: Turn) -> AsyncIterator[Piece]:
        yield "word " * 1_000_000

    wire = Wire(agent, NumberSettings(ahead_seconds=10))
    running = asyncio.create_task(wire.connection.run())
    wire.prompt("Tell me everything.")
    await until(lambda: wire.spoken, "words")
    assert len(wire.spoken) == MAX_PIECE
    wire.incoming.put_nowait(GOODBYE)
    await running


async def test_a_peer_that_reads_nothing_loses_its_session(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(connection, "SECONDS_TO_TAKE_A_FRAME", 0.05)
    wire = Wire(hands_over)
    wire.takes_no_more = True
    wire.prompt("Billing, please.")
    await wire.connection.run()
    assert wire.events[-1] == events.Disconnected("VX1", 1011, told=True)
    assert f"call {CALL}: Twilio has read nothing for 0.05 s" in caplog.text


async def test_a_peer_that_is_quiet_for_long_keeps_its_session(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "SECONDS_TO_TAKE_A_FRAME", 0.001)
    wire = Wire(hands_over)
    running = asyncio.create_task(wire.connection.run())
    await asyncio.sleep(0.02)  # many looks
    wire.prompt("Billing, please.")
    await until(lambda: "put you through" in wire.spoken, "the reply")
    wire.incoming.put_nowait(GOODBYE)
    await running


class Prepared:
    """An agent that tells whether it was warmed."""

    def __init__(self, error: Exception | None = None) -> None:
        self.warmed: list[str] = []
        self.error = error
        self.keys = Keys(length=4)

    async def warm(self, call: Call) -> None:
        self.warmed.append(call.sid)
        if self.error is not None:
            raise self.error

    async def __call__(self, call: Call, turn: Turn) -> AsyncIterator[Piece]:
        yield f"Billing, {turn.kind}, keys of {call.keys.length}."


async def becomes_billing(call: Call, turn: Turn) -> AsyncIterator[Piece]:
    yield Become("billing")


@pytest.mark.parametrize("error", [None, RuntimeError("no line to the model")])
async def test_an_agent_that_gets_the_call_is_warmed_and_asked(
    error: Exception | None, caplog: pytest.LogCaptureFixture
) -> None:
    billing = Prepared(error)
    wire = Wire(becomes_billing, agents={"billing": billing})
    running = asyncio.create_task(wire.connection.run())
    wire.prompt("My bill is wrong.")
    await until(lambda: wire.spoken == "Billing, resumed, keys of 4.", "the next agent")
    await until(lambda: billing.warmed == [CALL], "its warm()")
    wire.incoming.put_nowait(GOODBYE)
    await running
    assert ("warm() of the agent billing failed" in caplog.text) is (error is not None)
