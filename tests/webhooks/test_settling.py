"""What an answer to Twilio follows from can be read by every server, since any of them may be asked next."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.postgres import Postgres
from support.sandbox import sandbox
from support.waiting import until
from voice_app.journal import Journal
from voice_app.journal.events import Opened, Served
from voice_app.telemetry import metrics
from voice_app.webhooks import routing

CALL = "CA" + "3" * 32


async def test_an_answer_waits_until_other_servers_know_what_it_follows_from(
    tmp_path: Path, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(routing, "SETTLE_SECONDS", 20)
    async with sandbox(tmp_path, database_url=postgres_url) as server, Journal(postgres_url) as other:
        response = await server.post("/voice", CallSid=CALL, From="+15550199999", To=server.phone.number)
        found = [type(entry.event) for entry in await other.events(CALL)]
    assert response.status == 200
    assert {Opened, Served} <= set(found)


async def test_in_an_outage_an_answer_does_not_wait_and_the_server_stays_ready(
    tmp_path: Path, postgres: Postgres, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with sandbox(tmp_path, database_url=postgres_url) as server:
        with postgres.frozen():
            await server.post("/voice", CallSid=CALL, From="+15550199999", To=server.phone.number)
            await until(lambda: not metrics.METRICS.sample("voice_app_journal_up"), "the outage")
            monkeypatch.setattr(routing, "SETTLE_SECONDS", 3600)
            response = await server.post("/voice/status", CallSid=CALL, CallStatus="in-progress")
            assert response.status < 300
            async with server.http.get(f"{server.base_url}/readyz") as ready:
                assert ready.status == 200
