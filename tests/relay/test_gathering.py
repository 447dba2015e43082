"""Words that nobody waits for gather, and leave together."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from support.relay_wire import Wire
from support.waiting import until
from voice_app import Agent, Call, Piece, Turn
from voice_app.settings import NumberSettings

GOODBYE = {"type": "websocket.disconnect", "code": 1000}
LONG = 500
"""Milliseconds; longer than a reply takes here."""
OPENING = "It takes some seconds to say this. "
WORDS = ["Now ", "come ", "many ", "words."]


def slowly(*pieces: Piece, until_set: asyncio.Event | None = None) -> Agent:
    """An agent whose pieces come in turns of the event loop of their own."""

    async def agent(call: Call, turn: Turn) -> AsyncIterator[Piece]:
        for piece in pieces:
            yield piece
            for _ in range(5):
                await asyncio.sleep(0)
        if until_set is not None:
            await until_set.wait()

    return agent


async def tokens_of(agent: Agent, gather_ms: int) -> list[str]:
    """What a whole reply leaves as, frame by frame; all frames but those of the words are errors."""
    wire = Wire(agent, NumberSettings(gather_ms=gather_ms))
    running = asyncio.create_task(wire.connection.run())
    wire.prompt("Tell me.")
    await until(lambda: wire.frames and wire.frames[-1]["last"], "the end of the reply")
    wire.incoming.put_nowait(GOODBYE)
    await running
    assert [frame["last"] for frame in wire.frames[:-1]] == [False] * (len(wire.frames) - 1)
    return [frame["token"] for frame in wire.frames]


@pytest.mark.parametrize(
    ("gather_ms", "pieces", "tokens"),
    [
        (LONG, [OPENING, *WORDS], [OPENING, "Now come many words."]),
        (0, [OPENING, *WORDS], [OPENING, *WORDS, ""]),
        # Not before a sentence is out, however much there is to say:
        (LONG, ["This has no end and ", *WORDS[:3]], ["This has no end and ", *WORDS[:3], ""]),
        # Not while there is little to say:
        (LONG, ["Yes. ", "Now. "], ["Yes. ", "Now. ", ""]),
    ],
)
async def test_words_gather_once_the_voice_has_enough_to_say(
    gather_ms: int, pieces: list[Piece], tokens: list[str]
) -> None:
    assert await tokens_of(slowly(*pieces), gather_ms) == tokens


async def test_words_leave_in_time_though_no_more_come() -> None:
    never = asyncio.Event()
    wire = Wire(slowly(OPENING, *WORDS, until_set=never), NumberSettings(gather_ms=1))
    running = asyncio.create_task(wire.connection.run())
    wire.prompt("Tell me.")
    await until(lambda: wire.spoken == OPENING + "".join(WORDS), "the words")
    wire.incoming.put_nowait(GOODBYE)
    await running


async def test_words_that_wait_for_those_that_gather_leave_though_these_have_left(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    said, goes_on, never = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def agent(call: Call, turn: Turn) -> AsyncIterator[Piece]:
        yield OPENING
        await asyncio.sleep(0.01)
        yield "These gather. "
        said.set()
        await goes_on.wait()
        yield "These wait for them."
        said.set()
        await never.wait()

    wire = Wire(agent, NumberSettings(gather_ms=LONG))
    running = asyncio.create_task(wire.connection.run())
    wire.prompt("Tell me.")
    await said.wait()
    wire.receive(type="info", name="agentSpeaking", value="on")  # now they are said, and not written
    await until(wire.incoming.empty, "Twilio's frame")
    said.clear()
    goes_on.set()
    await said.wait()
    assert wire.spoken == OPENING
    monkeypatch.setattr(wire.session, "may_gather", lambda now: False)  # the voice has caught up
    wire.connection.supervise("note", "Ring the bell.")  # something happens in which no words are taken
    for _ in range(5):
        await asyncio.sleep(0)
    assert wire.spoken.endswith("These wait for them.")
    wire.incoming.put_nowait(GOODBYE)
    await running


async def test_an_interruption_takes_back_what_has_gathered() -> None:
    said, never = asyncio.Event(), asyncio.Event()

    async def agent(call: Call, turn: Turn) -> AsyncIterator[Piece]:
        if turn.text != "Tell me.":
            yield "Yes?"
            return
        yield OPENING
        await asyncio.sleep(0.01)
        yield "Nobody hears this."
        said.set()
        await never.wait()

    wire = Wire(agent, NumberSettings(gather_ms=LONG))
    running = asyncio.create_task(wire.connection.run())
    wire.prompt("Tell me.")
    await said.wait()
    wire.receive(type="interrupt", utteranceUntilInterrupt="It takes", durationUntilInterruptMs=400)
    wire.prompt("Stop.")
    await until(lambda: "Yes?" in wire.spoken, "the answer")
    assert [frame["token"] for frame in wire.frames] == [OPENING, "", "Yes?"]
    wire.incoming.put_nowait(GOODBYE)
    await running


async def test_a_voice_that_fell_silent_within_a_reply_waits_for_no_word() -> None:
    goes_on, never = asyncio.Event(), asyncio.Event()

    async def agent(call: Call, turn: Turn) -> AsyncIterator[Piece]:
        yield OPENING
        await goes_on.wait()
        yield OPENING
        await asyncio.sleep(0.01)
        yield "At once. "
        await never.wait()

    wire = Wire(agent, NumberSettings(gather_ms=LONG))
    running = asyncio.create_task(wire.connection.run())
    wire.prompt("Tell me.")
    await until(lambda: wire.spoken, "the opening")
    wire.receive(type="info", name="agentSpeaking", value="on")
    wire.receive(type="info", name="agentSpeaking", value="off")
    await until(wire.incoming.empty, "Twilio's frames")
    goes_on.set()
    await until(lambda: wire.spoken.endswith("At once. "), "the words")
    assert [frame["token"] for frame in wire.frames] == [OPENING, OPENING, "At once. "]
    wire.incoming.put_nowait(GOODBYE)
    await running
