"""Routes for signed questions (forms) and notices (JSON): limits, signature, account, and never silence."""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

import msgspec
from starlette.background import BackgroundTask
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from voice_app.runtime import Refusals, Services
from voice_app.telemetry import metrics
from voice_app.telemetry.scope import about
from voice_app.twilio.identifiers import CALL_SID
from voice_app.webhooks.request import CallRequest, Notice
from voice_app.webhooks.responses import LAST_RESORT, twiml
from voice_app.webhooks.signature import NOTICE, QUESTION, Bounds, Form, RequestRefusedError, Signatures

SMALL: Final = 8 * 1024
"""Bytes. Larger bodies are verified one at a time, so that no number of them holds up calls."""
SETTLE_SECONDS: Final = 0.25
"""How long an answer waits until other servers can read what it follows from."""
TOKEN_HEADER: Final = "I-Twilio-Idempotency-Token"  # noqa: S105 - the name of a header

DIRECT_ANSWER: Final = "voice_app.direct_answer"
"""The ASGI extension of a server that writes an answer at once: called with it, it tells whether it has."""

CallHandler = Callable[[Services, CallRequest], Awaitable[Response]]
NoticeHandler = Callable[[Services, Notice], Awaitable[None]]

log = logging.getLogger(__name__)


class DirectRoutes:
    """What answers Twilio without the layers of the framework between.

    They are a tenth of what a voice webhook costs, and as many coroutines that wait as long as a call.
    """

    def __init__(self) -> None:
        self.posts: dict[str, ASGIApp] = {}
        """By path."""
        self.sockets: dict[str, ASGIApp] = {}
        """By what stands before the token in the path."""

    def find(self, scope: Scope) -> ASGIApp | None:
        """What answers this request; `None` leaves it to the framework."""
        if scope["type"] == "http":
            return self.posts.get(scope["path"]) if scope["method"] == "POST" else None
        if scope["type"] == "websocket":
            before, _, token = scope["path"].rpartition("/")
            scope["path_params"] = {"token": token}
            return self.sockets.get(before) if token else None
        return None


