"""Calls that are on the line, through the classic REST API.

https://www.twilio.com/docs/voice/api/call-resource
"""

from __future__ import annotations

from typing import Final

from voice_app.orchestrator.http import TwilioApi

PRODUCT: Final = "api"


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

    async def redirect(self, call_sid: str, url: str) -> None:
        """Have Twilio ask ``url`` what to do with the call now. What it was doing ends."""
        await self._update(call_sid, {"Url": url, "Method": "POST"})

    async def complete(self, call_sid: str) -> None:
        """Hang up."""
        await self._update(call_sid, {"Status": "completed"})

    async def _update(self, call_sid: str, form: dict[str, str]) -> None:
        path = f"{self._path}/{call_sid}.json"
        await self._api.request("POST", PRODUCT, path, form=form, repeatable=True)
