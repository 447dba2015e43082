"""``/2010-04-01/…/Calls``: reads calls that are on the line, sends them to other TwiML, and ends them.

The phone that has a call may run in another process: it asks for instructions at ``/_sandbox/instructions``,
and waits there until there are some.
"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from email.utils import format_datetime
from urllib.parse import parse_qs, urlsplit

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from voice_app.sandbox.orchestrator.account import Account, CallRecord, Resource
from voice_app.sandbox.orchestrator.instructions import Instruction
from voice_app.sandbox.orchestrator.refusals import RefusedError, invalid, not_found
from voice_app.sandbox.orchestrator.wire import account_of
from voice_app.sandbox.race import first_of

PATH = "/2010-04-01/Accounts/{account_sid}/Calls/{call_sid}.json"
POLL_SECONDS = 20.0
"""How long a phone waits for instructions before it asks again."""
MAX_TWIML = 4000
"""Characters of the parameter ``Twiml``."""


async def _fetch(request: Request) -> Response:
    account = account_of(request)
    call = _call(request, account)
    return JSONResponse(_resource(account, call, "in-progress" if call.sid in account.calls else "completed"))


async def _update(request: Request) -> Response:
    account = account_of(request)
    call = _call(request, account)
    form = {name: values[-1] for name, values in parse_qs((await request.body()).decode()).items()}
    instruction = _instruction(call, form)
    if call.sid not in account.calls:
        raise RefusedError(400, 21220, "Call is not in-progress. Cannot redirect.")
    account.instructions.give(instruction)
    return JSONResponse(_resource(account, call, instruction.status or "in-progress"))


def _instruction(call: CallRecord, form: dict[str, str]) -> Instruction:
    """What the form asks for. Raises `RefusedError` where Twilio would refuse it."""
    wanted = [name for name in ("Url", "Twiml", "Status") if form.get(name)]
    if len(wanted) != 1:
        raise invalid(f"One of Url, Twiml and Status is needed, not {' and '.join(wanted) or 'none'}")
    status, url, twiml = form.get("Status"), form.get("Url", ""), form.get("Twiml")
    if status not in (None, "completed", "canceled"):
        raise RefusedError(400, 21218, "Status must be completed or canceled")
    if url and urlsplit(url).scheme not in ("http", "https"):
        raise RefusedError(400, 21205, f"Url is not a valid URL: {url}")
    if twiml is not None and len(twiml) > MAX_TWIML:
        raise invalid(f"Twiml may have {MAX_TWIML} characters")
    method = form.get("Method", "POST").upper()
    if method not in ("GET", "POST"):
        raise RefusedError(400, 21403, "Method must be GET or POST")
    return Instruction(call_sid=call.sid, url=url, twiml=twiml, method=method, status=status)


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
        "direction": "inbound",
        "api_version": "2010-04-01",
        "date_updated": now,
        "uri": f"/2010-04-01/Accounts/{account.sid}/Calls/{call.sid}.json",
    }


async def _instructions(request: Request) -> Response:
    """Those after the ones that a phone knows, as soon as there are any."""
    instructions = account_of(request).instructions
    after = request.query_params.get("after", "0")
    known = min(int(after) if after.isdecimal() else 0, len(instructions.given))
    try:
        await first_of(instructions.arrive(known), _gone(request), asyncio.sleep(POLL_SECONDS))
    except asyncio.CancelledError:
        # The server stops. This task is its own, and an answer ends it; else uvicorn logs a traceback.
        return JSONResponse({"next": known, "instructions": []})
    told = instructions.after(known)
    return JSONResponse({"next": known + len(told), "instructions": told})


async def _gone(request: Request) -> None:
    """Return when the phone does not wait any more."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


ROUTES = [Route(PATH, _fetch, methods=["GET"]), Route(PATH, _update, methods=["POST"])]
DOOR_ROUTES = [Route("/instructions", _instructions, methods=["GET"])]
