"""What Twilio keeps of one caller, for the command that erases it."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from typing import Final

from voice_app.cli.account import TwilioAccount
from voice_app.cli.caller_data import CallerData
from voice_app.twilio import ApiError
from voice_app.twilio.erasure import Clues, Erasure, Traces

PATIENCE_S: Final = 15.0
"""How long it is waited until what was erased is gone: Twilio takes it in at once, and is done later."""
_PAUSE_S: Final = 0.5


class AtTwilio:
    """One caller in one account. Each method raises `ApiError`."""

    def __init__(self, account: TwilioAccount, caller: CallerData) -> None:
        self._erasure = Erasure(account.api, account.scope.account_sid)
        self._clues = Clues(
            address=caller.address,
            configuration_id=account.scope.configuration_id,
            call_sids=[call.call_sid for call in caller.calls],
            conversation_ids=caller.conversations,
            profile_ids=caller.profiles,
            recording_sids=caller.recordings,
        )
        self._traces = Traces()

    async def find(self) -> dict[str, list[str]]:
        """Look what there is: ids, by kind."""
        found = self._traces = await self._erasure.find(self._clues)
        return {
            "conversations": list(found.conversations),
            "operator results": list(found.results),
            "profiles": [profile for _, profile in found.profiles],
            "recordings": list(found.recordings),
            "records of calls": list(found.calls),
        }

    async def erase(self) -> dict[str, ApiError]:
        """Erase what was found. Gives what could not be, and why."""
        return await self._erasure.erase(self._traces)

    async def left(self) -> list[str]:
        """What can still be found of it, after some patience."""
        ends = time.monotonic() + PATIENCE_S
        while True:
            found = await self._erasure.find(replace(self._clues, recording_sids=(), call_sids=()))
            ids = [*found.conversations, *found.results, *(profile for _, profile in found.profiles)]
            if not ids or time.monotonic() > ends:
                return ids
            await asyncio.sleep(_PAUSE_S)
