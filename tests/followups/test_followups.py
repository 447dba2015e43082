"""The whole way: a server, a phone, the double of Twilio, DBOS, and somebody who takes reports."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from support.followups import CALL, CALLER, OURS
from support.journals import write
from support.receiver import SECRET, Receiver
from support.sandbox import Sandbox, database, sandbox
from support.waiting import until
from voice_app.followups import Followups, Rhythm
from voice_app.journal import Journal
from voice_app.journal.events import CallbackWanted, Closed, Event, FollowedUp, Noted, Opened
from voice_app.sandbox.twilio import SandboxAccount, double_app
from voice_app.sandbox.twilio.app import serve
from voice_app.sandbox.twilio.records import SandboxCall
from voice_app.settings import SANDBOX_ACCOUNT_SID, SANDBOX_AUTH_TOKEN
from voice_app.twilio import Calls, TwilioApi


@pytest.fixture
def account() -> SandboxAccount:
    return SandboxAccount(SANDBOX_ACCOUNT_SID, SANDBOX_AUTH_TOKEN)


@asynccontextmanager
async def serving(folder: Path, account: SandboxAccount, **settings: Any) -> AsyncIterator[Sandbox]:
    if not account.configurations:
        account.add_configuration()
    async with (
        serve(double_app(account)) as base_url,
        sandbox(
            folder,
            twilio_base_url=base_url,
            conversation_configuration=next(iter(account.configurations)),
            followup_seconds=0,
            **settings,
        ) as server,
    ):
        yield server


def reporting(receiver: Receiver) -> dict[str, Any]:
    return {"report_url": receiver.url, "report_secret": SecretStr(SECRET)}


async def followed(folder: Path, call_sid: str, *steps: str) -> dict[str, str]:
    """Wait until these steps are done; what came of them."""
    async with asyncio.timeout(30), Journal(database(folder), create=False) as journal:
        while True:
            found = [entry.event for entry in await journal.events(call_sid)]
            done = {event.step: event.outcome for event in found if isinstance(event, FollowedUp)}
            if done.keys() >= set(steps):
                return done
            await asyncio.sleep(0.02)


async def talked(server: Sandbox, *questions: str) -> str:
    async with asyncio.timeout(20), server.call() as call:
        await call.reply()
        for question in questions:
            await call.ask(question)
    return call.sid


def dbos_runs() -> bool:
    return any("dbos" in conversation.name for conversation in threading.enumerate())


async def test_a_call_is_closed_and_reported_when_it_is_over(
    tmp_path: Path, account: SandboxAccount, receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    async with serving(tmp_path, account, **reporting(receiver), close_conversation="call-end") as server:
        call_sid = await talked(server, "What are your hours?")
        report = await receiver.get(1)
        done = await followed(tmp_path, call_sid, "begun", "close", "report")
    assert done == {"begun": "", "close": "closed", "report": "delivered"}
    assert report["call_sid"] == call_sid
    assert [line["who"] for line in report["dialogue"]] == ["agent", "caller", "agent"]
    assert [conversation.status for conversation in account.conversations.values()] == ["CLOSED"]
    tables = b"".join(path.read_bytes() for path in tmp_path.glob("journal.followups.db*"))
    assert call_sid.encode() in tables
    for told in (report["from"], report["to"], "What are your hours?", "mem_profile_"):
        assert told.encode() not in tables  # there is nothing in them to forget
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert not dbos_runs()


async def test_a_server_that_is_asked_for_nothing_has_no_dbos(
    tmp_path: Path, account: SandboxAccount
) -> None:
    async with serving(tmp_path, account) as server:
        await talked(server)
        assert not dbos_runs()
    assert not (tmp_path / "journal.followups.db").exists()


async def test_what_was_begun_goes_on_after_the_next_start(
    tmp_path: Path, account: SandboxAccount, receiver: Receiver
) -> None:
    receiver.answers, receiver.headers = [503], {"Retry-After": "1"}
    async with serving(tmp_path, account, **reporting(receiver)) as server:
        call_sid = await talked(server)
        await receiver.get(1)
    async with serving(tmp_path, account, **reporting(receiver)):
        await receiver.get(2)
        assert (await followed(tmp_path, call_sid, "report"))["report"] == "delivered"
    assert receiver.ids == [f"report_{call_sid}"] * 2


async def test_two_servers_in_one_process_take_turns(
    tmp_path: Path, account: SandboxAccount, receiver: Receiver
) -> None:
    (tmp_path / "other").mkdir()
    async with serving(tmp_path / "other", account, **reporting(receiver)) as second:
        async with serving(tmp_path, account, **reporting(receiver)) as first:
            calls = [await talked(first), await talked(second)]
            await receiver.get(1)
        await receiver.get(2)
    assert sorted(receiver.ids) == sorted(f"report_{call_sid}" for call_sid in calls)


async def test_a_call_whose_end_nobody_told_us_about_is_asked_about(
    tmp_path: Path, account: SandboxAccount, receiver: Receiver
) -> None:
    account.finished[CALL] = SandboxCall(CALL, CALLER, OURS)
    await write(database(tmp_path), {CALL: [Opened(CALLER, OURS, "inbound")]}, at=_hours_ago(1))
    async with serving(tmp_path, account, **reporting(receiver)):
        report = await receiver.get(1)
    assert report["status"] == "completed"


async def test_what_was_noted_and_not_written_is_found_at_the_next_start(
    tmp_path: Path, account: SandboxAccount
) -> None:
    events: list[Event] = [Opened(CALLER, OURS, "inbound"), Noted("Likes tea."), Closed("completed")]
    await write(database(tmp_path), {CALL: events}, at=_hours_ago(1))
    async with serving(tmp_path, account):
        assert (await followed(tmp_path, CALL, "facts"))["facts"] == "written"


async def test_a_wish_to_be_called_back_is_seen_to(tmp_path: Path, account: SandboxAccount) -> None:
    account.add_number(OURS)
    events: list[Event] = [Opened(CALLER, OURS, "inbound"), CallbackWanted(CALLER, OURS), Closed("completed")]
    await write(database(tmp_path), {CALL: events}, at=_hours_ago(0.1))
    async with serving(tmp_path, account, call_back=True) as server:
        async with asyncio.timeout(20):
            await account.instructions.arrive(0)
        placement = account.instructions.given[0].placement
        assert placement is not None
        assert (placement.to, placement.from_) == (CALLER, OURS)
        await server.post("/voice/status", CallSid=placement.call_sid, CallStatus="completed")
        assert (await followed(tmp_path, CALL, "callback"))["callback"] == "called back"


async def test_dbos_that_cannot_begin_is_told_in_one_line_and_tried_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "journal.followups.db").write_text(
        "this is no database, and quite long enough to be read as one"
    )
    async with Journal(database(tmp_path)) as journal:
        followups = _quick(journal, database(tmp_path))
        followups.start()
        async with asyncio.timeout(20):
            await until(lambda: "follow-ups cannot begin" in caplog.text)
            (tmp_path / "journal.followups.db").unlink()
            await until(dbos_runs)
        await followups.aclose()
    assert not [record for record in caplog.records if record.exc_info]


def _quick(journal: Journal, url: str) -> Followups:
    api: TwilioApi = None  # type: ignore[assignment]  # nothing is asked of Twilio
    return Followups(journal, [], Calls(api, ""), url, Rhythm(retry=0.05))


def _hours_ago(hours: float) -> float:
    return time.time() - hours * 3600
