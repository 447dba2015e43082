"""Whoever calls, a person can be reached: from every sort of address, to phones, conferences and WhatsApp.

The phone dials as Twilio does: from a number of the call or of the account, or not at all (13214).
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from support.sandbox import happened, recorded, sandbox
from voice_app.calls import CallState, HandoffState
from voice_app.journal import events
from voice_app.sandbox.phone import Person, PhoneCall

OURS = "+15550100001"
WISH = "I want to speak to a person."
WITHHELD = "A call from a withheld number."
CALLERS = [
    ("+15550199999", "+15550199999", "A call from 1 5 5 5 0 1 9 9 9 9 9."),
    ("client:anna", OURS, "A call from anna."),
    ("sip:anna@example.com", OURS, "A call from anna."),
    ("anonymous", OURS, WITHHELD),
    ("Restricted", OURS, WITHHELD),
    ("Unavailable", OURS, WITHHELD),
    ("+266696687", OURS, WITHHELD),
    ("+7378742833", OURS, WITHHELD),
    ("whatsapp:+15550199999", OURS, "A call from 1 5 5 5 0 1 9 9 9 9 9."),
]


def anna() -> Person:
    return Person("answers", says=["Anna here."])


async def _until_anna(call: PhoneCall) -> None:
    while "Anna here." not in (await call.reply()).text:
        pass


@pytest.mark.parametrize(("caller", "caller_id", "whispered"), CALLERS)
async def test_a_phone_is_rung_from_a_number_that_twilio_takes(
    tmp_path: Path, caller: str, caller_id: str, whispered: str
) -> None:
    person = anna()
    async with (
        sandbox(tmp_path, handoff_to=("+15550100010",)) as server,
        server.call(person, caller=caller) as call,
    ):
        await call.reply()
        await call.ask(WISH)
        await _until_anna(call)
    assert call.problems == []
    (document,) = [document for document in call.documents if "<Dial" in document]
    assert f'callerId="{caller_id}"' in document
    assert person.heard[0].startswith(whispered)


@pytest.mark.parametrize(
    ("caller", "whispered"), [("client:anna", "A call from anna."), ("+266696687", WITHHELD)]
)
async def test_a_conference_is_joined_from_our_number(tmp_path: Path, caller: str, whispered: str) -> None:
    person = anna()
    async with (
        sandbox(tmp_path, handoff_to=("conference:+15550100010",)) as server,
        server.call(person, caller=caller) as call,
    ):
        await call.reply()
        await call.ask(WISH)
        await _until_anna(call)
    assert call.problems == []
    assert person.heard[0].startswith(whispered)


@pytest.mark.parametrize(
    ("number", "to"),
    [
        ("sip:desk@sip.example.com", "+15550100010"),
        ("whatsapp:+15550100008", "+15550100010"),
        ("client:line", "+15550100010"),
        ("sip:desk@sip.example.com", "conference:+15550100010"),
    ],
)
async def test_a_call_that_came_to_no_number_is_handed_over_from_the_account_s(
    tmp_path: Path, number: str, to: str
) -> None:
    person = anna()
    async with sandbox(tmp_path, handoff_to=(to,)) as server:
        server.phone.number, server.phone.verified = number, frozenset({OURS})
        async with server.call(person, caller="client:anna") as call:
            await call.reply()
            await call.ask(WISH)
            await _until_anna(call)
    assert call.problems == []


@pytest.mark.parametrize("caller", ["+15550199999", "anonymous", "whatsapp:+15550199999"])
async def test_somebody_on_whatsapp_is_rung_from_our_sender(tmp_path: Path, caller: str) -> None:
    person = anna()
    async with (
        sandbox(tmp_path, handoff_to=("whatsapp:+15550100010",)) as server,
        server.call(person, caller=caller) as call,
    ):
        await call.reply()
        await call.ask(WISH)
        await _until_anna(call)
    assert call.problems == []
    (document,) = [document for document in call.documents if "<Dial" in document]
    assert f'callerId="whatsapp:{OURS}"' in document
    assert re.search(r'<WhatsApp url="[^"]+">\+15550100010</WhatsApp>', document)
    assert WISH in person.heard[0]


async def test_a_withheld_number_is_no_digits_for_a_task_either(tmp_path: Path) -> None:
    workflow = "workflow:WW" + "0" * 32
    async with (
        sandbox(tmp_path, handoff_to=(workflow,)) as server,
        server.call(anna(), caller="+266696687") as call,
    ):
        await call.reply()
        await call.ask(WISH)
        await _until_anna(call)
    assert call.tasks[0].attributes["from"] == "a withheld number"


@pytest.mark.parametrize(
    ("caller", "offered"),
    [("+15550199999", True), ("client:anna", False), ("Restricted", False), ("+266696687", False)],
)
async def test_only_who_shows_a_number_is_offered_a_call_back(
    tmp_path: Path, caller: str, offered: bool
) -> None:
    changes: dict[str, Any] = {"max_calls": 1, "busy": "message", "call_back": True}
    async with sandbox(tmp_path, **changes) as server, server.call() as first:
        await first.reply()
        async with server.call(caller=caller) as call:
            heard = (await call.reply()).text
            assert ("call you back" in heard) == offered


async def test_who_called_a_sip_address_is_called_back_from_our_number(tmp_path: Path) -> None:
    changes: dict[str, Any] = {"max_calls": 1, "busy": "message", "call_back": True}
    async with sandbox(tmp_path, **changes) as server, server.call() as first:
        await first.reply()
        server.phone.number = "sip:desk@sip.example.com"
        async with server.call() as call:
            await call.press("1")
            await call.over.wait()
    (wanted,) = CallState.of(await recorded(tmp_path, call.sid)).events(events.CallbackWanted)
    assert (wanted.to, wanted.from_) == ("+15550199999", OURS)


class TestADialThatFails:
    """What Twilio says of it is in the log, in the journal and in the report."""

    async def test_its_code_and_message_are_written_down_once(
        self, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        error = {"ErrorCode": "13214", "ErrorMessage": "Dial: Invalid callerId value"}
        async with (
            # It rings for long, so that the phone does not tell how it ended before we do.
            sandbox(tmp_path, pace=20.0, handoff_to=("+15550100010", "+15550100011")) as server,
            server.call(Person("no-answer")) as call,
        ):
            await call.reply()
            await call.ask(WISH)
            await happened(tmp_path, call.sid, events.HandedOff, times=2)
            for _ in range(2):  # Twilio repeats itself
                response = await server.post(
                    "/handoff/dialed/1",
                    CallSid=call.sid,
                    CallStatus="in-progress",
                    DialCallStatus="failed",
                    **error,
                )
                assert "+15550100011" in await response.text()
        told = "attempt 1: 13214 Dial: Invalid callerId value"
        failed = CallState.of(await recorded(tmp_path, call.sid)).events(events.Failed)
        assert failed == [events.Failed("dial", told)]
        assert "attempt 1 to reach a person failed: 13214 Dial: Invalid callerId value" in caplog.text

    @pytest.mark.parametrize("status", ["busy", "no-answer"])
    async def test_nobody_there_is_no_failure(self, tmp_path: Path, status: Any) -> None:
        async with (
            sandbox(tmp_path, handoff_to=("+15550100010",)) as server,
            server.call(Person(status)) as call,
        ):
            await call.reply()
            await call.ask(WISH)
            assert "leave a message" in (await call.reply()).text
        assert CallState.of(await recorded(tmp_path, call.sid)).events(events.Failed) == []

    async def test_the_phone_refuses_a_dial_as_twilio_does(self, tmp_path: Path) -> None:
        templates = tmp_path / "templates"
        templates.mkdir()
        (templates / "handoff.xml").write_text(
            '<Response><Dial action="{{ action_url }}"><Number>+15550100010</Number></Dial></Response>'
        )
        async with (
            sandbox(tmp_path, handoff_to=("+15550100010",), templates=templates) as server,
            server.call(anna(), caller="client:anna") as call,
        ):
            await call.reply()
            await call.ask(WISH)
            assert "leave a message" in (await call.reply()).text
        state = CallState.of(await recorded(tmp_path, call.sid))
        (failed,) = state.events(events.Failed)
        assert failed.what == "dial"
        assert failed.detail.startswith("attempt 1: 13214 ")
        assert len(call.problems) == 1

    async def test_a_conference_without_a_number_to_ring_from_goes_on(self, tmp_path: Path) -> None:
        changes: dict[str, Any] = {"handoff_to": ("conference:+15550100010",)}
        async with sandbox(tmp_path, **changes) as server:
            server.settings.phone_number = None
            server.phone.number = "sip:desk@sip.example.com"
            async with server.call(anna()) as call:
                await call.reply()
                await call.ask(WISH)
                while "leave a message" not in (await call.reply()).text:
                    pass
        state = CallState.of(await recorded(tmp_path, call.sid))
        assert "TWILIO_PHONE_NUMBER" in state.events(events.Failed)[0].detail
        assert state.handoff.state is HandoffState.OVER
