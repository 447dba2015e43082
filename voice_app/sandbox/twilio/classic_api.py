"""``/2010-04-01``: calls, phone numbers and recordings, as the oldest of the REST APIs has them.

Calls are placed, read, sent to other TwiML, and ended. Recordings are there until they are erased.

Source: https://www.twilio.com/docs/voice/api/call-resource and https://www.twilio.com/docs/voice/api/recording
"""

from __future__ import annotations

import re
import secrets
from collections import ChainMap
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from email.utils import format_datetime
from urllib.parse import urlencode, urlsplit

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from voice_app.sandbox.twilio.account import SandboxAccount
from voice_app.sandbox.twilio.errors import RefusedRequestError, invalid, not_found
from voice_app.sandbox.twilio.middleware import account_of, one_of, parameters_of
from voice_app.sandbox.twilio.records import Instruction, Json, Placement, SandboxCall

MAX_TWIML = 4000
"""Characters of the parameter ``Twiml``."""
MAX_RING_SECONDS = 600
EVENTS = ("initiated", "ringing", "answered", "completed")
_PARAMETERS = frozenset(
    {
        "To",
        "From",
        "Url",
        "Twiml",
        "Method",
        "StatusCallback",
        "StatusCallbackEvent",
        "StatusCallbackMethod",
        "Timeout",
    }
)
"""Twilio has more; what they do is not simulated, and so they are refused."""
_NUMBER = re.compile(r"\+[1-9]\d{6,14}")
_ADDRESS = re.compile(r"\+[1-9]\d{6,14}|client:\S+|sips?:\S+@\S+")
_NUMBER_FILTERS = frozenset(
    {"PageSize", "Page", "PageToken", "PhoneNumber", "FriendlyName", "Beta", "Origin"}
)
_DEFAULT_SIZE = 50
_MAX_SIZE = 1000


async def _create_call(request: Request) -> Response:
    account = account_of(request)
    placement = _placement(account, await parameters_of(request))
    call = SandboxCall(placement.call_sid, placement.from_, placement.to, "outbound-api")
    call.created_at = account.clock()
    account.calls[call.sid] = call
    account.instructions.give(Instruction(call_sid=call.sid, placement=placement))
    return JSONResponse(_resource(account, call, "queued"), 201)


async def _calls(request: Request) -> Response:
    """The calls with these addresses, the newest first. Twilio filters by days; the double shows all."""
    account = account_of(request)
    query = request.query_params
    if unknown := sorted(set(query) - {"To", "From", "StartTime>", "PageSize"}):
        raise invalid(f"{', '.join(unknown)} cannot be used in the sandbox")
    known = {**account.finished, **account.calls}.values()
    rows = [
        _resource(account, call)
        for call in known
        if query.get("To", call.number) == call.number and query.get("From", call.caller) == call.caller
    ]
    rows.reverse()
    return JSONResponse({"calls": rows, "page": 0, "page_size": len(rows), "next_page_uri": None})


async def _fetch_call(request: Request) -> Response:
    account = account_of(request)
    call = _call(request, account)
    return JSONResponse(_resource(account, call))


async def _update_call(request: Request) -> Response:
    account = account_of(request)
    call = _call(request, account)
    form = {name: values[-1] for name, values in (await parameters_of(request)).items()}
    instruction = _instruction(call, form)
    if call.sid not in account.calls:
        raise RefusedRequestError(400, 21220, "Call is not in-progress. Cannot redirect.")
    account.instructions.give(instruction)
    return JSONResponse(_resource(account, call, instruction.status or "in-progress"))


async def _delete_call(request: Request) -> Response:
    account = account_of(request)
    call = _call(request, account)
    if call.sid in account.calls:
        raise RefusedRequestError(409, 20009, "Cannot delete this resource before it is complete")
    del account.finished[call.sid]
    return Response(status_code=204)


