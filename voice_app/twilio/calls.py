"""Calls that are on the line, through the classic REST API.

https://www.twilio.com/docs/voice/api/call-resource
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any, Final, Self

from voice_app.twilio.http import TwilioApi

PRODUCT: Final = "api"
OVER: Final = frozenset({"completed", "busy", "failed", "no-answer", "canceled"})
"""A call in one of these states takes no more instructions."""


@dataclass(frozen=True, slots=True)
class CallResource:
    """A call as Twilio knows it."""

    sid: str
    status: str
    """Twilio's ``CallStatus``: ``queued``, ``in-progress``, ``completed`` …"""
    duration_s: float | None = None
    """How long it lasted, once it is over."""
    created_at: float | None = None
    """Seconds since the epoch."""

    @property
    def over(self) -> bool:
        return self.status in OVER

    @classmethod
    def read(cls, raw: Mapping[str, Any]) -> Self:
        duration, created = str(raw.get("duration") or ""), str(raw.get("date_created") or "")
        try:
            created_at = parsedate_to_datetime(created).timestamp()
        except ValueError:
            created_at = None
        seconds = float(duration) if duration.isdecimal() else None
        return cls(str(raw.get("sid", "")), str(raw.get("status", "")), seconds, created_at)


class Calls:
    """Sends live calls elsewhere, and ends them. Each method raises `ApiError`."""

    def __init__(self, api: TwilioApi, account_sid: str) -> None:
        self._api = api
        self._path = f"/2010-04-01/Accounts/{account_sid}/Calls"

    async def create(self, *, to: str, from_: str, url: str, status_url: str, ring_seconds: int) -> str:
        """Ring somebody; Twilio asks ``url`` what they hear, and tells ``status_url`` how it went.

        Returns the CallSid of the new call.
        """
        form = {
            "To": to,
            "From": from_,
            "Url": url,
            "Method": "POST",
            "StatusCallback": status_url,
            "StatusCallbackMethod": "POST",
            "StatusCallbackEvent": "completed",
            "Timeout": str(ring_seconds),
        }
        reply = await self._api.request("POST", PRODUCT, f"{self._path}.json", form=form)
        return str(reply.body.get("sid", "")) if isinstance(reply.body, dict) else ""

    async def fetch(self, call_sid: str) -> CallResource:
        """Read one, on the line or over."""
        return CallResource.read(await self._api.get(PRODUCT, f"{self._path}/{call_sid}.json"))

    async def placed(self, *, to: str, from_: str, since: float) -> Sequence[CallResource]:
        """The latest calls that we placed to somebody ``since`` then, in seconds since the epoch."""
        # Twilio filters by whole days, which are those of UTC; one more keeps midnight out of it.
        day = datetime.fromtimestamp(since, UTC) - timedelta(days=1)
        query: dict[str, str | int] = {
            "To": to,
            "From": from_,
            "StartTime>": f"{day:%Y-%m-%d}",
            "PageSize": 50,
        }
        page = await self._api.get(PRODUCT, f"{self._path}.json", query=query)
        rows = page.get("calls")
        found = (
            [CallResource.read(row) for row in rows if isinstance(row, dict)]
            if isinstance(rows, list)
            else []
        )
        return [call for call in found if call.created_at is not None and call.created_at >= since]

    async def redirect(self, call_sid: str, url: str) -> None:
        """Have Twilio ask ``url`` what to do with the call now. What it was doing ends."""
        await self._update(call_sid, {"Url": url, "Method": "POST"})

    async def complete(self, call_sid: str) -> None:
        """Hang up."""
        await self._update(call_sid, {"Status": "completed"})

    async def _update(self, call_sid: str, form: dict[str, str]) -> None:
        path = f"{self._path}/{call_sid}.json"
        await self._api.request("POST", PRODUCT, path, form=form, repeatable=True)
