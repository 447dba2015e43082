"""Queries and pages, as strict as the documentation."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Collection, Iterable
from typing import Any

from starlette.requests import Request

from voice_app.sandbox.twilio.account import Resource
from voice_app.sandbox.twilio.errors import invalid

PAGE_NAMES = ("pageSize", "pageToken")
_DEFAULT_SIZE = 50
_MAX_SIZE = 1000


def known_query(request: Request, names: Collection[str] = ()) -> None:
    """Raises `RefusedError` for a parameter that does not exist, which Twilio may ignore in silence."""
    unknown = sorted(set(request.query_params) - set(names))
    if unknown:
        allowed = ", ".join(names) or "none"
        raise invalid(f"Unknown query parameter {', '.join(unknown)}; known here: {allowed}", fields=unknown)


def page(
    request: Request, key: str, items: Iterable[Resource | str], *, most: int = _MAX_SIZE
) -> dict[str, Any]:
    """One page of a list with its ``meta``. Raises `RefusedError` for a bad size or token."""
    rows = list(items)
    size = _size(request.query_params.get("pageSize"), most)
    start = _start(request.query_params.get("pageToken"))
    meta: dict[str, Any] = {"key": key, "pageSize": size}
    if start + size < len(rows):
        meta["nextToken"] = _token(start + size)
    if start > 0:
        meta["previousToken"] = _token(max(0, start - size))
    return {key: rows[start : start + size], "meta": meta}


def _size(value: str | None, most: int) -> int:
    if value is None:
        return _DEFAULT_SIZE
    if not value.isdecimal() or not 1 <= int(value) <= most:
        raise invalid(f"pageSize must be between 1 and {most}", pageSize=value)
    return int(value)


def _token(start: int) -> str:
    return base64.urlsafe_b64encode(f"from:{start}".encode()).decode()


def _start(token: str | None) -> int:
    if token is None:
        return 0
    try:
        word, _, number = base64.urlsafe_b64decode(token).decode().partition(":")
    except (binascii.Error, ValueError):
        word, number = "", ""
    if word != "from" or not number.isdecimal():
        raise invalid("pageToken is not one that a page gave out", pageToken=token)
    return int(number)
