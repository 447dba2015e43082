"""An address with a slash at its end is the same address: people paste them so into Twilio's Console."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.sandbox import sandbox

CALL = "CA" + "7" * 32


async def test_a_call_is_answered_and_held_with_a_slash_at_the_end(tmp_path: Path) -> None:
    async with sandbox(tmp_path) as server:
        origin = server.settings.origin
        async with server.phone.call(f"{origin}/voice/", status_url=f"{origin}/voice/status/") as call:
            await call.reply()
            assert "Mill Lane" in (await call.ask("Where are you?")).text
    assert call.problems == []


@pytest.mark.parametrize(
    "path",
    [
        "/voice",
        "/voice/fallback",
        "/voice/relay-ended",
        "/handoff/dialed/1",
        "/handoff/recorded",
        "/handoff/wait",
    ],
)
async def test_every_webhook_answers_with_it_and_without(tmp_path: Path, path: str) -> None:
    async with sandbox(tmp_path) as server:
        answers = [
            await server.post(written, CallSid=CALL, CallStatus="completed") for written in (path, f"{path}/")
        ]
        assert [answer.status for answer in answers] == [200, 200]
        async with server.http.post(f"{server.base_url}{path}/", data={"CallSid": CALL}) as refused:
            assert refused.status == 403
