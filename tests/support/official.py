"""The official SDK, with every product at the double's address."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, TypeVar
from urllib.parse import urlsplit

from twilio.http.http_client import TwilioHttpClient
from twilio.http.response import Response
from twilio.rest import Client

T = TypeVar("T")


class Redirected(TwilioHttpClient):  # type: ignore[misc]  # the SDK has no type information
    """The SDK's own client, with every product at the double's address."""

    def __init__(self, base_url: str) -> None:
        super().__init__(timeout=10)
        self._base_url = base_url

    def request(self, method: str, url: str, *args: Any, **kwargs: Any) -> Response:
        parts = urlsplit(url)
        product = (parts.hostname or "").partition(".")[0]
        return super().request(method, f"{self._base_url}/{product}{parts.path}", *args, **kwargs)


class Official:
    """The SDK's synchronous client, which blocks: each use of it runs in a thread."""

    def __init__(self, base_url: str, account_sid: str, token: str) -> None:
        self._client = Client(account_sid, token, http_client=Redirected(base_url))

    async def __call__(self, use: Callable[[Any], T]) -> T:
        return await asyncio.to_thread(use, self._client)
