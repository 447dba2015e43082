"""No request walks a call's events more than once: it folds them into one `CallState` and asks that."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support.sandbox import Sandbox, database, sandbox
from voice_app.calls import CallState
from voice_app.journal import Entry, Journal
from voice_app.journal.events import (
    Acted,
    Conversed,
    Event,
    HandedOff,
    Opened,
    Prompted,
    Replied,
    Served,
)
from voice_app.sandbox.phone import read

CALL = "CA" + "7" * 32
BEGUN: tuple[Event, ...] = (
    Opened("+15550199999", "+15550100001", "inbound"),
    Served("answer.xml", "answer", "Hello!", "relay"),
    Conversed("conv_conversation_1"),
    Replied(0, "VX1", "Hello!", True),
    Prompted("Hi"),
)
ENDED = {"SessionStatus": "ended", "SessionId": "VX1"}
HANDOFF = json.dumps({"reason": "billing", "summary": "A refund."})


class Walks:
    """Counts how often the events of calls are gone through, and how often each is folded."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.taken: Counter[str] = Counter()
        self.lists: list[_Walked] = []
        read, take = Journal.events, CallState.take

        async def events(journal: Journal, call_sid: str) -> list[Entry]:
            self.lists.append(_Walked(await read(journal, call_sid)))
            return self.lists[-1]

        def counted(state: CallState, entry: Entry) -> None:
            self.taken[entry.id] += 1
            take(state, entry)

        monkeypatch.setattr(Journal, "events", events)
        monkeypatch.setattr(CallState, "take", counted)

    def clear(self) -> None:
        self.taken.clear()
        self.lists.clear()

    @property
    def folds(self) -> int:
        """How often the event that was folded most often was folded."""
        return max(self.taken.values(), default=0)

    @property
    def walks(self) -> int:
        return sum(read.walks for read in self.lists)


class _Walked(list[Entry]):
    walks = 0

    def __iter__(self) -> Iterator[Entry]:
        self.walks += 1
        return super().__iter__()

    def __reversed__(self) -> Iterator[Entry]:
        self.walks += 1
        return super().__reversed__()


@pytest.fixture
def walks(monkeypatch: pytest.MonkeyPatch) -> Walks:
    return Walks(monkeypatch)


async def told(folder: Path, *events: Event) -> None:
    """Write the journal of a call before there is a server."""
    async with Journal(database(folder)) as journal:
        for event in events:
            journal.write(CALL, event)


async def post(server: Sandbox, path: str, **form: str) -> str:
    caller = {"CallSid": CALL, "From": "+15550199999", "To": "+15550100001", "CallStatus": "in-progress"}
    response = await server.post(path, **{**caller, **form})
    assert response.status in (200, 204)
    return await response.text()


RANG = HandedOff("requested", "billing"), HandedOff("rang", target="+15550100010", attempt=1)
ROWS: tuple[tuple[str, dict[str, str], tuple[Event, ...], int], ...] = (
    ("/voice", {}, (), 0),
    ("/voice/relay-ended", {**ENDED, "SessionStatus": "failed"}, BEGUN, 1),
    ("/voice/relay-ended", ENDED, BEGUN, 1),
    ("/voice/relay-ended", {**ENDED, "HandoffData": HANDOFF}, BEGUN, 1),
    ("/voice/resume", {}, BEGUN, 1),
    ("/voice/resume", {}, (*BEGUN, Acted("transfer", "billing")), 1),
    ("/voice/fallback", {"ErrorCode": "11200"}, BEGUN, 1),
    ("/handoff/dialed/1", {"DialCallStatus": "no-answer"}, (*BEGUN, *RANG), 1),
    ("/handoff/dialed/1", {"DialCallStatus": "completed"}, (*BEGUN, *RANG), 1),
    ("/handoff/pulled", {}, (*BEGUN, *RANG[:1]), 1),
    ("/voice/status", {"CallStatus": "completed"}, (*BEGUN, *RANG), 1),
)


@pytest.mark.parametrize(
    ("path", "form", "before", "most"),
    ROWS,
)
async def test_a_webhook_walks_the_events_of_its_call_at_most_once(
    tmp_path: Path, walks: Walks, path: str, form: dict[str, str], before: tuple[Event, ...], most: int
) -> None:
    await told(tmp_path, *before)
    async with sandbox(tmp_path, handoff_to=("+15550100010", "+15550100011")) as server:
        walks.clear()
        await post(server, path, **form)
        assert (walks.walks, walks.folds) == (most, most)


async def test_a_socket_folds_each_event_once_also_if_twilio_comes_back_to_it(
    tmp_path: Path, walks: Walks
) -> None:
    async with sandbox(tmp_path, agent="support.agents:echo", reconnect=True) as server:
        relay = read(await post(server, "/voice")).verbs[0].child("ConversationRelay")
        assert relay is not None
        walks.clear()
        setup: dict[str, Any] = {"type": "setup", "callSid": CALL, "sessionId": "VX1"}
        setup["accountSid"] = server.phone.account_sid
        async with await server.network.connect(relay.attributes["url"]) as socket:
            assert (walks.walks, walks.folds) == (1, 1)
            await socket.send(json.dumps(setup))
            await socket.send(json.dumps({"type": "prompt", "voicePrompt": "Hi.", "last": True}))
            while not json.loads(await socket.recv())["last"]:
                pass
            walks.clear()
            async with await server.network.connect(relay.attributes["url"]):
                assert walks.folds == 1
                assert len(walks.lists) == 2  # before the first socket is closed, and after
