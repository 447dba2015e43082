"""What can go wrong between us and one of Twilio's JSON APIs, as one exception with readable words."""

from __future__ import annotations

from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from enum import StrEnum
from time import time
from typing import Final

import msgspec

_LACKS_GRANT: Final = 70004
_MAX_QUOTE: Final = 200


class Trouble(StrEnum):
    """The kinds of failure that call for different advice."""

    UNAUTHENTICATED = "unauthenticated"
    LACKS_PERMISSION = "lacks-permission"
    NOT_FOUND = "not-found"
    NOT_ALLOWED = "not-allowed"
    CONFLICT = "conflict"
    RATE_LIMITED = "rate-limited"
    MOVED = "moved"
    REFUSED = "refused"
    SERVER = "server"
    UNREADABLE = "unreadable"
    TIMEOUT = "timeout"
    UNREACHABLE = "unreachable"
    FAILED = "failed"
    """Twilio took the change in and then could not make it."""


_ADVICE: Final = {
    Trouble.UNAUTHENTICATED: (
        "Check TWILIO_ACCOUNT_SID with TWILIO_AUTH_TOKEN, or TWILIO_API_KEY with TWILIO_API_SECRET, and the "
        "region. Twilio gives the same answer while the product's terms of service are not accepted in the "
        "Console."
    ),
    Trouble.LACKS_PERMISSION: (
        "The credentials are good but lack the permission: give the API key the grant for this product, or "
        "use a main key."
    ),
    Trouble.NOT_FOUND: "It does not exist in this account and region: check the id, TWILIO_ACCOUNT_SID and "
    "TWILIO_REGION.",
    Trouble.NOT_ALLOWED: "This account's API does not have this method.",
    Trouble.CONFLICT: "Something that exists already stands in the way.",
    Trouble.RATE_LIMITED: "Too many requests for this account: try again later.",
    Trouble.MOVED: "The resource lives under another address now.",
    Trouble.REFUSED: "Twilio does not accept the request as it is.",
    Trouble.SERVER: "The trouble is on Twilio's side: try again, and see status.twilio.com.",
    Trouble.UNREADABLE: (
        "The answer is not what this API is documented to send. A proxy or a captive portal in between is "
        "the usual cause; check TWILIO_REGION and VOICE_APP_TWILIO_BASE_URL."
    ),
    Trouble.TIMEOUT: "Check the network between this machine and Twilio, then try again.",
    Trouble.UNREACHABLE: (
        "Check the network, the name resolution and the firewall of this machine, TWILIO_REGION and "
        "VOICE_APP_TWILIO_BASE_URL."
    ),
    Trouble.FAILED: "Nothing was changed: correct what Twilio names, then try again.",
}


class ApiError(Exception):
    """A request to a Twilio API that did not succeed.

    The text has the request, the reason and what to do. It never has credentials in it.
    """

    def __init__(
        self,
        trouble: Trouble,
        *,
        method: str,
        url: str,
        message: str,
        status: int | None = None,
        code: int | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(trouble, method, url, message)
        self.trouble = trouble
        self.method = method
        self.url = url
        self.message = message
        self.status = status
        """The HTTP status; None where there was no answer."""
        self.code = code
        """Twilio's own error code, e.g. 20404."""
        self.headers: Mapping[str, str] = headers or {}

    @property
    def retry_after(self) -> float | None:
        """Seconds that the server asked us to wait."""
        return seconds_to_wait(self.headers)

    @property
    def conflicting_id(self) -> str | None:
        """The id of the resource that stands in the way of a 409."""
        return self.headers.get("X-Conflicting-Resource-Id")

    @property
    def advice(self) -> str:
        """What to do about it."""
        advice = _ADVICE[self.trouble]
        if self.trouble is Trouble.CONFLICT and self.conflicting_id:
            return f"{advice} It is {self.conflicting_id}."
        if self.trouble is Trouble.RATE_LIMITED and self.retry_after is not None:
            return f"{advice} Twilio asks to wait {self.retry_after:g} s."
        return advice

    @property
    def answer(self) -> str:
        """What came back, e.g. ``401 (20003): Authenticate``."""
        if self.status is None:
            return self.message
        code = f" ({self.code})" if self.code is not None and self.code != self.status else ""
        return f"{self.status}{code}: {self.message}"

    def __str__(self) -> str:
        return f"{self.method} {self.url}: {self.answer}. {self.advice}"


class _Body(msgspec.Struct, rename="camel"):
    """Both shapes of Twilio's errors, and those of RFC 9457, at once.

    https://www.twilio.com/docs/usage/twilios-response describes ``code``, ``message``, ``more_info`` and
    ``status``; Conversation Orchestrator sends ``httpStatusCode``, ``userError`` and ``params`` beside the
    first two.
    """

    code: int | str | None = None
    message: str | None = None
    title: str | None = None
    detail: str | None = None


def from_reply(method: str, url: str, status: int, headers: Mapping[str, str], body: bytes) -> ApiError:
    """Read the answer to a request that failed."""
    told = _told(body)
    try:
        code = int(told.code) if told.code is not None else None
    except ValueError:
        code = None
    message = told.message or told.detail or told.title or _quoted(body)
    return ApiError(
        _trouble(status, code),
        method=method,
        url=url,
        message=message.rstrip(". "),
        status=status,
        code=code,
        headers=headers,
    )


def unreadable(method: str, url: str, status: int, headers: Mapping[str, str], body: bytes) -> ApiError:
    """The answer says that all is well, and then it cannot be read."""
    return ApiError(
        Trouble.UNREADABLE,
        method=method,
        url=url,
        message=_quoted(body),
        status=status,
        headers=headers,
    )


def seconds_to_wait(headers: Mapping[str, str]) -> float | None:
    """The ``Retry-After`` header (RFC 9110 §10.2.3) in seconds from now, be it a number or a date."""
    value = headers.get("Retry-After", "").strip()
    if value.isdecimal():
        return float(value)
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - time())
    except ValueError:
        return None


def _trouble(status: int, code: int | None) -> Trouble:
    if code == _LACKS_GRANT:
        return Trouble.LACKS_PERMISSION
    known = {
        401: Trouble.UNAUTHENTICATED,
        403: Trouble.LACKS_PERMISSION,
        404: Trouble.NOT_FOUND,
        405: Trouble.NOT_ALLOWED,
        409: Trouble.CONFLICT,
        429: Trouble.RATE_LIMITED,
    }
    if status in known:
        return known[status]
    if status < 400:
        return Trouble.MOVED
    return Trouble.SERVER if status >= 500 else Trouble.REFUSED


def _told(body: bytes) -> _Body:
    try:
        return msgspec.json.decode(body, type=_Body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return _Body()


def _quoted(body: bytes) -> str:
    """The beginning of an answer that is not JSON, fit to stand in a sentence."""
    text = " ".join(body.decode("utf-8", "replace").split())
    if not text:
        return "an empty answer"
    kind = "a page of HTML" if text[:15].lower().startswith(("<!doctype html", "<html")) else "not JSON"
    return f"{kind} instead of an answer: {text[:_MAX_QUOTE]!r}"
