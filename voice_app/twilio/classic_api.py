"""Calls that are on the line, and the phone numbers of the account: the classic REST API of 2010.

https://www.twilio.com/docs/voice/api/call-resource and
https://www.twilio.com/docs/phone-numbers/api/incomingphonenumber-resource; its names are in snake case, and a
page tells the address of the next one.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any, Final, Self

import msgspec
from yarl import URL

from voice_app.twilio.errors import ApiError, Trouble
from voice_app.twilio.http import PAGE_SIZE, Query, TwilioApi

PRODUCT: Final = "api"
OVER: Final = frozenset({"completed", "busy", "failed", "no-answer", "canceled"})
"""A call in one of these states takes no more instructions."""
_APPLICATION: Final = re.compile(r"AP[0-9a-fA-F]{32}")


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
    from_: str = ""
    to: str = ""
    price: float | None = None
    """What Twilio has charged, a negative number as a rule; None: it is not known yet."""
    price_unit: str = ""
    """The currency, ``USD`` …"""

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
        ends = (str(raw.get("from") or ""), str(raw.get("to") or ""))
        told, unit = raw.get("price"), str(raw.get("price_unit") or "").upper()
        try:
            price = None if told is None else float(told)
        except (TypeError, ValueError):
            price = None
        return cls(
            str(raw.get("sid", "")), str(raw.get("status", "")), seconds, created_at, *ends, price, unit
        )


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


class _Row(msgspec.Struct, kw_only=True, omit_defaults=True):
    """What the API lists, with the fields that we use."""

    @classmethod
    def read(cls, raw: Mapping[str, Any]) -> Self:
        """Raises `ApiError` where a field has a type that the API does not document."""
        try:
            return msgspec.convert({name: value for name, value in raw.items() if value is not None}, cls)
        except msgspec.ValidationError as error:
            where = f"{cls.__name__} {raw.get('sid', 'without sid')}"
            raise ApiError(Trouble.UNREADABLE, method="GET", url=where, message=str(error)) from None


class IncomingNumber(_Row):
    """A number that can be called. What Twilio has not set is empty."""

    sid: str = ""
    phone_number: str = ""
    """E.164."""
    voice_url: str = ""
    """What is asked when a call comes in, unless an application or a trunk is set."""
    voice_fallback_url: str = ""
    status_callback: str = ""
    voice_application_sid: str = ""
    trunk_sid: str = ""
    """A SIP trunk that takes the calls."""


class VoiceApplication(_Row):
    """A TwiML application: where the calls of the numbers that name it go."""

    sid: str = ""
    voice_url: str = ""
    voice_fallback_url: str = ""
    status_callback: str = ""


class IncomingNumbers:
    """Read the numbers of an account."""

    def __init__(self, api: TwilioApi, account_sid: str) -> None:
        self._api = api
        self._folder = f"/2010-04-01/Accounts/{account_sid}"

    async def application(self, sid: str) -> VoiceApplication:
        """Read the application that a number names. Raises `ApiError`, and `ValueError` for no such id."""
        if not _APPLICATION.fullmatch(sid):
            raise ValueError(f"{sid!r} is not the SID of an application")
        return VoiceApplication.read(await self._api.get(PRODUCT, f"{self._folder}/Applications/{sid}.json"))

    async def list(self) -> Sequence[IncomingNumber]:
        """Read all of them, on all pages. Raises `ApiError`."""
        path = f"{self._folder}/IncomingPhoneNumbers.json"
        query: Query = [("PageSize", PAGE_SIZE)]
        found: list[IncomingNumber] = []
        seen: set[str] = set()
        while True:
            page = await self._api.get(PRODUCT, path, query=query)
            rows = page.get("incoming_phone_numbers")
            if not isinstance(rows, list):
                raise self._odd("a list without `incoming_phone_numbers`", path)
            found += [IncomingNumber.read(row) for row in rows if isinstance(row, dict)]
            following = page.get("next_page_uri")
            if not following:
                return found
            if following in seen:
                raise self._odd(f"pages that go in a circle: {following!r} came twice", path)
            seen.add(following)
            query = self._query_of(str(following), path)

    def _query_of(self, following: str, path: str) -> Query:
        """Our credentials go to the path that we know, whatever the page says."""
        url = URL(following)
        if url.is_absolute() or url.path != path:
            raise self._odd(f"a next page that is somewhere else: {following!r}", path)
        return list(url.query.items())

    def _odd(self, why: str, path: str) -> ApiError:
        return ApiError(
            Trouble.UNREADABLE, method="GET", url=self._api.url(PRODUCT, path), message=why, status=200
        )
