"""The door for what Twilio tells without waiting for an answer: signed JSON, handled after the answer."""

from __future__ import annotations

import logging
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, Final

import msgspec
from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from voice_app import telemetry
from voice_app.journal import JournalError
from voice_app.webhooks.desk import Desk
from voice_app.webhooks.signature import RefusedError
from voice_app.webhooks.signed import CALL_SID, body_of, target

TOKEN_HEADER: Final = "I-Twilio-Idempotency-Token"  # noqa: S105 - the name of a header

_CONVERSATION_ID = re.compile(r"conv_conversation_[0-9A-Za-z_-]{1,100}")

log = logging.getLogger(__name__)


@dataclass(slots=True, frozen=True)
class Notice:
    """Something that Twilio told."""

    body: Mapping[str, Any]
    token: str
    """The same for every delivery of it, to whichever server."""

    def name(self, part: str = "") -> str:
        """What the journal knows a part of it by, to keep it once."""
        return blake2b(f"{self.token} {part}".encode(errors="replace"), digest_size=16).hexdigest()


Check = Callable[[Mapping[str, Any]], str | None]
Key = Callable[[Mapping[str, Any]], str]
Handler = Callable[[Desk, Notice], Awaitable[None]]


def notice_route(path: str, handler: Handler, desk: Desk, *, check: Check, key: Key) -> Route:
    """A route on which Twilio tells something as JSON.

    It is handled once, however often it is delivered: what is the same is known by Twilio's token, or by
    ``key`` where there is none. ``check`` says why a body is not what belongs here.
    """

    async def endpoint(request: Request) -> Response:
        try:
            body = await _body(request, desk)
        except RefusedError as error:
            log.warning("refused %s %s: %s", request.method, path, error)
            telemetry.REFUSED.labels("request").inc()
            return PlainTextResponse("Forbidden", 403)
        if body is None:
            return PlainTextResponse("Payload too large", 413)
        told = _read(body)
        if told is None:
            return PlainTextResponse("The body is not a JSON object", 400)
        problem = check(told)
        if problem is not None:
            return PlainTextResponse(problem, 400)
        if _account(told) not in (None, desk.settings.account_sid):
            log.warning("refused %s %s: it is about another account (accountId)", request.method, path)
            return PlainTextResponse("Forbidden", 403)
        notice = Notice(told, f"{path} {request.headers.get(TOKEN_HEADER) or key(told)}")
        if not desk.seen.first(notice.token):
            return Response()
        return Response(background=BackgroundTask(_handle, path, handler, desk, notice))

    return Route(path, endpoint, methods=["POST"])


async def subject(desk: Desk, conversation_id: object, call_sid: str | None) -> str:
    """Under which id of the journal a notice belongs.

    That of its call, be it named or known from its conversation; else that of the conversation; and what
    names neither belongs to the account.
    """
    if not isinstance(conversation_id, str) or _CONVERSATION_ID.fullmatch(conversation_id) is None:
        return call_sid or desk.settings.account_sid or ""
    if call_sid is not None:
        desk.directory.link(conversation_id, call_sid)
        return call_sid
    try:
        return await desk.directory.call_of(conversation_id) or conversation_id
    except JournalError:  # it is in the log
        return conversation_id


def call_sid_in(data: Mapping[str, Any]) -> str | None:
    """The CallSid that a resource names: of itself, or of one of its addresses."""
    addresses = data.get("addresses")
    for item in (data, *(addresses if isinstance(addresses, list) else ())):
        channel_id = item.get("channelId") if isinstance(item, dict) else None
        if isinstance(channel_id, str) and CALL_SID.fullmatch(channel_id):
            return channel_id
    return None


async def _body(request: Request, desk: Desk) -> bytes | None:
    body = await body_of(request)
    if body is not None:
        desk.signatures.check_request(request.method, target(request), request.headers, body)
    return body


def _read(body: bytes) -> Mapping[str, Any] | None:
    try:
        decoded = msgspec.json.decode(body)
    except (msgspec.DecodeError, RecursionError):
        return None
    return decoded if isinstance(decoded, dict) else None


def _account(body: Mapping[str, Any]) -> object:
    data = body.get("data")
    return body.get("accountId") or (data.get("accountId") if isinstance(data, dict) else None)


async def _handle(path: str, handler: Handler, desk: Desk, notice: Notice) -> None:
    """Twilio has its answer: a failure can only be logged."""
    try:
        await handler(desk, notice)
    except Exception:
        log.exception("%s failed after it was answered", path)
