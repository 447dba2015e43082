"""Twilio as it comes back to a lost socket: what it keeps, and when it gives up."""

from __future__ import annotations

from pathlib import Path

from support.sandbox import sandbox
from voice_app.sandbox.phone import PhoneEvent
from voice_app.sandbox.phone.frames import MOST_EVENTS, Reconnecting, UndeliveredEvents


def test_events_are_kept_in_order_up_to_a_bound() -> None:
    backlog = UndeliveredEvents()
    for number in range(MOST_EVENTS + 3):
        backlog.add({"number": number})
    kept = []
    while backlog:
        kept.append(backlog.first["number"])
        backlog.drop_first()
    assert kept == list(range(3, MOST_EVENTS + 3))
    assert backlog.lost == 3


async def test_twilio_tries_again_until_the_server_is_there(tmp_path: Path) -> None:
    happened: list[str] = []

    def watch(happening: PhoneEvent) -> None:
        happened.append(happening.kind)

    async with sandbox(tmp_path, agent="support.agents:echo", reconnect=True) as server:
        server.phone.reconnecting = Reconnecting(every_seconds=0.01)
        async with server.call(watch=watch) as call:
            await call.reply()
            here = server.network.base
            server.network.base = "http://127.0.0.1:9"
            await call.drop()
            await call.say("Hello?")
            assert "came-back" not in happened
            server.network.base = here
            assert (await call.reply()).text.startswith("You said: Hello?")
    assert "came-back" in happened
    assert call.problems == []


async def test_a_caller_who_hangs_up_is_not_come_back_for(tmp_path: Path) -> None:
    async with sandbox(tmp_path, reconnect=True) as server:
        server.phone.reconnecting = Reconnecting(every_seconds=60.0)
        async with server.call() as call:
            await call.reply()
            await call.drop()
            await call.hang_up()
    assert [ending.status for ending in call.endings] == ["completed"]
    assert call.problems == []


async def test_where_twilio_does_not_offer_it_the_action_is_asked(tmp_path: Path) -> None:
    async with sandbox(tmp_path, reconnect=True) as server:
        server.phone.reconnecting = None
        async with server.call() as call:
            await call.reply()
            assert not await call.drop()
            assert (await call.reply()).text == server.settings.resume_greeting
    assert call.endings[0].status == "failed"
