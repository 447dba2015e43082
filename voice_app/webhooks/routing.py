"""Routes for signed questions (forms) and notices (JSON): limits, signature, account, and never silence."""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

import msgspec
from starlette.background import BackgroundTask
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from voice_app.runtime import Services
from voice_app.telemetry import metrics
from voice_app.telemetry.scope import about
from voice_app.twilio.identifiers import CALL_SID
from voice_app.webhooks.request import CallRequest, Notice
from voice_app.webhooks.responses import LAST_RESORT, twiml
from voice_app.webhooks.signature import Form, RequestRefusedError, Signatures

MAX_BODY: Final = 256 * 1024
"""Bytes. Twilio's forms have a few kilobytes; handoff data is the largest part."""
SETTLE_SECONDS: Final = 0.25
"""How long an answer waits until other servers can read what it follows from."""
TOKEN_HEADER: Final = "I-Twilio-Idempotency-Token"  # noqa: S105 - the name of a header

CallHandler = Callable[[Services, CallRequest], Awaitable[Response]]
NoticeHandler = Callable[[Services, Notice], Awaitable[None]]

log = logging.getLogger(__name__)


class ShortWays:
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
        self.short_ways = ShortWays()

    def call(self, path: str, handler: CallHandler) -> Route:
        """A route on which Twilio asks about a call. The handler gets a request with a valid CallSid.

        If the handler fails, the caller still hears a polite sentence: the failure goes to our log.
        """

        async def endpoint(request: Request) -> Response:
            try:
                form = await self._form(request)
            except RequestRefusedError as error:
                return _refuse(request, error)
            if form is None:
                return PlainTextResponse("Payload too large", 413)
            if CALL_SID.fullmatch(form.get("CallSid", "")) is None:
                return PlainTextResponse("CallSid is missing or malformed", 400)
            return await self._answer(path, handler, CallRequest.of(form, form.query, request.path_params))

        async def short_way(scope: Scope, receive: Receive, send: Send) -> None:
            scope["route"] = route
            response = await endpoint(Request(scope, receive))
            await response(scope, receive, send)

        route = Route(path, endpoint, methods=["GET", "POST"])
        if "{" not in path:
            self.short_ways.posts[path] = short_way
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
                found = await self._verified(request)
            except RequestRefusedError as error:
                return _refuse(request, error)
            if found is None:
                return PlainTextResponse("Payload too large", 413)
            body, form = found
            content = _json_object(body) if read is None else read(form)
            if content is None:
                return PlainTextResponse("The body is not a JSON object", 400)
            if (wrong := problem(content)) is not None:
                return PlainTextResponse(wrong, 400)
            if _account(content) not in (None, self._services.settings.account_sid):
                return _refuse(request, RequestRefusedError("it is about another account (accountId)"))
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

    async def _form(self, request: Request) -> Form | None:
        """The signed fields of a request; None if its body is too large.

        Raises:
            RequestRefusedError: it is not Twilio's, or about another account.
        """
        found = await self._verified(request)
        if found is None:
            return None
        _, form = found
        account = form.get("AccountSid")
        if account is not None and account != self._services.settings.account_sid:
            raise RequestRefusedError("it is about another account (AccountSid)")
        return form

    async def _verified(self, request: Request) -> tuple[bytes, Form] | None:
        """The body of a request that Twilio signed, with its fields; None if it is too large."""
        body = await read_body(request, MAX_BODY)
        if body is None:
            return None
        target = raw_target(request.scope["raw_path"], request.scope["query_string"])
        return body, self._signatures.check_request(request.method, target, request.headers, body)


def raw_target(path: bytes, query: bytes) -> str:
    """Path and query, byte for byte as they stood in the request line."""
    return (path + b"?" + query if query else path).decode("latin-1")


def _refuse(request: Request, error: RequestRefusedError) -> Response:
    log.warning("refused %s %s: %s", request.method, request.scope["route"].path, error)
    metrics.REFUSED.labels("request").inc()
    return PlainTextResponse("Forbidden", 403)


async def read_body(request: Request, limit: int) -> bytes | None:
    """The body as it came; None if it has more than ``limit`` bytes."""
    body, more = b"", True
    while more:
        message = await request.receive()
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
    except (msgspec.DecodeError, RecursionError):
        return None
    return decoded if isinstance(decoded, dict) else None


def _account(body: Mapping[str, Any]) -> object:
    data = body.get("data")
    told = body.get("accountId") or body.get("AccountSid")
    return told or (data.get("accountId") if isinstance(data, dict) else None)
