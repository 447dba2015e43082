"""What is known of a call only once it is over: what Twilio charged for it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

from voice_app.followups.context import Finished, FollowupContext, Retry, Verdict
from voice_app.journal import Journal
from voice_app.journal.events import Priced
from voice_app.twilio import Calls

_DAY_S: Final = 24 * 3600.0


class PriceTask:
    """Asks Twilio what it charged for the call: it says so minutes or hours after its end."""

    name = "price"
    patience_s = _DAY_S
    waits_s = (60.0, 3600.0)
    kinds = None

    def __init__(self, calls: Calls, journal: Journal, account: Callable[[str], Awaitable[None]]) -> None:
        """``account`` writes down anew what a call cost."""
        self._calls = calls
        self._journal = journal
        self._account = account

    def wanted(self, context: FollowupContext) -> bool:
        return context.state.last(Priced) is None

    async def attempt(self, context: FollowupContext) -> Verdict:
        call = await self._calls.fetch(context.call_sid)
        if call.price is None:
            return Retry()
        told = Priced(abs(call.price), call.price_unit)
        self._journal.write(context.call_sid, told, once=f"price:{context.call_sid}")
        await self._account(context.call_sid)
        return Finished("known")
