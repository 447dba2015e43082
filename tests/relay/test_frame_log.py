"""Frames of sessions in the journal, over a real socket."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from support.sandbox import database, recorded, sandbox
from voice_app.calls.wire import DOTS
from voice_app.journal import Journal
from voice_app.journal.events import Event, Framed, WireFrame
from voice_app.relay.frame_log import FRAMES_OF_A_BATCH, FrameLog


async def frames_of(folder: Path, call_sid: str) -> list[tuple[bool, dict[str, Any]]]:
    events = [entry.event for entry in await recorded(folder, call_sid)]
    kept = [frame for event in events if isinstance(event, Framed) for frame in event.frames]
    return [(frame.sent, json.loads(frame.text)) for frame in kept]


async def talk(folder: Path, words: str, **changes: Any) -> tuple[str, str]:
    """A call on which this is said: its SID, and the answer."""
    async with sandbox(folder, **changes) as server, server.call(caller="+15550190001") as call:
        await call.reply()
        await call.say(words)
        return call.sid, (await call.reply()).text


async def test_what_went_over_the_socket_is_kept_in_order(tmp_path: Path) -> None:
    call_sid, answer = await talk(tmp_path, "What are your hours?", keep_frames=500)
    frames = await frames_of(tmp_path, call_sid)
    assert frames[0][1]["type"] == "setup"
    prompt = next(place for place, (_, frame) in enumerate(frames) if frame["type"] == "prompt")
    spoken = [frame["token"] for sent, frame in frames[prompt:] if sent and frame["type"] == "text"]
    assert "".join(spoken) == answer
    assert [sent for sent, frame in frames if frame["type"] in ("setup", "prompt")] == [False, False]


@pytest.mark.parametrize("wanted", [0, 2])
async def test_of_a_session_no_more_is_kept_than_is_wanted(tmp_path: Path, wanted: int) -> None:
    call_sid, _ = await talk(tmp_path, "What are your hours?", keep_frames=wanted)
    assert len(await frames_of(tmp_path, call_sid)) == wanted


async def test_who_is_forgotten_leaves_neither_documents_nor_frames(tmp_path: Path) -> None:
    call_sid, _ = await talk(tmp_path, "My word is xylophone.", keep_frames=500)
    assert await frames_of(tmp_path, call_sid)
    async with Journal(database(tmp_path)) as journal:
        await journal.forget("+15550190001")
    left = b"".join(path.read_bytes() for path in tmp_path.glob("journal.db*"))
    assert b"xylophone" not in left
    assert b"ConversationRelay" not in left


async def test_frames_are_written_together_and_secrets_are_dots() -> None:
    written: list[Event] = []
    log = FrameLog(10_000, written.append)
    log.received('{"type":"dtmf","digit":"4"}', secret=True)
    log.sent(f'{{"type":"text","token":"{number}"}}' for number in range(FRAMES_OF_A_BATCH))
    assert [len(event.frames) for event in written if isinstance(event, Framed)] == [FRAMES_OF_A_BATCH]
    log.close()
    await asyncio.sleep(0)
    [first, last] = [event for event in written if isinstance(event, Framed)]
    assert json.loads(first.frames[0].text)["digit"] == DOTS
    assert [type(frame) for frame in last.frames] == [WireFrame]
