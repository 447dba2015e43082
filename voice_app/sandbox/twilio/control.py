"""``/_sandbox``: the way in for a phone that runs in another process, and for faults on demand."""

from __future__ import annotations

import msgspec
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from voice_app.sandbox.network import Network
from voice_app.sandbox.twilio.bodies import Body, accepted
from voice_app.sandbox.twilio.faults import Fault
from voice_app.sandbox.twilio.errors import not_found
from voice_app.sandbox.twilio.transcriber import RELAY_ENGINE, Direction, LocalTranscriber, Side
from voice_app.sandbox.twilio.middleware import account_of, json_of


class _Started(Body):
    call_sid: str
    caller: str
    number: str
    configuration_id: str | None = None
    conversation_id: str | None = None
    direction: Direction = "inbound"
    engine: str = RELAY_ENGINE


class _Speech(Body):
    side: Side
    text: str
    passively: bool = False


class _FaultBody(Body):
    path: str = "*"
    method: str | None = None
    status: int | None = None
    code: int | None = None
    html: bool = False
    body: str | None = None
    delay: float = 0.0
    headers: dict[str, str] = msgspec.field(default_factory=dict)
    times: int | None = 1


async def _started(request: Request) -> Response:
    body = accepted(_Started, await json_of(request))
    conversation_id = await LocalTranscriber(account_of(request)).call_started(
        body.call_sid,
        caller=body.caller,
        number=body.number,
        configuration_id=body.configuration_id,
        conversation_id=body.conversation_id,
        direction=body.direction,
        engine=body.engine,
    )
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


async def _add_fault(request: Request) -> Response:
    body = accepted(_FaultBody, await json_of(request))
    account_of(request).faults.add(Fault(**msgspec.structs.asdict(body)))
    return JSONResponse({})


ROUTES = [
    Route("/calls", _started, methods=["POST"]),
    Route("/calls/{call_sid}/speech", _spoken, methods=["POST"]),
    Route("/calls/{call_sid}/end", _ended, methods=["POST"]),
    Route("/network", _connect, methods=["PUT"]),
    Route("/faults", _add_fault, methods=["POST"]),
]
