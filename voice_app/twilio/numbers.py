"""The phone numbers of the account, and where their calls go.

https://www.twilio.com/docs/phone-numbers/api/incomingphonenumber-resource, the older REST API: its names are
in snake case, and a page tells the address of the next one.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final, Self

import msgspec
from yarl import URL

from voice_app.twilio.errors import ApiError, Trouble
from voice_app.twilio.http import PAGE_SIZE, Query, TwilioApi

PRODUCT: Final = "api"

_APPLICATION: Final = re.compile(r"AP[0-9a-fA-F]{32}")


class IncomingNumber(msgspec.Struct, kw_only=True, omit_defaults=True):
    """A number that can be called. What Twilio has not set is empty."""

    sid: str = ""
    phone_number: str = ""
    """E.164."""
    friendly_name: str = ""
    voice_url: str = ""
    """What is asked when a call comes in, unless an application or a trunk is set."""
    voice_fallback_url: str = ""
    status_callback: str = ""
    voice_application_sid: str = ""
    trunk_sid: str = ""
    """A SIP trunk that takes the calls."""

    @classmethod
    def read(cls, raw: Mapping[str, Any]) -> Self:
        """Raises `ApiError` where a field has a type that the API does not document."""
        try:
            return msgspec.convert({name: value for name, value in raw.items() if value is not None}, cls)
        except msgspec.ValidationError as error:
            where = f"number {raw.get('sid', 'without sid')}"
            raise ApiError(Trouble.UNREADABLE, method="GET", url=where, message=str(error)) from None


class VoiceApplication(msgspec.Struct, kw_only=True, omit_defaults=True):
    """A TwiML application: where the calls of the numbers that name it go."""

    sid: str = ""
    friendly_name: str = ""
    voice_url: str = ""
    voice_fallback_url: str = ""
    status_callback: str = ""

    @classmethod
    def read(cls, raw: Mapping[str, Any]) -> Self:
        """Raises `ApiError` where a field has a type that the API does not document."""
        try:
            return msgspec.convert({name: value for name, value in raw.items() if value is not None}, cls)
        except msgspec.ValidationError as error:
            where = f"application {raw.get('sid', 'without sid')}"
            raise ApiError(Trouble.UNREADABLE, method="GET", url=where, message=str(error)) from None


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
