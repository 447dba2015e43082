"""Calling people back who were turned away: as soon as a line is free, a few times, within a day.

Placing a call cannot be repeated without ringing somebody twice. So the intention is written down first, and
who finds one without a CallSid asks Twilio whether that call was placed.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Final, Protocol

from voice_app.calls import CallState
from voice_app.followups.context import Finished, FollowupContext, Retry, Verdict
from voice_app.journal import CallRecord, Journal, Selection
from voice_app.journal.events import CallbackWanted, CalledBack, FollowedUp, Supervised
from voice_app.settings import Settings
from voice_app.twilio import ApiError, Calls, Trouble

MAX_CALLS: Final = 3
"""So often somebody is rung who does not answer."""
RING_SECONDS: Final = 30
CALL_BACK: Final = "call-back"
NOT_CALL_BACK: Final = "no-call-back"
"""Acts of people (`Supervised`): call now, and call no more."""
_PAUSES_S: Final = (300.0, 1800.0)
"""Between the first and the second call, and between the second and the third."""
_LOOK_S: Final = 15.0
"""So often it is looked whether somebody wants it done sooner, or not any more."""
_SLACK_S: Final = 60.0
"""By so much Twilio's clock and ours may differ."""
_SETTLE_S: Final = 10.0
_DAY_S: Final = 24 * 3600.0
_MANY_S: Final = 600.0
"""After so long it is looked again whether a call back may be placed."""


class CallbackRules:
    """Who may be called back: whoever asks for it has us pay for a call to any number they like."""

    def __init__(self, settings: Settings) -> None:
        self.on = settings.call_back
        self._prefixes = settings.call_back_to
        self.per_number = settings.call_back_per_number
        self.per_hour = settings.call_back_per_hour
        self.per_day = settings.call_back_per_day
        if self.on:
            _country("+15550100001")  # what it needs is loaded before anybody calls

    def allows(self, to: str, from_: str) -> bool:
        """Whether this number (E.164) may be called from one of ours."""
        if not self.on:
            return False
        if self._prefixes:
            return to.startswith(self._prefixes)
        country, costs = _country(to)
        return not costs and country is not None and country == _country(from_)[0]


def _country(number: str) -> tuple[str | None, bool]:
    """The country of a number, and whether a call to it costs more than to others there."""
    import phonenumbers  # its metadata take a tenth of a second to load

    try:
        parsed = phonenumbers.parse(number)
    except phonenumbers.NumberParseException:
        return None, True
    kinds = phonenumbers.PhoneNumberType
    costs = phonenumbers.number_type(parsed) in (
        *(kinds.PREMIUM_RATE, kinds.SHARED_COST, kinds.UAN, kinds.PERSONAL_NUMBER, kinds.PAGER),
    )
    country = phonenumbers.region_code_for_number(parsed)
    return country or phonenumbers.region_code_for_country_code(parsed.country_code or 0), costs


class Places(Protocol):
    """The lines of this server. Each call back has one from before it is placed."""

    def reserve(self, key: str) -> bool:
        """Take a free line; False if there is none."""

    def placed(self, key: str, call_sid: str) -> None:
        """The line that was taken is that of this call."""


