"""The shapes of values: numbers, ids, addresses, lists."""

from __future__ import annotations

import base64
import binascii
import json
import re
from contextlib import suppress
from typing import Annotated, Any, Final
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator

E164: Final = re.compile(r"\+[1-9]\d{6,14}")
"""A phone number as Twilio writes it, with the code of its country (ITU-T E.164)."""


def matching(pattern: str | re.Pattern[str], looks_like: str) -> AfterValidator:
    """For a field: text of this shape, which is told as what it ``looks_like``."""
    compiled = re.compile(pattern)

    def check(value: str) -> str:
        if compiled.fullmatch(value) is None:
            raise ValueError(f"it should look like {looks_like}")
        return value

    return AfterValidator(check)


def zone_named(name: str) -> ZoneInfo:
    """A time zone of the IANA database. Raises `ValueError`."""
    try:
        return ZoneInfo(name[:100])
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError("it should be a time zone, such as Europe/Berlin") from None


def _zone_name(name: str) -> str:
    return zone_named(name).key


ZoneName = Annotated[str, AfterValidator(_zone_name)]
AccountSid = Annotated[str, matching(r"AC[0-9a-fA-F]{32}", "AC and 32 hexadecimal digits")]
ApiKeySid = Annotated[str, matching(r"SK[0-9a-fA-F]{32}", "SK and 32 hexadecimal digits")]
MAY_BE_EMPTY: Final = "may be empty"
"""Marks a setting for which an empty variable is a value; for every other one the default counts then."""
OptionalLine = Annotated[str, MAY_BE_EMPTY]
"""What is said to a caller, or nothing."""
PhoneNumber = Annotated[str, matching(E164, "+15550100001 (E.164)")]
ConfigurationId = Annotated[str, matching(r"conv_configuration_\w+", "conv_configuration_…")]


def words(value: object) -> Any:
    """A list that is written with commas, or in JSON."""
    if not isinstance(value, str):
        return value
    if value.lstrip().startswith("["):
        with suppress(ValueError, RecursionError):
            return json.loads(value)
    return tuple(filter(None, (part.strip() for part in value.split(","))))


def plain_address(address: str) -> str:
    """An address as tables are keyed by it: ``whatsapp:+1 555 010 0002`` is ``+15550100002``."""
    plain = address.strip().removeprefix("whatsapp:")
    return plain if not plain.startswith("+") or plain[1:].isdecimal() else re.sub(r"[\s().-]", "", plain)


def reportable(url: str) -> str:
    """An address that reports may go to: https, or anything on loopback. Raises `ValueError`."""
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
        _ = parts.port
    except ValueError:
        host, parts = "", urlsplit("")
    if parts.scheme not in ("http", "https") or not host:
        raise ValueError("it should look like https://example.com/calls")
    if parts.username is not None or parts.fragment:
        raise ValueError("it should have neither a user name nor a fragment (#): reports are signed instead")
    if parts.scheme == "http" and host not in ("127.0.0.1", "localhost", "::1"):
        raise ValueError("it should begin with https://: a report has the caller's words in it")
    return url


def webhook_key(secret: str) -> bytes:
    """The key in a secret of Standard Webhooks, ``whsec_`` and base64. Raises `ValueError`."""
    try:
        key = base64.b64decode(secret.removeprefix("whsec_"), validate=True)
    except binascii.Error:
        key = b""
    if not secret.startswith("whsec_") or not 24 <= len(key) <= 64:
        raise ValueError(
            "it should be whsec_ and 24 to 64 bytes in base64: `openssl rand -base64 32` makes them"
        )
    return key