def _placement(account: SandboxAccount, parameters: dict[str, list[str]]) -> Placement:
    """The call that is asked for. Raises `RefusedRequestError` where Twilio would refuse it."""
    if unknown := sorted(parameters.keys() - _PARAMETERS):
        raise invalid(f"{', '.join(unknown)} cannot be used in the sandbox")
    form = {name: values[-1] for name, values in parameters.items()}
    url, twiml, timeout = form.get("Url", ""), form.get("Twiml"), form.get("Timeout", "60")
    if bool(url) == bool(twiml):
        raise RefusedRequestError(400, 21205, "One of Url and Twiml is needed")
    _check_document(url, twiml)
    if status_url := form.get("StatusCallback", ""):
        _check_url("StatusCallback", status_url, 21609)
    if not timeout.isdecimal() or not 1 <= int(timeout) <= MAX_RING_SECONDS:
        raise invalid(f"Timeout must be 1 to {MAX_RING_SECONDS} seconds, not {timeout!r}")
    events = tuple(parameters.get("StatusCallbackEvent", ["completed"]))
    if wrong := set(events) - set(EVENTS):
        raise RefusedRequestError(
            400, 21626, f"StatusCallbackEvent {min(wrong)!r} is none of {', '.join(EVENTS)}"
        )
    return Placement(
        call_sid="CA" + secrets.token_hex(16),
        to=_whom(form.get("To", "")),
        from_=_who(account, form.get("From", "")),
        url=url,
        twiml=twiml,
        method=_method(form, "Method"),
        status_url=status_url,
        status_events=events,
        status_method=_method(form, "StatusCallbackMethod"),
        timeout=int(timeout),
    )


def _whom(address: str) -> str:
    if not address:
        raise RefusedRequestError(400, 21201, "No 'To' number is specified")
    if _ADDRESS.fullmatch(address) is None:
        raise RefusedRequestError(400, 21211, f"The 'To' number {address} is not a valid phone number")
    return address


def _who(account: SandboxAccount, number: str) -> str:
    """Only a number of the account may be shown: one that it lists, or that a call on the line came to."""
    if not number:
        raise RefusedRequestError(400, 21213, "A 'From' phone number is required")
    if _NUMBER.fullmatch(number) is None:
        raise RefusedRequestError(400, 21212, f"The 'From' number {number} is not a valid phone number")
    own = {item["phone_number"] for item in account.numbers}
    own.update(call.number for call in account.calls.values() if call.direction == "inbound")
    if number not in own:
        raise RefusedRequestError(400, 21210, f"The source phone number {number} is not one of the account's")
    return number


def _check_document(url: str, twiml: str | None) -> None:
    """What a call is to do: TwiML, or where it is asked for."""
    if url:
        _check_url("Url", url, 21205)
    if twiml is not None and len(twiml) > MAX_TWIML:
        raise invalid(f"Twiml may have {MAX_TWIML} characters")


def _check_url(name: str, url: str, code: int) -> None:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.netloc:
        raise RefusedRequestError(400, code, f"{name} is not a valid URL: {url}")


def _method(form: dict[str, str], name: str) -> str:
    method = form.get(name, "POST").upper()
    if method not in ("GET", "POST"):
        raise RefusedRequestError(400, 21403, f"{name} must be GET or POST")
    return method


def _instruction(call: SandboxCall, form: dict[str, str]) -> Instruction:
    """What the form asks for. Raises `RefusedRequestError` where Twilio would refuse it."""
    wanted = [name for name in ("Url", "Twiml", "Status") if form.get(name)]
    if len(wanted) != 1:
        raise invalid(f"One of Url, Twiml and Status is needed, not {' and '.join(wanted) or 'none'}")
    status, url, twiml = form.get("Status"), form.get("Url", ""), form.get("Twiml")
    if status not in (None, "completed", "canceled"):
        raise RefusedRequestError(400, 21218, "Status must be completed or canceled")
    _check_document(url, twiml)
    return Instruction(call_sid=call.sid, url=url, twiml=twiml, method=_method(form, "Method"), status=status)


