"""``/_sandbox``: the control API, for a phone that runs in another process, and for faults on demand."""

from __future__ import annotations

import asyncio
from typing import Final

import msgspec
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from voice_app.sandbox.network import Network
from voice_app.sandbox.twilio.bodies import Body, accepted
from voice_app.sandbox.twilio.errors import Fault, not_found
from voice_app.sandbox.twilio.middleware import account_of, json_of
from voice_app.sandbox.twilio.records import Instruction
from voice_app.sandbox.twilio.transcriber import CallStart, LocalTranscriber, Side

POLL_SECONDS: Final = 20.0
"""How long a phone waits for instructions before it asks again."""


class _Speech(Body):
    side: Side
    text: str
    passively: bool = False


async def _started(request: Request) -> Response:
    start = accepted(CallStart, await json_of(request))
    conversation_id = await LocalTranscriber(account_of(request)).call_started(start)
    return JSONResponse({"conversationId": conversation_id})


async def _spoken(request: Request) -> Response:
    account, call_sid = account_of(request), request.path_params["call_sid"]
    if call_sid not in account.calls:
        raise not_found(request.url.path)
    body = accepted(_Speech, await json_of(request))
    await LocalTranscriber(account).spoken(call_sid, body.side, body.text, passively=body.passively)
    return JSONResponse({})


async def _ended(request: Request) -> Response:
    await LocalTranscriber(account_of(request)).call_ended(request.path_params["call_sid"])
    return JSONResponse({})


class _NetworkBody(Body):
    base: str
    origin: str


async def _connect(request: Request) -> Response:
    """A server says where it is: the account's webhooks to its origin go there from now on."""
    account, body = account_of(request), accepted(_NetworkBody, await json_of(request))
    if not account.balanced:
        account.network = Network(body.base, body.origin, account.credentials[account.sid])
    return JSONResponse({})


class _Price(Body):
    price: str | None


async def _set_price(request: Request) -> Response:
    """What every call that is over was charged for, from now on."""
    account_of(request).call_price = accepted(_Price, await json_of(request)).price
    return JSONResponse({})


async def _add_fault(request: Request) -> Response:
    account_of(request).faults.add(accepted(Fault, await json_of(request)))
    return JSONResponse({})


async def _end_faults(request: Request) -> Response:
    """None is waiting any more."""
    account_of(request).faults.waiting.clear()
    return JSONResponse({})


async def _instructions(request: Request) -> Response:
    """The instructions after those that a phone has already, as soon as there are any.

    A phone that has only just come does not get calls that were placed and are over.
    """
    account = account_of(request)
    instructions = account.instructions
    after = request.query_params.get("after", "0")
    known = min(int(after) if after.isdecimal() else 0, len(instructions.given))
    waiting = [asyncio.create_task(instructions.arrive(known)), asyncio.create_task(_gone(request))]
    given: list[Instruction] = []
    try:
        await asyncio.wait(waiting, timeout=POLL_SECONDS, return_when=asyncio.FIRST_COMPLETED)
        given = instructions.given[known:]
    except asyncio.CancelledError:
        pass  # the server stops: this task is its own, and without an answer uvicorn logs a traceback
    finally:
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
    current = [item for item in given if item.placement is None or item.call_sid in account.calls]
    body = msgspec.json.encode({"next": known + len(given), "instructions": current})
    return Response(body, media_type="application/json")


async def _gone(request: Request) -> None:
    """Return when the phone does not wait any more."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


ROUTES = [
    Route("/calls", _started, methods=["POST"]),
    Route("/calls/{call_sid}/speech", _spoken, methods=["POST"]),
    Route("/calls/{call_sid}/end", _ended, methods=["POST"]),
    Route("/network", _connect, methods=["PUT"]),
    Route("/instructions", _instructions, methods=["GET"]),
    Route("/price", _set_price, methods=["PUT"]),
    Route("/faults", _add_fault, methods=["POST"]),
    Route("/faults", _end_faults, methods=["DELETE"]),
]
