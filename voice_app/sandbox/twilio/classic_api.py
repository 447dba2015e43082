"""``/2010-04-01/…/Calls``: places calls, reads those on the line, sends them to other TwiML, and ends them.

The phone that has a call may run in another process: it asks for instructions at ``/_sandbox/instructions``,
and waits there until there are some.

Source: https://www.twilio.com/docs/voice/api/call-resource
"""

from __future__ import annotations

import asyncio
import re
import secrets
from datetime import UTC, datetime
from email.utils import format_datetime
from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from voice_app.sandbox.phone.race import first_of
from voice_app.sandbox.twilio.account import Account, CallRecord, Resource
from voice_app.sandbox.twilio.instructions import Instruction, Placement
from voice_app.sandbox.twilio.errors import RefusedError, invalid, not_found
from voice_app.sandbox.twilio.middleware import account_of, parameters_of

LIST_PATH = "/2010-04-01/Accounts/{account_sid}/Calls.json"
PATH = "/2010-04-01/Accounts/{account_sid}/Calls/{call_sid}.json"
POLL_SECONDS = 20.0
"""How long a phone waits for instructions before it asks again."""
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


async def _create(request: Request) -> Response:
    account = account_of(request)
    if request.path_params["account_sid"] != account.sid:
        raise not_found(request.url.path)
    placement = _placement(account, await parameters_of(request))
    call = CallRecord(placement.call_sid, placement.from_, placement.to, "outbound-api")
    call.created_at = account.clock()
    account.calls[call.sid] = call
    account.instructions.give(Instruction(call_sid=call.sid, placement=placement))
    return JSONResponse(_resource(account, call, "queued"), 201)


async def _list(request: Request) -> Response:
    """The calls with these addresses, the newest first. Twilio filters by days; the double shows all."""
    account = account_of(request)
    if request.path_params["account_sid"] != account.sid:
        raise not_found(request.url.path)
    query = request.query_params
    if unknown := sorted(set(query) - {"To", "From", "StartTime>", "PageSize"}):
        raise invalid(f"{', '.join(unknown)} cannot be used in the sandbox")
    known = {**account.finished, **account.calls}.values()
    rows = [
        _resource(account, call, "in-progress" if call.sid in account.calls else "completed")
        for call in known
        if query.get("To", call.number) == call.number and query.get("From", call.caller) == call.caller
    ]
    rows.reverse()
    return JSONResponse({"calls": rows, "page": 0, "page_size": len(rows), "next_page_uri": None})


async def _fetch(request: Request) -> Response:
    account = account_of(request)
    call = _call(request, account)
    return JSONResponse(_resource(account, call, "in-progress" if call.sid in account.calls else "completed"))


async def _update(request: Request) -> Response:
    account = account_of(request)
    call = _call(request, account)
    form = {name: values[-1] for name, values in (await parameters_of(request)).items()}
    instruction = _instruction(call, form)
    if call.sid not in account.calls:
        raise RefusedError(400, 21220, "Call is not in-progress. Cannot redirect.")
    account.instructions.give(instruction)
    return JSONResponse(_resource(account, call, instruction.status or "in-progress"))


async def _delete(request: Request) -> Response:
    account = account_of(request)
    call = _call(request, account)
    if call.sid in account.calls:
        raise RefusedError(409, 20009, "Cannot delete this resource before it is complete")
    del account.finished[call.sid]
    return Response(status_code=204)


def _placement(account: Account, parameters: dict[str, list[str]]) -> Placement:
    """The call that is asked for. Raises `RefusedError` where Twilio would refuse it."""
    if unknown := sorted(parameters.keys() - _PARAMETERS):
        raise invalid(f"{', '.join(unknown)} cannot be used in the sandbox")
    form = {name: values[-1] for name, values in parameters.items()}
    url, twiml, timeout = form.get("Url", ""), form.get("Twiml"), form.get("Timeout", "60")
    if bool(url) == bool(twiml):
        raise RefusedError(400, 21205, "One of Url and Twiml is needed")
    if url:
        _check_url("Url", url, 21205)
    if twiml is not None and len(twiml) > MAX_TWIML:
        raise invalid(f"Twiml may have {MAX_TWIML} characters")
    if status_url := form.get("StatusCallback", ""):
        _check_url("StatusCallback", status_url, 21609)
    if not timeout.isdecimal() or not 1 <= int(timeout) <= MAX_RING_SECONDS:
        raise invalid(f"Timeout must be 1 to {MAX_RING_SECONDS} seconds, not {timeout!r}")
    events = tuple(parameters.get("StatusCallbackEvent", ["completed"]))
    if wrong := set(events) - set(EVENTS):
        raise RefusedError(400, 21626, f"StatusCallbackEvent {min(wrong)!r} is none of {', '.join(EVENTS)}")
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
        raise RefusedError(400, 21201, "No 'To' number is specified")
    if _ADDRESS.fullmatch(address) is None:
        raise RefusedError(400, 21211, f"The 'To' number {address} is not a valid phone number")
    return address


