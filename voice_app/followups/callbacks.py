"""Calling people back who were turned away: as soon as a line is free, a few times, within a day.

Placing a call cannot be repeated without ringing somebody twice. So the intention is written down first, and
who finds one without a CallSid asks Twilio whether that call was placed.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from typing import Final

from voice_app.calls import CallState
from voice_app.followups.context import Finished, FollowupContext, Retry, Verdict
from voice_app.journal import CallRecord, Journal, Selection
from voice_app.journal.events import CallbackWanted, CalledBack, FollowedUp
from voice_app.twilio import ApiError, Calls, Trouble

MAX_CALLS: Final = 3
"""So often somebody is rung who does not answer."""
RING_SECONDS: Final = 30
_PAUSES_S: Final = (300.0, 1800.0)
"""Between the first and the second call, and between the second and the third."""
_SLACK_S: Final = 60.0
"""By so much Twilio's clock and ours may differ."""
_SETTLE_S: Final = 10.0
_DAY_S: Final = 24 * 3600.0


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
        has_room: Callable[[], bool],
        *,
        room_s: float = 60.0,
    ) -> None:
        """``has_room``: whether this server would take a new call now. An attempt waits so long for it."""
        self._room_s = room_s
        self._calls = calls
        self._journal = journal
        self._origin = origin
        self._has_room = has_room

    def wanted(self, context: FollowupContext) -> bool:
        return bool(context.state.events(CallbackWanted))

    async def attempt(self, context: FollowupContext) -> Verdict:
        wishes = context.state.events(CallbackWanted)
        if not wishes:
            return Finished("nobody asked")
        wish, placed = wishes[0], context.state.timed(CalledBack)
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
            if pause > 0:
                return Retry(after_s=pause)
        if told := await self._is_not_needed(context, wish.to):
            return Finished(told)
        if not await self._room():
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

    async def _room(self) -> bool:
        ends = time.monotonic() + self._room_s
        while not self._has_room():
            if time.monotonic() > ends:
                return False
            await asyncio.sleep(0.5)
        return True


def _is_settled(state: CallState) -> bool:
    return any(event.step == CallbackTask.name for event in state.events(FollowedUp))
