"""The report waits for what was asked for, and what comes later makes another revision of it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from support.followups import CALL, OURS, Office
from support.receiver import KEY, SECRET, Receiver
from support.sandbox import database, recorded, sandbox
from voice_app.calls import CallState
from voice_app.followups.context import Work
from voice_app.followups.delivery import DeliveryTask, report_id
from voice_app.followups.revisions import Revisions
from voice_app.journal import Entry, Journal
from voice_app.journal.events import (
    Analysed,
    Closed,
    Conversed,
    Event,
    FollowedUp,
    Opened,
    Prompted,
    Served,
    Stored,
    Voicemail,
)
from voice_app.sandbox.phone import Person

RECORDING = "RE" + "7" * 32
CONVERSATION = "conv_conversation_" + "1" * 26
ASKED = Served("voicemail.xml", "voicemail", transcript=True)
MESSAGE = Voicemail(RECORDING, "https://api.twilio.com/x", 4.0)
TRANSCRIPT = Voicemail(RECORDING, text="Please call me.", transcription="completed")
NOT_UNDERSTOOD = Voicemail(RECORDING, transcription="failed")


def delivery(office: Office, receiver: Receiver, wait_s: float = 60.0, gather_s: float = 0.0) -> DeliveryTask:
    return DeliveryTask(office.journal, receiver.url, KEY, wait_s=wait_s, gather_s=gather_s)


def call_with(office: Office, *more: Event) -> None:
    office.write(Opened("+15550199999", OURS, "inbound"), Closed("completed", 4.0), *more)


async def attempt(
    office: Office, task: DeliveryTask, step: str = "report", asked_ago: float = 0
) -> float | None:
    return await Work(office.journal, [task]).attempt(CALL, step, time.time() - asked_ago, 0)


def reporting(receiver: Receiver) -> dict[str, Any]:
    return {"report_url": receiver.url, "report_secret": SecretStr(SECRET), "followup_seconds": 0}


class TestWaiting:
    @pytest.mark.parametrize(
        ("events", "waits"),
        [
            ((), False),
            ((ASKED,), False),
            ((MESSAGE,), False),
            ((ASKED, MESSAGE), True),
            ((ASKED, MESSAGE, TRANSCRIPT), False),
            ((ASKED, MESSAGE, NOT_UNDERSTOOD), False),
            ((ASKED, TRANSCRIPT, MESSAGE), False),
        ],
    )
    async def test_the_first_report_waits_for_the_transcript_that_was_asked_for(
        self, office: Office, receiver: Receiver, events: Sequence[Event], waits: bool
    ) -> None:
        call_with(office, *events)
        assert (await attempt(office, delivery(office, receiver)) is not None) == waits
        assert len(receiver.reports) == (not waits)

    @pytest.mark.parametrize(
        ("wait_s", "asked_ago", "waits"), [(60, 59, True), (60, 61, False), (0, 0, False)]
    )
    async def test_but_not_for_ever(
        self, office: Office, receiver: Receiver, wait_s: float, asked_ago: float, waits: bool
    ) -> None:
        call_with(office, ASKED, MESSAGE)
        pause = await attempt(office, delivery(office, receiver, wait_s), asked_ago=asked_ago)
        assert (pause is not None) == waits
        if pause is not None:
            assert 0 < pause <= wait_s - asked_ago + 0.1

    async def test_a_message_that_was_not_understood_is_reported_as_that(
        self, office: Office, receiver: Receiver
    ) -> None:
        call_with(office, ASKED, MESSAGE, NOT_UNDERSTOOD)
        await attempt(office, delivery(office, receiver))
        (message,) = receiver.reports[0]["voicemail"]
        assert (message["text"], message["transcription"]) == ("", "failed")


class TestRevisions:
    async def test_what_comes_later_makes_a_report_with_a_higher_revision_and_another_id(
        self, office: Office, receiver: Receiver
    ) -> None:
        call_with(office, ASKED, MESSAGE)
        task = delivery(office, receiver, wait_s=0)
        work = Work(office.journal, [task])
        assert await attempt(office, task) is None
        assert await work.revision(CALL) is None
        office.write(TRANSCRIPT)
        assert await work.revision(CALL) == "report#2"
        assert await attempt(office, task, "report#2") is None
        assert await work.revision(CALL) is None
        office.write(Conversed(CONVERSATION))
        office.write(Analysed("intelligence_operator_x", "Angry."), call_sid=CONVERSATION)
        assert await work.revision(CALL) == "report#3"
        assert await attempt(office, task, "report#3") is None
        assert [report["revision"] for report in receiver.reports] == [1, 2, 3]
        assert receiver.ids == [report_id(CALL), f"{report_id(CALL)}_2", f"{report_id(CALL)}_3"]
        assert [report["voicemail"][0]["text"] for report in receiver.reports] == [
            "",
            *["Please call me."] * 2,
        ]
        assert [len(report["analysed"]) for report in receiver.reports] == [0, 0, 1]

    async def test_an_attempt_that_is_repeated_keeps_revision_and_id(
        self, office: Office, receiver: Receiver
    ) -> None:
        call_with(office, MESSAGE)
        task = delivery(office, receiver)
        await attempt(office, task)
        office.write(TRANSCRIPT)
        receiver.answers = [500]
        assert await attempt(office, task, "report#2") is not None
        assert await attempt(office, task, "report#2") is None
        assert [report["revision"] for report in receiver.reports] == [1, 2, 2]
        assert len(set(receiver.ids[1:])) == 1

    async def test_a_revision_gathers_what_comes_together(self, office: Office, receiver: Receiver) -> None:
        call_with(office, MESSAGE)
        task = delivery(office, receiver, gather_s=5)
        await attempt(office, task)
        office.write(TRANSCRIPT)
        pause = await attempt(office, task, "report#2")
        assert pause is not None
        assert 4 < pause <= 5
        office.write(Stored(RECORDING, "x.mp3", 4, "0" * 64))
        assert await attempt(office, task, "report#2", asked_ago=6) is None
        assert receiver.reports[1]["voicemail"][0]["file"] == "x.mp3"

    async def test_nothing_new_is_not_sent(self, office: Office, receiver: Receiver) -> None:
        call_with(office)
        task = delivery(office, receiver)
        await attempt(office, task)
        assert await attempt(office, task, "report#2") is None
        assert len(receiver.reports) == 1
        assert await office.outcome("report#2") == ("nothing new", "")

    async def test_who_is_asked_for_no_report_revises_none(self, office: Office) -> None:
        call_with(office, FollowedUp("report", "delivered"), MESSAGE)
        assert await Work(office.journal, []).revision(CALL) is None

    @pytest.mark.parametrize(
        ("events", "current", "owed"),
        [
            ((), 1, None),
            ((MESSAGE,), 1, None),
            ((MESSAGE, FollowedUp("begun", "")), 1, None),
            ((FollowedUp("report", "delivered", until="0"), Prompted("Hello?")), 1, None),
            ((FollowedUp("report", "delivered", until="0"), MESSAGE), 2, "report#2"),
            # Written by a version that did not tell how far a report goes.
            ((MESSAGE, FollowedUp("report", "delivered")), 1, None),
            # It came while the report was on its way.
            ((Opened(), MESSAGE, FollowedUp("report", "delivered", until="0")), 2, "report#2"),
            ((Opened(), FollowedUp("report", "refused", until="0"), MESSAGE), 2, "report#2"),
            ((FollowedUp("report", "delivered"), FollowedUp("report#2", "nothing new")), 1, None),
        ],
    )
    def test_the_journal_tells_what_is_owed(
        self, events: Sequence[Event], current: int, owed: str | None
    ) -> None:
        entries = [Entry(str(number), float(number), CALL, event) for number, event in enumerate(events)]
        found = Revisions.of(entries)
        assert (found.current, found.owed) == (current, owed)


async def test_a_message_s_transcript_is_in_the_first_report_and_a_later_one_in_the_next(
    tmp_path: Path, receiver: Receiver
) -> None:
    """From the tone to the receiver, over HTTP, through the durable queue."""
    changes = reporting(receiver)
    async with sandbox(tmp_path, handoff_to=("+15550100010",), answer="people", **changes) as server:
        async with asyncio.timeout(20), server.call(Person("busy")) as call:
            assert "Please leave a message" in (await call.reply()).text
            await call.say("Please call me back.")
            await call.over.wait()
        first = await receiver.get(1)
        assert first["revision"] == 1
        assert [message["text"] for message in first["voicemail"]] == ["Please call me back."]
        await server.post(
            "/handoff/recording",
            CallSid=call.sid,
            RecordingSid=call.recordings[0].sid,
            TranscriptionText="Please call me back at once.",
            TranscriptionStatus="completed",
        )
        second = await receiver.get(2)
    assert second["revision"] == 2
    assert [message["text"] for message in second["voicemail"]] == ["Please call me back at once."]
    steps = [event.step for event in CallState.of(await recorded(tmp_path, call.sid)).events(FollowedUp)]
    assert steps == ["begun", "report", "report#2"]


async def test_what_came_while_no_server_ran_is_revised_at_the_next_start(
    tmp_path: Path, receiver: Receiver
) -> None:
    async with Journal(database(tmp_path)) as journal:
        for event in (Opened("+15550199999", OURS, "inbound"), Closed("completed"), FollowedUp("begun", "")):
            journal.write(CALL, event)
        journal.write(CALL, FollowedUp("report", "delivered", "204"))
        journal.write(CALL, TRANSCRIPT)
    async with sandbox(tmp_path, **reporting(receiver)):
        report = await receiver.get(1)
    assert report["revision"] == 2
