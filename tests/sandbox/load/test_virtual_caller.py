"""The caller without a voice, against servers that behave and servers that do not."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from websockets.asyncio.server import ServerConnection, serve

from support.waiting import until
from voice_app.sandbox.load import virtual_caller as module
from voice_app.sandbox.load.raw_socket import RawSocketError, open_socket
from voice_app.sandbox.load.target import LoadError, LoadTarget
from voice_app.sandbox.load.virtual_caller import TurnTally, VirtualCaller, answer
from voice_app.sandbox.network import Network
from voice_app.sandbox.phone.twiml import TwimlVerb

Handler = Callable[[ServerConnection], Awaitable[None]]

TARGET = LoadTarget(
    network=Network("http://127.0.0.1:1", "https://voice.example.com", "secret"),
    webhook="https://voice.example.com/voice",
    account_sid="AC" + "1" * 32,
)


@asynccontextmanager
async def talking(handler: Handler, events: str = "") -> AsyncIterator[VirtualCaller]:
    """A call whose session is served by ``handler``."""
    async with serve(handler, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        relay = TwimlVerb("ConversationRelay", {"url": "wss://voice.example.com/relay", "events": events})
        connect = TwimlVerb("Connect", {"action": "/voice/relay-ended"}, children=[relay])
        line = await open_socket(f"ws://127.0.0.1:{port}/relay", {"X-Twilio-Signature": "signature"})
        talker = VirtualCaller(TARGET, "CA1", connect, line)
        yield talker
        await talker.hang_up()


async def frames(socket: ServerConnection) -> AsyncIterator[dict[str, Any]]:
    async for message in socket:
        yield json.loads(message)


async def say(socket: ServerConnection, *tokens: str, last: bool = False) -> None:
    for token in tokens:
        await socket.send(json.dumps({"type": "text", "token": token, "last": False}))
    if last:
        await socket.send(json.dumps({"type": "text", "token": "", "last": True}))


async def test_a_reply_is_taken_in_until_its_last() -> None:
    async def answers(socket: ServerConnection) -> None:
        async for frame in frames(socket):
            if frame["type"] == "prompt":
                assert frame["voicePrompt"].startswith("Turn ")
                await say(socket, "one ", "two ", "three ", last=True)

    async with talking(answers) as talker:
        tally = TurnTally()
        await talker.ask(tally)
        await talker.ask(tally)
        assert talker.usual_frames == 3
    assert (tally.turns, tally.unanswered, tally.interrupts) == (2, 0, 0)
    assert len(tally.first_token_ms) == 2
    assert min(tally.first_token_ms) > 0


async def test_words_that_were_sent_before_the_server_heard_of_the_interruption_are_not_stale() -> None:
    async def answers(socket: ServerConnection) -> None:
        async for frame in frames(socket):
            if frame["type"] == "prompt":
                await say(socket, "r1w1 ", "r1w2 ", "r1w3 ", "r1w4 ")

    async with talking(answers) as talker:
        tally = TurnTally()
        await talker.ask(tally, cut_after=2)
    assert (tally.interrupts, tally.under_way, tally.stale) == (1, 2, 0)


@pytest.mark.parametrize("words", [("r1w2 ", "r1w3 "), ("more ", "more ")])
async def test_words_that_are_sent_although_the_server_has_heard_of_it_are_stale(
    words: tuple[str, str],
) -> None:
    """Whether or not the words name the turn that they answer."""
    may_go_on = asyncio.Event()

    async def goes_on(socket: ServerConnection) -> None:
        async for frame in frames(socket):
            if frame["type"] == "prompt":
                await say(socket, "r1w1 ")
            elif frame["type"] == "interrupt":
                await may_go_on.wait()
                await say(socket, *words)

    async with talking(goes_on) as talker:
        tally = TurnTally()
        await talker.ask(tally, cut_after=1)
        assert (tally.under_way, tally.stale) == (0, 0)
        may_go_on.set()
        await until(lambda: tally.stale == 2)
    assert (tally.under_way, tally.stale) == (0, 2)


async def test_words_of_a_cut_reply_are_told_from_those_of_the_next_one() -> None:
    async def mixes(socket: ServerConnection) -> None:
        async for frame in frames(socket):
            if frame.get("voicePrompt", "").startswith("Turn 1"):
                await say(socket, "r1w1 ")
            elif frame["type"] == "prompt":
                await say(socket, "r1w2 ", "r2w1 ", last=True)

    async with talking(mixes) as talker:
        tally = TurnTally()
        await talker.ask(tally, cut_after=1)
        await talker.ask(tally)
    assert (tally.stale, tally.unanswered, len(tally.first_token_ms)) == (1, 0, 2)


async def test_the_last_of_a_cut_reply_does_not_end_the_next_one() -> None:
    async def closes_late(socket: ServerConnection) -> None:
        async for frame in frames(socket):
            if frame.get("voicePrompt", "").startswith("Turn 1"):
                await say(socket, "r1w1 ")
            elif frame["type"] == "prompt":
                await say(socket, last=True)
                await say(socket, "r2w1 ", "r2w2 ", last=True)

    async with talking(closes_late) as talker:
        tally = TurnTally()
        await talker.ask(tally, cut_after=1)
        await talker.ask(tally)
        assert talker.usual_frames == 2


async def test_the_server_hears_of_playback_if_it_asked_for_that() -> None:
    heard: list[tuple[str, str]] = []

    async def listens(socket: ServerConnection) -> None:
        async for frame in frames(socket):
            if frame["type"] == "prompt":
                await say(socket, "one ", "two", last=True)
            elif frame["type"] == "info":
                heard.append((frame["name"], frame["value"]))

    async with talking(listens, events="speaker-events tokens-played") as talker:
        await talker.ask(TurnTally())
    assert heard == [("agentSpeaking", "on"), ("tokensPlayed", "one two"), ("agentSpeaking", "off")]


async def test_the_interruption_says_what_had_come_until_then() -> None:
    interrupts: list[dict[str, Any]] = []

    async def listens(socket: ServerConnection) -> None:
        async for frame in frames(socket):
            if frame["type"] == "prompt":
                await say(socket, "one ", "two ", "three ")
            elif frame["type"] == "interrupt":
                interrupts.append(frame)

    async with talking(listens) as talker:
        await talker.ask(TurnTally(), cut_after=2)
    assert [frame["utteranceUntilInterrupt"] for frame in interrupts] == ["one two"]


async def test_an_interruption_at_a_moment_says_what_a_voice_has_said_by_then() -> None:
    """Whether or not the reply is complete: a voice goes on long after the words have come."""
    interrupts: list[dict[str, Any]] = []

    async def listens(socket: ServerConnection) -> None:
        async for frame in frames(socket):
            if frame["type"] == "prompt":
                await say(socket, "one ", "two ", "three ", last=True)
            elif frame["type"] == "interrupt":
                interrupts.append(frame)

    async with talking(listens) as talker:
        tally = TurnTally()
        await talker.ask(tally, cut_seconds=0.01)
    said = [frame["utteranceUntilInterrupt"] for frame in interrupts]
    assert len(said) == 1
    assert "one two three".startswith(said[0])
    assert tally.words_ahead == [3 - len(said[0].split())]
    assert (tally.unanswered, tally.stale, tally.stop_ms) == (0, 0, [0.0])


async def test_the_time_to_a_stop_ends_with_the_last_word_that_came() -> None:
    async def goes_on(socket: ServerConnection) -> None:
        async for frame in frames(socket):
            if frame["type"] == "prompt":
                await say(socket, "r1w1 ")
            elif frame["type"] == "interrupt":
                await say(socket, "r1w2 ", "r1w3 ")

    async with talking(goes_on) as talker:
        tally = TurnTally()
        await talker.ask(tally, cut_after=1)
    assert tally.under_way == 2
    assert len(tally.stop_ms) == 1
    assert tally.stop_ms[0] > 0


@pytest.mark.parametrize(
    ("second", "wrong"),
    [(("r2w1 ", "r2w2 "), 0), (("r2w1 ",), 1), (("r1w1 ", "r1w2 "), 1), (("Hello ", "there. "), 0)],
)
async def test_a_reply_that_names_another_turn_or_lacks_words_is_wrong(
    second: tuple[str, ...], wrong: int
) -> None:
    replies = iter([("r1w1 ", "r1w2 "), second])

    async def answers(socket: ServerConnection) -> None:
        async for frame in frames(socket):
            if frame["type"] == "prompt":
                await say(socket, *next(replies), last=True)

    async with talking(answers) as talker:
        tally = TurnTally()
        await talker.ask(tally)
        await talker.ask(tally)
    assert (tally.unanswered, tally.wrong) == (0, wrong)


async def test_a_socket_that_breaks_leaves_the_turn_unanswered() -> None:
    async def breaks(socket: ServerConnection) -> None:
        async for frame in frames(socket):
            if frame["type"] == "prompt":
                await say(socket, "one ")
                return

    async with talking(breaks) as talker:
        tally = TurnTally()
        await talker.ask(tally)
        await talker.ask(tally)
    assert (tally.turns, tally.unanswered) == (2, 2)


async def test_a_reply_that_never_ends_leaves_the_turn_unanswered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PATIENCE_SECONDS", 0.05)

    async def is_silent(socket: ServerConnection) -> None:
        await socket.wait_closed()

    async with talking(is_silent) as talker:
        tally = TurnTally()
        await talker.ask(tally)
    assert tally.unanswered == 1


async def test_the_goodbye_is_the_request_of_the_action_url() -> None:
    async def listens(socket: ServerConnection) -> None:
        await socket.wait_closed()

    async with talking(listens) as talker:
        goodbye = talker.goodbye()
    assert goodbye is not None
    url, form = goodbye
    assert url == "https://voice.example.com/voice/relay-ended"
    assert (form["CallSid"], form["SessionStatus"], form["CallStatus"]) == ("CA1", "completed", "completed")


@pytest.mark.parametrize(
    ("twiml", "told"),
    [
        ("<Response><Say>We are full.</Say></Response>", "has no <ConversationRelay>.*We are full"),
        ("<Response", "is no TwiML"),
        (
            '<Response><Connect><ConversationRelay url="wss://voice.example.com/relay"/></Connect></Response>',
            "could not be opened",
        ),
    ],
)
async def test_an_answer_that_leads_nowhere_is_told(twiml: str, told: str) -> None:
    with pytest.raises(LoadError, match=told):
        await answer(TARGET, "CA1", twiml)


async def test_a_refused_handshake_is_told() -> None:
    def refuse(connection: ServerConnection, request: Any) -> Any:
        return connection.respond(403, "no")

    async def never(socket: ServerConnection) -> None:
        raise AssertionError

    async with serve(never, "127.0.0.1", 0, process_request=refuse) as server:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(RawSocketError, match=r"refused the WebSocket.*403"):
            await open_socket(f"ws://127.0.0.1:{port}/relay", {"X-Twilio-Signature": "wrong"})