class CallbackTask:
    """Calls back, one call at a time for a number."""

    name = "callback"
    patience_s = _DAY_S
    waits_s = (1.0, 15.0)
    kinds = frozenset({"callback-wanted"})

    def __init__(
        self,
        calls: Calls,
        journal: Journal,
        origin: str,
        places: Places,
        rules: CallbackRules,
        *,
        room_s: float = 60.0,
    ) -> None:
        """An attempt waits ``room_s`` for one of the ``places``."""
        self._room_s = room_s
        self._rules = rules
        self._calls = calls
        self._journal = journal
        self._origin = origin
        self._places = places

    def wanted(self, context: FollowupContext) -> bool:
        return bool(context.state.events(CallbackWanted))

    async def attempt(self, context: FollowupContext) -> Verdict:
        wishes = context.state.events(CallbackWanted)
        if not wishes:
            return Finished("nobody asked")
        wish, placed = wishes[0], context.state.timed(CalledBack)
        acts = context.state.timed(Supervised)
        if stopped := [event.by for _, event in acts if event.act == NOT_CALL_BACK]:
            return Finished("stopped", f"by {stopped[-1]}")
        rung = [(at, event) for at, event in placed if event.call_sid]
        if rung and rung[-1][1].number == (number := placed[-1][1].number):
            status = await self._status(rung[-1][1].call_sid)
            if status is None:
                return Retry()
            if status == "completed":
                return Finished("called back", rung[-1][1].call_sid)
            if number >= MAX_CALLS:
                return Finished("not reached", status, good=False)
            pause = rung[-1][0] + _PAUSES_S[number - 1] - time.time()
            hurried = any(event.act == CALL_BACK and at > rung[-1][0] for at, event in acts)
            if pause > 0 and not hurried:
                return Retry(after_s=min(pause, _LOOK_S))
        if not self._rules.allows(wish.to, wish.from_):
            return Finished("not allowed", good=False)
        if told := await self._is_not_needed(context, wish.to):
            return Finished(told)
        if await self._wishes_of(wish.to, context.record.opened_at) > self._rules.per_number:
            return Finished("too often", good=False)
        if await self._too_many():
            return Retry(after_s=_MANY_S)
        if not await self._room(context.call_sid):
            return Retry()
        await self._call(context, wish, placed)
        return Retry()

    async def _call(
        self, context: FollowupContext, wish: CallbackWanted, placed: list[tuple[float, CalledBack]]
    ) -> None:
        """Place the call, unless it was placed by somebody who could not say so any more."""
        at, last = placed[-1] if placed else (0.0, CalledBack(0, "-"))
        number, sid = (last.number + 1 if last.call_sid else last.number), None
        if last.call_sid:
            # Or the one who takes over would not know of it.
            await self._note(context.call_sid, CalledBack(number), f"callback:{context.call_sid}:{number}")
        else:
            found = await self._calls.placed(to=wish.to, from_=wish.from_, since=at - _SLACK_S)
            known = {event.call_sid for _, event in placed}
            sid = next((call.sid for call in found if call.sid not in known), None)
        if sid is None:
            sid = await self._calls.create(
                to=wish.to,
                from_=wish.from_,
                url=f"{self._origin}/voice",
                status_url=f"{self._origin}/voice/status",
                ring_seconds=RING_SECONDS,
            )
        self._places.placed(context.call_sid, sid)
        await self._note(
            context.call_sid, CalledBack(number, sid), f"callback:{context.call_sid}:{number}:sid"
        )

    async def _note(self, call_sid: str, event: CalledBack, key: str) -> None:
        self._journal.write(call_sid, event, once=key)
        await self._journal.settle(_SETTLE_S)

    async def _status(self, call_sid: str) -> str | None:
        """How a call ended; None while it goes on."""
        record = await self._journal.call(call_sid)
        if record is not None and record.closed_at is not None:
            return record.status
        try:
            call = await self._calls.fetch(call_sid)
        except ApiError as error:
            if error.trouble is Trouble.NOT_FOUND:
                return "failed"
            raise
        return call.status if call.over else None

    async def _is_not_needed(self, context: FollowupContext, address: str) -> str:
        """Why nobody need be called; empty if somebody is to be."""
        async for record, state in self._calls_with(address, since=context.record.opened_at - _DAY_S):
            if record.call_sid == context.call_sid:
                continue
            if record.opened_at > context.record.opened_at and state.connected:
                return "called again"  # and got through
            elder = (record.opened_at, record.call_sid) < (context.record.opened_at, context.call_sid)
            if elder and state.events(CallbackWanted) and not _is_settled(state):
                return "asked before"  # that wish is seen to first, and serves both
        return ""

    async def _calls_with(self, address: str, *, since: float) -> AsyncIterator[tuple[CallRecord, CallState]]:
        async for record in self._journal.select(Selection(address=address, since=since)):
            yield record, CallState.of(await self._journal.events(record.call_sid))

    async def _wishes_of(self, address: str, until: float) -> int:
        """How often a number has wanted to be called back within a day."""
        selection = Selection(
            address=address, since=until - _DAY_S, until=until, having=frozenset({"callback-wanted"})
        )
        return 1 + sum([1 async for _ in self._journal.select(selection)])

    async def _too_many(self) -> bool:
        """Whether so many calls back were placed that the next has to wait."""
        now, placed = time.time(), []
        having = frozenset({"callback"})
        async for record in self._journal.select(Selection(since=now - 2 * _DAY_S, having=having)):
            state = CallState.of(await self._journal.events(record.call_sid))
            placed += [at for at, event in state.timed(CalledBack) if event.call_sid]
        return any(
            sum(at > now - seconds for at in placed) >= most
            for seconds, most in ((3600.0, self._rules.per_hour), (_DAY_S, self._rules.per_day))
        )

    async def _room(self, call_sid: str) -> bool:
        ends = time.monotonic() + self._room_s
        while not self._places.reserve(call_sid):
            if time.monotonic() > ends:
                return False
            await asyncio.sleep(0.5)
        return True


def _is_settled(state: CallState) -> bool:
    return any(event.step == CallbackTask.name for event in state.events(FollowedUp))
