"""Follow-ups on a PostgreSQL that goes away."""

from __future__ import annotations

import asyncio

import pytest

from support.followups import CALL, CALLER, OURS
from support.postgres import Postgres
from support.receiver import KEY, Receiver
from voice_app.followups import Followups, Rhythm
from voice_app.followups.delivery import DeliveryTask
from voice_app.journal import Journal
from voice_app.journal.events import Closed, Opened
from voice_app.twilio import Calls, TwilioApi

RHYTHM = Rhythm(pause=0, sweep=0.5, retry=0.1)


def followups(journal: Journal, url: str, receiver: Receiver) -> Followups:
    api: TwilioApi = None  # type: ignore[assignment]  # nothing is asked of Twilio
    return Followups(journal, [DeliveryTask(journal, receiver.url, KEY)], Calls(api, ""), url, RHYTHM)


async def test_what_is_begun_goes_on_when_the_database_is_back(
    postgres: Postgres, postgres_url: str, receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    receiver.answers, receiver.headers = [503], {"Retry-After": "1"}
    async with Journal(postgres_url) as journal:
        work = followups(journal, postgres_url, receiver)
        work.start()
        journal.write(CALL, Opened(CALLER, OURS, "inbound"))
        journal.write(CALL, Closed("completed"))
        await journal.flush()
        work.begin(CALL)
        await receiver.get(1)
        with postgres.down():
            await asyncio.sleep(2)  # longer than the report was to wait
        await receiver.get(2)
        await work.aclose()
    assert set(receiver.ids) == {f"report_{CALL}"}
    assert not [record for record in caplog.records if record.exc_info]


async def test_a_server_stops_although_its_database_is_away(
    postgres: Postgres, postgres_url: str, receiver: Receiver
) -> None:
    async with Journal(postgres_url) as journal:
        work = followups(journal, postgres_url, receiver)
        work.start()
        journal.write(CALL, Opened(CALLER, OURS, "inbound"))
        journal.write(CALL, Closed("completed"))
        await journal.flush()
        work.begin(CALL)
        await receiver.get(1)
        with postgres.down():
            async with asyncio.timeout(20):
                await work.aclose()
