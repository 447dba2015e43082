from __future__ import annotations

import time
from typing import Any

import pytest

from support.followups import CALL, CALLER, OURS, Office
from voice_app.followups.callbacks import CallbackRules, CallbackTask
from voice_app.journal.events import CallbackWanted, CalledBack, Closed, Connected, Opened, Supervised
from voice_app.sandbox.twilio import Fault, Placement
from voice_app.settings import Settings
from voice_app.twilio import Calls

LATER = "CA" + "9" * 32
HOUR = 3600.0


class Lines:
    """Free lines of a server, and which of them are taken."""

    def __init__(self, free: int = 99) -> None:
        self.free = free
        self.taken: list[str] = []

    def reserve(self, key: str) -> bool:
        if len(self.taken) >= self.free:
            return False
        self.taken.append(key)
        return True

    def placed(self, key: str, call_sid: str) -> None:
        self.taken[self.taken.index(key)] = call_sid


def callbacks(office: Office, lines: Lines | None = None, **changes: Any) -> CallbackTask:
    rules = CallbackRules(Settings.model_construct(**{"call_back": True, **changes}))
    if not office.account.numbers:
        office.account.add_number(OURS)
    calls = Calls(office.api, office.account.sid)
    return CallbackTask(
        calls, office.journal, "https://voice.example.com", lines or Lines(), rules, room_s=0.0
    )


def turned_away(office: Office, call_sid: str = CALL, caller: str = CALLER) -> None:
    """A call that found no free line, and whose caller wants to be called back."""
    office.write(
        Opened(caller, OURS, "inbound"), CallbackWanted(caller, OURS), Closed("completed"), call_sid=call_sid
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
    assert 0 < wait <= 15  # it is looked whether somebody wants it done now
    assert len(placed(office)) == 1


async def test_somebody_may_have_it_done_now(office: Office) -> None:
    turned_away(office)
    task = callbacks(office)
    await office.attempt(task)
    await ended(office, "busy")
    assert await office.attempt(task, number=1) is not None
    assert len(placed(office)) == 1
    office.write(Supervised("call-back", "anna"))
    assert await office.attempt(task, number=2) is not None
    assert len(placed(office)) == 2
    await ended(office, "busy")
    await office.attempt(task, number=3)  # it was one wish, and is granted
    assert len(placed(office)) == 2


async def test_somebody_may_stop_it(office: Office) -> None:
    turned_away(office)
    office.write(Supervised("no-call-back", "anna"))
    assert await office.attempt(callbacks(office)) is None
    assert await office.outcome("callback") == ("stopped", "by anna")
    assert placed(office) == []


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
    assert await office.attempt(callbacks(office, Lines(0))) is not None
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
    task = callbacks(office, Lines(0))
    assert await office.attempt(task, asked_at=time.time() - 25 * HOUR) is None
    assert await office.outcome("callback") == ("given up", "it was never time")


# --- whom it may cost money to call ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("to", "prefixes", "allowed"),
    [
        ("+12125550123", (), True),
        ("+15550199999", (), True),
        ("+18765550123", (), False),  # Jamaica, with the same code
        ("+19005550123", (), False),  # a premium rate
        ("+4930123456", (), False),
        ("+4930123456", ("+4930", "+4940"), True),
        ("+4989123456", ("+4930", "+4940"), False),
        ("+12125550123", ("+49",), False),
        ("no number", (), False),
    ],
)
def test_the_country_of_our_number_is_called_or_what_the_settings_name(
    to: str, prefixes: tuple[str, ...], allowed: bool
) -> None:
    rules = CallbackRules(Settings.model_construct(call_back=True, call_back_to=prefixes))
    assert rules.allows(to, OURS) is allowed
    assert not CallbackRules(Settings.model_construct(call_back_to=prefixes)).allows(to, OURS)


@pytest.mark.parametrize("changes", [{"call_back": False}, {"call_back_to": ("+44",)}])
async def test_a_wish_that_is_not_allowed_any_more_is_dropped(
    office: Office, changes: dict[str, Any]
) -> None:
    turned_away(office)
    assert await office.attempt(callbacks(office, **changes)) is None
    assert await office.outcome("callback") == ("not allowed", "")
    assert placed(office) == []


async def test_a_number_has_so_many_wishes_a_day(office: Office) -> None:
    sids = [f"CA{number:032x}" for number in range(4)]
    task = callbacks(office, call_back_per_number=2)
    for sid in sids:
        turned_away(office, sid)
        for number in range(2):
            if await office.attempt(task, call_sid=sid, number=number) is None:
                break
            await ended(office, "completed")
    outcomes = [(await office.outcome("callback", sid))[0] for sid in sids]
    assert outcomes == ["called back", "called back", "too often", "too often"]
    assert len(placed(office)) == 2


@pytest.mark.parametrize("limit", ["call_back_per_hour", "call_back_per_day"])
async def test_so_many_calls_are_placed_in_a_while(office: Office, limit: str) -> None:
    task = callbacks(office, None, **{limit: 3})
    waits = []
    for number in range(5):
        turned_away(office, sid := f"CA{number:032x}", f"+1212555{number:04}")
        waits.append(await office.attempt(task, call_sid=sid))
    assert len(placed(office)) == 3
    assert [wait == 600 for wait in waits] == [False] * 3 + [True] * 2


async def test_each_call_has_a_line_from_before_it_is_placed(office: Office) -> None:
    lines = Lines(2)
    task = callbacks(office, lines)
    for number in range(35):
        turned_away(office, sid := f"CA{number:032x}", f"+1212555{number:04}")
        await office.attempt(task, call_sid=sid)
    assert lines.taken == [call.call_sid for call in placed(office)]
    assert len(placed(office)) == 2
