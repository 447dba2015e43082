from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from support.followups import CALL, CALLER, OURS, Office
from voice_app.followups.callbacks import CallbackTask
from voice_app.journal.events import CallbackWanted, CalledBack, Closed, Connected, Opened
from voice_app.sandbox.twilio import Fault, Placement
from voice_app.twilio import Calls

LATER = "CA" + "9" * 32
HOUR = 3600.0


def callbacks(office: Office, has_room: Callable[[], bool] = lambda: True) -> CallbackTask:
    if not office.account.numbers:
        office.account.add_number(OURS)
    calls = Calls(office.api, office.account.sid)
    return CallbackTask(calls, office.journal, "https://voice.example.com", has_room, room_s=0.0)


def turned_away(office: Office, call_sid: str = CALL) -> None:
    """A call that found no free line, and whose caller wants to be called back."""
    office.write(
        Opened(CALLER, OURS, "inbound"), CallbackWanted(CALLER, OURS), Closed("completed"), call_sid=call_sid
    )


def placed(office: Office) -> list[Placement]:
    return [item.placement for item in office.account.instructions.given if item.placement is not None]


async def ended(office: Office, status: str) -> None:
    """The call that was placed last is over."""
    office.write(Closed(status), call_sid=placed(office)[-1].call_sid)


async def test_who_was_turned_away_is_called_back(office: Office) -> None:
    turned_away(office)
    task = callbacks(office)
    assert await office.attempt(task) is not None
    (call,) = placed(office)
    assert (call.to, call.from_) == (CALLER, OURS)
    assert call.url == "https://voice.example.com/voice"
    assert call.status_url == "https://voice.example.com/voice/status"
    await ended(office, "completed")
    assert await office.attempt(task, number=1) is None
    assert await office.outcome("callback") == ("called back", call.call_sid)
    assert len(placed(office)) == 1


async def test_a_call_that_goes_on_is_left_alone(office: Office) -> None:
    turned_away(office)
    task = callbacks(office)
    for number in range(3):
        assert await office.attempt(task, number=number) is not None
    assert len(placed(office)) == 1


@pytest.mark.parametrize("status", ["busy", "no-answer", "failed"])
async def test_who_does_not_answer_is_tried_again_later(office: Office, status: str) -> None:
    turned_away(office)
    task = callbacks(office)
    await office.attempt(task)
    await ended(office, status)
    wait = await office.attempt(task, number=1)
    assert wait is not None
    assert 200 < wait <= 300
    assert len(placed(office)) == 1


async def test_who_does_not_answer_three_times_is_left_in_peace(office: Office) -> None:
    office.ago = 48 * HOUR
    turned_away(office)
    task = callbacks(office)
    for number in range(6):
        if await office.attempt(task, number=number) is None:
            break
        await ended(office, "no-answer")
    assert len(placed(office)) == 3
    assert await office.outcome("callback") == ("not reached", "no-answer")


async def test_it_waits_for_a_free_line(office: Office) -> None:
    turned_away(office)
    assert await office.attempt(callbacks(office, lambda: False)) is not None
    assert placed(office) == []
    await office.attempt(callbacks(office), number=1)
    assert len(placed(office)) == 1


async def test_a_call_that_was_placed_by_a_server_that_died_is_found_at_twilio(office: Office) -> None:
    turned_away(office)
    task = callbacks(office)
    office.write(CalledBack(1))
    calls = Calls(office.api, office.account.sid)
    sid = await calls.create(
        to=CALLER, from_=OURS, url="https://voice.example.com/voice", status_url="", ring_seconds=30
    )
    await office.attempt(task)
    assert len(placed(office)) == 1
    events = [entry.event for entry in await office.journal.events(CALL)]
    assert events[-1] == CalledBack(1, sid)


async def test_one_that_was_only_meant_to_be_placed_is_placed(office: Office) -> None:
    turned_away(office)
    office.write(CalledBack(1))
    await office.attempt(callbacks(office))
    assert len(placed(office)) == 1


async def test_who_has_called_again_and_got_through_is_not_called(office: Office) -> None:
    turned_away(office)
    office.write(Opened(CALLER, OURS, "inbound"), Connected("VX1"), call_sid=LATER)
    await office.attempt(callbacks(office))
    assert placed(office) == []
    assert await office.outcome("callback") == ("called again", "")


async def test_who_asks_twice_is_called_once(office: Office) -> None:
    turned_away(office)
    turned_away(office, LATER)
    task = callbacks(office)
    assert await office.attempt(task, call_sid=LATER) is None
    assert await office.outcome("callback", LATER) == ("asked before", "")
    await office.attempt(task)
    assert len(placed(office)) == 1


async def test_a_number_that_cannot_be_called_is_given_up(office: Office) -> None:
    turned_away(office)
    office.account.faults.add(Fault(path="*/Calls.json", method="POST", status=400, code=21211))
    assert await office.attempt(callbacks(office)) is None
    assert await office.outcome("callback") == ("refused", "refused 400")


async def test_it_is_given_up_after_a_day(office: Office) -> None:
    turned_away(office)
    task = callbacks(office, lambda: False)
    assert await office.attempt(task, asked_at=time.time() - 25 * HOUR) is None
    assert await office.outcome("callback") == ("given up", "it was never time")