def _who(account: Account, number: str) -> str:
    """Only a number of the account may be shown: one that it lists, or that a call on the line came to."""
    if not number:
        raise RefusedError(400, 21213, "A 'From' phone number is required")
    if _NUMBER.fullmatch(number) is None:
        raise RefusedError(400, 21212, f"The 'From' number {number} is not a valid phone number")
    own = {item["phone_number"] for item in account.numbers}
    own.update(call.number for call in account.calls.values() if call.direction == "inbound")
    if number not in own:
        raise RefusedError(400, 21210, f"The source phone number {number} is not one of the account's")
    return number


def _check_url(name: str, url: str, code: int) -> None:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.netloc:
        raise RefusedError(400, code, f"{name} is not a valid URL: {url}")


def _method(form: dict[str, str], name: str) -> str:
    method = form.get(name, "POST").upper()
    if method not in ("GET", "POST"):
        raise RefusedError(400, 21403, f"{name} must be GET or POST")
    return method


def _instruction(call: CallRecord, form: dict[str, str]) -> Instruction:
    """What the form asks for. Raises `RefusedError` where Twilio would refuse it."""
    wanted = [name for name in ("Url", "Twiml", "Status") if form.get(name)]
    if len(wanted) != 1:
        raise invalid(f"One of Url, Twiml and Status is needed, not {' and '.join(wanted) or 'none'}")
    status, url, twiml = form.get("Status"), form.get("Url", ""), form.get("Twiml")
    if status not in (None, "completed", "canceled"):
        raise RefusedError(400, 21218, "Status must be completed or canceled")
    if url:
        _check_url("Url", url, 21205)
    if twiml is not None and len(twiml) > MAX_TWIML:
        raise invalid(f"Twiml may have {MAX_TWIML} characters")
    return Instruction(call_sid=call.sid, url=url, twiml=twiml, method=_method(form, "Method"), status=status)


def _call(request: Request, account: Account) -> CallRecord:
    call_sid = request.path_params["call_sid"]
    call = account.calls.get(call_sid) or account.finished.get(call_sid)
    if call is None or request.path_params["account_sid"] != account.sid:
        raise not_found(request.url.path)
    return call


def _resource(account: Account, call: CallRecord, status: str) -> Resource:
    now = format_datetime(datetime.fromtimestamp(account.clock(), UTC))
    return {
        "sid": call.sid,
        "account_sid": account.sid,
        "parent_call_sid": None,
        "from": call.caller,
        "to": call.number,
        "status": status,
        "direction": call.direction,
        "api_version": "2010-04-01",
        "date_created": format_datetime(datetime.fromtimestamp(call.created_at or account.clock(), UTC)),
        "date_updated": now,
        "uri": f"/2010-04-01/Accounts/{account.sid}/Calls/{call.sid}.json",
    }


async def _instructions(request: Request) -> Response:
    """Those after the ones that a phone knows, as soon as there are any.

    A phone that has only just come is not told of calls that were placed and are over.
    """
    account = account_of(request)
    instructions = account.instructions
    after = request.query_params.get("after", "0")
    known = min(int(after) if after.isdecimal() else 0, len(instructions.given))
    try:
        await first_of(instructions.arrive(known), _gone(request), asyncio.sleep(POLL_SECONDS))
    except asyncio.CancelledError:
        # The server stops. This task is its own, and an answer ends it; else uvicorn logs a traceback.
        return JSONResponse({"next": known, "instructions": []})
    told = instructions.after(known)
    current = [item for item in told if item["placement"] is None or item["call_sid"] in account.calls]
    return JSONResponse({"next": known + len(told), "instructions": current})


async def _gone(request: Request) -> None:
    """Return when the phone does not wait any more."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


ROUTES = [
    Route(LIST_PATH, _create, methods=["POST"]),
    Route(LIST_PATH, _list, methods=["GET"]),
    Route(PATH, _fetch, methods=["GET"]),
    Route(PATH, _update, methods=["POST"]),
    Route(PATH, _delete, methods=["DELETE"]),
]
DOOR_ROUTES = [Route("/instructions", _instructions, methods=["GET"])]
