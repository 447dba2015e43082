"""``/2010-04-01``: the phone numbers of the account, as the older REST API shows them."""

from __future__ import annotations

import secrets
from typing import Any
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from voice_app.sandbox.twilio.account import Account, Resource
from voice_app.sandbox.twilio.errors import RefusedError, not_found
from voice_app.sandbox.twilio.middleware import account_of

_NAMES = frozenset({"PageSize", "Page", "PageToken", "PhoneNumber", "FriendlyName", "Beta", "Origin"})
_DEFAULT_SIZE = 50
_MAX_SIZE = 1000


def add_number(account: Account, phone_number: str, **fields: Any) -> Resource:
    """Put a number into the account, and give it as the API shows it."""
    number: Resource = {
        "sid": "PN" + secrets.token_hex(16),
        "account_sid": account.sid,
        "friendly_name": phone_number,
        "phone_number": phone_number,
        "voice_url": None,
        "voice_method": "POST",
        "voice_fallback_url": None,
        "voice_fallback_method": "POST",
        "status_callback": "",
        "status_callback_method": "POST",
        "voice_application_sid": None,
        "trunk_sid": None,
        "capabilities": {"voice": True, "sms": True, "mms": True, "fax": False},
    } | fields
    account.numbers.append(number)
    return number


async def _list(request: Request) -> Response:
    account = account_of(request)
    if request.path_params["account_sid"] != account.sid:
        raise not_found(request.url.path)
    unknown = sorted(set(request.query_params) - _NAMES)
    if unknown:
        raise RefusedError(400, 20001, f"Unknown query parameter {', '.join(unknown)}")
    size = min(_whole(request, "PageSize", _DEFAULT_SIZE), _MAX_SIZE)
    number = _whole(request, "Page", 0)
    found = [item for item in account.numbers if _wanted(request, item)]
    rows = found[number * size : (number + 1) * size]
    more = (number + 1) * size < len(found)
    return JSONResponse(
        {
            "incoming_phone_numbers": rows,
            "page": number,
            "page_size": size,
            "uri": _uri(request, number, size),
            "first_page_uri": _uri(request, 0, size),
            "previous_page_uri": _uri(request, number - 1, size) if number else None,
            "next_page_uri": _uri(request, number + 1, size) if more else None,
        }
    )


def _wanted(request: Request, number: Resource) -> bool:
    wanted = request.query_params.get("PhoneNumber")
    return wanted is None or wanted in number["phone_number"]


def _whole(request: Request, name: str, default: int) -> int:
    value = request.query_params.get(name)
    if value is None:
        return default
    if not value.isdecimal():
        raise RefusedError(400, 20001, f"{name} must be a whole number")
    return int(value)


def _uri(request: Request, page: int, size: int) -> str:
    """Relative to the host, as Twilio has it. Later pages are known by the number that they begin after."""
    token = {"PageToken": f"PA{page:032x}"} if page else {}
    path = f"/2010-04-01/Accounts/{request.path_params['account_sid']}/IncomingPhoneNumbers.json"
    return f"{path}?{urlencode({'PageSize': size, 'Page': page, **token})}"


ROUTES = [
    Route("/2010-04-01/Accounts/{account_sid}/IncomingPhoneNumbers.json", _list, methods=["GET"]),
]
