"""A call that somebody pays twice for is seen while it runs, and never hurt by it."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path
from typing import Any

import pytest

from support.sandbox import Sandbox, recorded, sandbox
from voice_app.journal.events import Conversed, Failed
from voice_app.telemetry import metrics
from voice_app.twilio import Configurations

WORDS = "Hi, what are your opening hours please?"


async def capture(server: Sandbox, **fields: Any) -> str:
    """Another configuration of the account has a VOICE rule for our number."""
    named = await Configurations(server.api).fetch(server.settings.conversation_configuration or "")
    rule = {"from": "*", "to": server.settings.phone_number, "metadata": {"callType": "PSTN"}}
    channels = {"VOICE": {"captureRules": [rule]}}
    if fields.pop("named", False):
        await Configurations(server.api).update(named.id, {"channelSettings": channels})
        return named.id
    created = await Configurations(server.api).create(
        {
            "displayName": "people",
            "description": "",
            "conversationGroupingType": named.grouping,
            "memoryStoreId": named.memory_store_id,
            "channelSettings": channels,
        }
    )
    return created.id


async def talk(folder: Path, *, named: bool) -> tuple[str, str, str, list[str]]:
    """A whole call beside a capture rule; gives the call, both configurations, and what was said of it."""
    async with sandbox(folder) as server:
        capturing = await capture(server, named=named)
        async with server.call() as call:
            await call.reply()
            assert "nine" in (await call.ask(WORDS)).text
            await call.ask("Goodbye.")
            await call.over.wait()
        assert call.problems == []
        ours = server.settings.conversation_configuration or ""
        alarms = await raised(folder, call.sid)
    return call.sid, ours, capturing, alarms


async def raised(folder: Path, call_sid: str) -> list[str]:
    """The rules in the call's journal, as soon as there is one."""
    async with asyncio.timeout(10):
        while True:
            failures = [entry.event for entry in await recorded(folder, call_sid)]
            rules = [item.what for item in failures if isinstance(item, Failed)]
            if rules:
                return rules
            await asyncio.sleep(0.02)


async def test_two_conversations_for_one_call_raise_stt201(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    count = metrics.CALL_ALARMS.labels("STT201")._value
    before = count.get()
    call_sid, ours, capturing, alarms = await talk(tmp_path, named=False)
    assert alarms == ["STT201"]
    assert capturing != ours
    lines = [line for line in caplog.messages if "STT201" in line]
    assert len(lines) == 1
    assert call_sid in lines[0]
    assert count.get() == before + 1


async def test_a_call_is_in_the_end_remembered_with_the_conversation_of_the_named_configuration(
    tmp_path: Path,
) -> None:
    call_sid, ours, _, _ = await talk(tmp_path, named=False)
    found = [entry.event for entry in await recorded(tmp_path, call_sid)]
    assert [event.configuration_id for event in found if isinstance(event, Conversed)][-1] == ours


async def test_two_engines_in_one_conversation_raise_stt202(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    call_sid, _, _, alarms = await talk(tmp_path, named=True)
    assert alarms == ["STT202"]
    [line] = [line for line in caplog.messages if "STT202" in line]
    assert call_sid in line
    assert "opening hours" not in line