def _call(request: Request, account: SandboxAccount) -> SandboxCall:
    return one_of(request, ChainMap(account.calls, account.finished), "call_sid")


def _resource(account: SandboxAccount, call: SandboxCall, status: str = "") -> Json:
    """A call as the API shows it; without a ``status``, whether it is on the line or over."""
    now = format_datetime(datetime.fromtimestamp(account.clock(), UTC))
    return {
        "sid": call.sid,
        "account_sid": account.sid,
        "parent_call_sid": None,
        "from": call.caller,
        "to": call.number,
        "status": status or ("in-progress" if call.sid in account.calls else "completed"),
        "direction": call.direction,
        "price": None if call.sid in account.calls else account.call_price,
        "price_unit": "USD",
        "api_version": "2010-04-01",
        "date_created": format_datetime(datetime.fromtimestamp(call.created_at or account.clock(), UTC)),
        "date_updated": now,
        "uri": f"/2010-04-01/Accounts/{account.sid}/Calls/{call.sid}.json",
    }


# --- phone numbers


async def _numbers(request: Request) -> Response:
    account = account_of(request)
    unknown = sorted(set(request.query_params) - _NUMBER_FILTERS)
    if unknown:
        raise RefusedRequestError(400, 20001, f"Unknown query parameter {', '.join(unknown)}")
    size = min(_whole(request, "PageSize", _DEFAULT_SIZE), _MAX_SIZE)
    number = _whole(request, "Page", 0)
    found = [item for item in account.numbers if _is_wanted_number(request, item)]
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


def _is_wanted_number(request: Request, number: Json) -> bool:
    wanted = request.query_params.get("PhoneNumber")
    return wanted is None or wanted in number["phone_number"]


def _whole(request: Request, name: str, default: int) -> int:
    value = request.query_params.get(name)
    if value is None:
        return default
    if not value.isdecimal():
        raise RefusedRequestError(400, 20001, f"{name} must be a whole number")
    return int(value)


def _uri(request: Request, page: int, size: int) -> str:
    """Relative to the host, as Twilio has it. Later pages are known by the number that they begin after."""
    token = {"PageToken": f"PA{page:032x}"} if page else {}
    path = f"/2010-04-01/Accounts/{request.path_params['account_sid']}/IncomingPhoneNumbers.json"
    return f"{path}?{urlencode({'PageSize': size, 'Page': page, **token})}"


async def _application(request: Request) -> Response:
    return JSONResponse(one_of(request, account_of(request).applications, "application_sid"))


# --- recordings


async def _media(request: Request) -> Response:
    media = one_of(request, account_of(request).recordings, "recording_sid")
    return Response(media, media_type="audio/mpeg")


async def _delete_recording(request: Request) -> Response:
    recordings = account_of(request).recordings
    one_of(request, recordings, "recording_sid")
    del recordings[request.path_params["recording_sid"]]
    return Response(status_code=204)


def _route(method: str, path: str, handler: Callable[[Request], Awaitable[Response]]) -> Route:
    """A route below the account's path; any other account is not found."""

    async def endpoint(request: Request) -> Response:
        if request.path_params["account_sid"] != account_of(request).sid:
            raise not_found(request.url.path)
        return await handler(request)

    return Route("/2010-04-01/Accounts/{account_sid}" + path, endpoint, methods=[method])


ROUTES = [
    _route("POST", "/Calls.json", _create_call),
    _route("GET", "/Calls.json", _calls),
    _route("GET", "/Calls/{call_sid}.json", _fetch_call),
    _route("POST", "/Calls/{call_sid}.json", _update_call),
    _route("DELETE", "/Calls/{call_sid}.json", _delete_call),
    _route("GET", "/IncomingPhoneNumbers.json", _numbers),
    _route("GET", "/Applications/{application_sid}.json", _application),
    _route("GET", "/Recordings/{recording_sid}.mp3", _media),
    _route("DELETE", "/Recordings/{recording_sid}.json", _delete_recording),
]