class SignedRoutes:
    """Makes the routes that Twilio asks, and checks that it is Twilio who asks."""

    def __init__(self, services: Services, signatures: Signatures) -> None:
        self._services = services
        self._signatures = signatures
        self.direct_routes = DirectRoutes()
        self._large = asyncio.Lock()
        self._refusals = Refusals("request", log, "requests that were not Twilio's")

    def call(self, path: str, handler: CallHandler, bounds: Bounds = QUESTION) -> Route:
        """A route on which Twilio asks about a call. The handler gets a request with a valid CallSid.

        If the handler fails, the caller still hears a polite sentence: the failure goes to our log.
        """

        async def endpoint(request: Request) -> Response:
            try:
                found = await self._verified(request, bounds)
                if found is None:
                    return _too_large()
                _, form = found
                if form.get("AccountSid") not in (None, self._services.settings.account_sid):
                    raise RequestRefusedError("it is about another account (AccountSid)")
            except RequestRefusedError as error:
                return await self._refuse(request, error)
            if CALL_SID.fullmatch(form.get("CallSid", "")) is None:
                return PlainTextResponse("CallSid is missing or malformed", 400)
            return await self._answer(path, handler, CallRequest.of(form, form.query, request.path_params))

        async def direct(scope: Scope, receive: Receive, send: Send) -> None:
            scope["route"] = route
            response = await endpoint(Request(scope, receive))
            write = scope.get("extensions", {}).get(DIRECT_ANSWER)
            if write is None or response.status_code != 200 or not write(response):
                await response(scope, receive, send)

        route = Route(path, endpoint, methods=["GET", "POST"])
        if "{" not in path:
            self.direct_routes.posts[path] = direct
        return route

    def notice(
        self,
        path: str,
        handler: NoticeHandler,
        *,
        problem: Callable[[Mapping[str, Any]], str | None],
        key: Callable[[Mapping[str, Any]], str],
        read: Callable[[Form], Mapping[str, Any]] | None = None,
    ) -> Route:
        """A route on which Twilio reports something, as JSON; it is handled after the answer.

        It is handled once, however often it is delivered: by Twilio's token, or by ``key`` where there is
        none. ``problem`` says why a body is not what belongs here. ``read`` makes it of a form.
        """

        async def endpoint(request: Request) -> Response:
            try:
                found = await self._verified(request, NOTICE)
            except RequestRefusedError as error:
                return await self._refuse(request, error)
            if found is None:
                return _too_large()
            body, form = found
            content = _json_object(body) if read is None else read(form)
            if content is None:
                return PlainTextResponse("The body is not a JSON object", 400)
            if (wrong := problem(content)) is not None:
                return PlainTextResponse(wrong, 400)
            if _account(content) not in (None, self._services.settings.account_sid):
                other = RequestRefusedError("it is about another account (accountId)")
                return await self._refuse(request, other)
            notice = Notice(content, f"{path} {request.headers.get(TOKEN_HEADER) or key(content)}")
            if not self._services.is_new(notice.token):
                return Response()
            return Response(background=BackgroundTask(self._handle, path, handler, notice))

        return Route(path, endpoint, methods=["POST"])

    async def _answer(self, path: str, handler: CallHandler, request: CallRequest) -> Response:
        services = self._services
        if request.ended:
            services.registry.call_ended(request.call_sid)
        began = time.perf_counter()
        with about(request.about):
            try:
                response = await handler(services, request)
            except Exception:
                log.exception("call %s: %s failed", request.call_sid, path)
                response = twiml(LAST_RESORT)
            if services.journal.shared:
                # Twilio may put its next question, which follows from this answer, to another server.
                await services.journal.settle(SETTLE_SECONDS)
        metrics.STAGE_SECONDS.labels("webhook").observe(time.perf_counter() - began)
        return response

    async def _handle(self, path: str, handler: NoticeHandler, notice: Notice) -> None:
        """Twilio has its answer: a failure can only be logged."""
        try:
            await handler(self._services, notice)
        except Exception:
            log.exception("%s failed after it was answered", path)

    async def _verified(self, request: Request, bounds: Bounds) -> tuple[bytes, Form] | None:
        """The body of a request and its signed fields; None if it is too large.

        Whatever can be refused by its head is, before its body is read. Raises `RequestRefusedError`.
        """
        target = raw_target(request.scope["raw_path"], request.scope["query_string"])
        came = request.scope["headers"]
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in came}
        self._signatures.check_head(target, headers)
        if (body := await read_body(request.receive, headers, bounds.size)) is None:
            return None
        if len(body) <= SMALL:
            return body, self._signatures.check_request(request.method, target, headers, body, bounds)
        async with self._large:
            await asyncio.sleep(0)  # what calls have to do comes between two of them
            return body, self._signatures.check_request(request.method, target, headers, body, bounds)

    async def _refuse(self, request: Request, error: RequestRefusedError) -> Response:
        path = request.scope["route"].path
        await self._refusals.add("refused %s %s: %s", request.method, path, error)
        # What is left of a large body is not worth a moment: the connection ends with the answer.
        headers = {"Connection": "close"} if _declared_size(request.headers) > SMALL else None
        return PlainTextResponse("Forbidden", 403, headers)


def raw_target(path: bytes, query: bytes) -> str:
    """Path and query, byte for byte as they stood in the request line."""
    return (path + b"?" + query if query else path).decode("latin-1")


def _too_large() -> Response:
    return PlainTextResponse("Payload too large", 413, {"Connection": "close"})


def _declared_size(headers: Mapping[str, str]) -> float:
    """Bytes of the body, as its head tells: infinite where it does not."""
    return math.inf if "transfer-encoding" in headers else int(headers.get("content-length", "0"))


async def read_body(receive: Receive, headers: Mapping[str, str], limit: int) -> bytes | None:
    """The body as it came; None if it has more than ``limit`` bytes."""
    if limit < _declared_size(headers) < math.inf:
        return None
    body, more = b"", True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        body += message.get("body", b"")
        if len(body) > limit:
            return None
        more = message.get("more_body", False)
    return body


def _json_object(body: bytes) -> Mapping[str, Any] | None:
    try:
        decoded = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return decoded if isinstance(decoded, dict) else None


def _account(body: Mapping[str, Any]) -> object:
    data = body.get("data")
    told = body.get("accountId") or body.get("AccountSid")
    return told or (data.get("accountId") if isinstance(data, dict) else None)
