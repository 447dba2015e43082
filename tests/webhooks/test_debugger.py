"""Twilio's Debugger tells a running server what went wrong."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from support.commands import voice_app
from support.sandbox import Sandbox, database, happened, recorded, sandbox
from voice_app.followups import report_of
from voice_app.journal import Journal, events
from voice_app.telemetry import metrics

PATH = "/twilio/debugger"
CALL, STRANGER = "CA" + "7" * 32, "CA" + "8" * 32
THEN = "2026-01-01T00:00:00Z"
URL = "https://voice.example.com/relay/abcdefghijklmnopqrstuvwxyz012345?secret=1"


def payload(code: Any = "64102", call_sid: str = CALL, **fields: Any) -> dict[str, Any]:
    """As Twilio's guide shows it."""
    request = {"url": URL, "method": "POST", "headers": {}, "parameters": {"From": "+15550100077"}}
    return {
        "resource_sid": call_sid,
        "service_sid": None,
        "error_code": code,
        "more_info": {"Msg": "Unable to connect", "sourceComponent": "14100"},
        "webhook": {
            "type": "application/json",
            "request": request,
            "response": {"status_code": 502, "headers": {}, "body": "<html>"},
        },
    } | fields


async def report(server: Sandbox, told: Any, *, sid: str = "NO1", level: str = "Error") -> int:
    """The status of our answer to an entry of the Debugger."""
    raw = told if isinstance(told, str) else json.dumps(told)
    form = {"Sid": sid, "Level": level, "Timestamp": THEN, "PayloadType": "application/json", "Payload": raw}
    return (await server.post(PATH, **form)).status


async def open_call(server: Sandbox, folder: Path) -> None:
    fields = {"From": "+15550100002", "To": "+15550100001", "Direction": "inbound"}
    await server.post("/voice", CallSid=CALL, **fields)
    await happened(folder, CALL, events.Opened)


async def alerts(folder: Path, subject: str = CALL) -> list[events.Alerted]:
    found = [entry.event for entry in await recorded(folder, subject)]
    return [event for event in found if isinstance(event, events.Alerted)]


async def test_an_error_goes_to_the_journal_of_the_call_that_it_names(tmp_path: Path) -> None:
    async with sandbox(tmp_path) as server:
        await open_call(server, tmp_path)
        before = metrics.METRICS.sample("voice_app_twilio_alerts_total", code="64102", level="error")
        assert await report(server, payload()) == 200
        assert await report(server, payload()) == 200  # Twilio repeats what was not answered in time
    after = metrics.METRICS.sample("voice_app_twilio_alerts_total", code="64102", level="error")
    assert after - before == 1
    assert await alerts(tmp_path) == [
        events.Alerted(
            "64102", "error", "Unable to connect", CALL, "https://voice.example.com/relay/…", "502", THEN
        )
    ]


async def test_it_is_shown_and_reported_with_what_it_means(tmp_path: Path) -> None:
    async with sandbox(tmp_path) as server:
        await open_call(server, tmp_path)
        await report(server, payload())
    async with Journal(database(tmp_path)) as journal:
        document = await report_of(journal, CALL)
    assert document is not None
    (told,) = document.alerts
    assert (told.code, told.status) == ("64102", "502")
    assert "could not open the agent's socket" in told.meaning
    shown = await voice_app(tmp_path, "calls", "show", CALL, VOICE_APP_DATABASE_URL=database(tmp_path))
    assert "twilio: 64102 Twilio could not open the agent's socket" in " ".join(shown.out.split())


@pytest.mark.parametrize(
    "named",
    [
        payload(resource_sid="MO1", more_info={"CallSid": CALL}),
        payload(resource_sid=None, webhook={"request": {"parameters": {"CallSid": CALL}}}),
        payload(webhook=None, more_info="it broke", error_code=None) | {"error_code": 64102},
    ],
)
async def test_the_call_is_found_where_sources_have_it(tmp_path: Path, named: dict[str, Any]) -> None:
    async with sandbox(tmp_path) as server:
        await open_call(server, tmp_path)
        assert await report(server, named) == 200
    assert [event.code for event in await alerts(tmp_path)] == ["64102"]


async def test_an_error_never_makes_a_call_known_that_we_never_had(tmp_path: Path) -> None:
    async with sandbox(tmp_path) as server:
        assert await report(server, payload("99999", STRANGER)) == 200
        assert (
            await report(server, payload("11200", "", resource_sid=None), sid="NO2", level="Warning") == 200
        )
        account_sid = server.settings.account_sid or ""
        await happened(tmp_path, account_sid, events.Alerted, times=2)
    async with Journal(database(tmp_path)) as journal:
        assert [record async for record in journal.select()] == []
    kept = await alerts(tmp_path, account_sid)
    assert {(event.code, event.level, event.resource) for event in kept} == {
        ("99999", "error", STRANGER),
        ("11200", "warning", ""),
    }
    assert metrics.METRICS.sample("voice_app_twilio_alerts_total", code="other", level="error") >= 1


@pytest.mark.parametrize("wrong", ["", "{", "[]", '"text"', "{}", '{"error_code": "x"}', "[" * 5_000])
async def test_what_is_no_entry_is_a_bad_request(tmp_path: Path, wrong: str) -> None:
    async with sandbox(tmp_path) as server:
        assert await report(server, wrong) == 400


async def test_nobody_else_may_report(tmp_path: Path) -> None:
    async with sandbox(tmp_path) as server:
        unsigned = await server.http.post(server.base_url + PATH, data={"Payload": json.dumps(payload())})
        other = await server.post(PATH, AccountSid="AC" + "9" * 32, Payload=json.dumps(payload()))
    assert (unsigned.status, other.status) == (403, 403)
