"""What every request goes through: faults, credentials, JSON, the log, and errors in one shape."""

from __future__ import annotations

import base64
import binascii
import secrets
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
from typing import Any, TypeVar
from urllib.parse import parse_qs, urlencode
from uuid import UUID

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from voice_app.sandbox.twilio.account import SandboxAccount
from voice_app.sandbox.twilio.conversation_store import settle
from voice_app.sandbox.twilio.errors import ErrorShape, RefusedRequestError, invalid, not_found
from voice_app.sandbox.twilio.records import Json, PendingOperation

CONTROL_PATH = "/_sandbox"
"""Where the paths begin that Twilio does not have."""

T = TypeVar("T")

_WITH_BODY = frozenset({"POST", "PUT", "PATCH"})


class AccountMiddleware:
    """Stands in front of the routes."""

    def __init__(self, app: ASGIApp, account: SandboxAccount) -> None:
        self._app = app
        self._account = account

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request = Request(scope, receive)

        async def noting(message: Message) -> None:
            if message["type"] == "http.response.start":
                query = f"?{request.url.query}" if request.url.query else ""
                line = (request.method, request.url.path + query, int(message["status"]))
                self._account.requests.append(line)
            await send(message)

        answer = await self._stopped(request)
        await (answer or self._app)(scope, receive, noting)

    async def _stopped(self, request: Request) -> Response | None:
        account = self._account
        settle(account)
        shape = _shape(request)
        try:
            _right_content_type(request)
            if request.url.path.startswith(CONTROL_PATH):
                return None
            fault = account.faults.take(request)
            if fault is not None:
                answer = await fault.strike(shape)
                if answer is not None:
                    return answer
            _known_caller(request, account)
        except RefusedRequestError as refusal:
            return refusal.response(shape)
        return None


def account_of(request: Request) -> SandboxAccount:
    account: SandboxAccount = request.app.state.account
    return account


async def json_of(request: Request) -> Any:
    """The body. Raises `RefusedRequestError` (400) if it is not JSON."""
    try:
        return msgspec.json.decode(await request.body())
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise invalid(f"The request body is not JSON: {error}") from None


async def parameters_of(request: Request) -> dict[str, list[str]]:
    """The body of a form without what is empty. Raises `RefusedRequestError` (400) if it cannot be read."""
    try:
        return parse_qs((await request.body()).decode())
    except ValueError:
        raise invalid("The request body is no form") from None


def one_of(request: Request, resources: Mapping[str, T], name: str = "id") -> T:
    """The resource that the path names by this parameter. Raises `RefusedRequestError` (404)."""
    found = resources.get(request.path_params[name])
    if found is None:
        raise not_found(request.url.path)
    return found


async def refused(request: Request, error: Exception) -> Response:
    """The answer to a `RefusedRequestError`, and to what the router itself refuses."""
    if isinstance(error, HTTPException):
        if error.status_code == 404:
            error = not_found(request.url.path)
        else:
            error = RefusedRequestError(error.status_code, 20004, error.detail, headers=error.headers)
    if not isinstance(error, RefusedRequestError):
        raise error
    return error.response(_shape(request))


def started_once(request: Request, change: Callable[[], PendingOperation]) -> Response:
    """Start a change and say so; with a key that was used before, answer as before."""
    account, key = account_of(request), _idempotency_key(request)
    if key is not None and key in account.idempotency:
        return _accepted_later(request, account.idempotency[key])
    operation = change()
    if key is not None:
        account.idempotency[key] = operation
    return _accepted_later(request, operation)


def _accepted_later(request: Request, operation: PendingOperation) -> Response:
    """The 202 with which every change behind an operation begins."""
    behaviour = account_of(request).behaviour
    url = operation_url(request, operation)
    body: dict[str, Any] = {"statusUrl": behaviour.status_url or url}
    if behaviour.related != "missing":
        body["related"] = operation.related if behaviour.related == "present" else None
    headers = {
        "Operation-Id": operation.id,
        "Location": url,
        "Retry-After": str(behaviour.retry_after),
    }
    return JSONResponse(body, 202, headers)


def operation_url(request: Request, operation: PendingOperation) -> str:
    return f"{request.base_url}conversations/v2/ControlPlane/Operations/{operation.id}"


def _idempotency_key(request: Request) -> str | None:
    """The header, scoped to the request it came with. Raises `RefusedRequestError` if it is no UUID."""
    key = request.headers.get("idempotency-key")
    if key is None:
        return None
    try:
        return f"{request.method} {request.url.path} {UUID(key)}"
    except ValueError:
        raise invalid("Idempotency-Key must be a UUID") from None


def _shape(request: Request) -> ErrorShape:
    """The older APIs have one shape only."""
    return (
        "A"
        if request.url.path.startswith(("/api/", "/monitor/"))
        else account_of(request).behaviour.error_shape
    )


def _right_content_type(request: Request) -> None:
    """JSON everywhere but in the oldest of the APIs, which takes forms."""
    wanted = "application/json"
    if request.url.path.startswith("/api/"):
        wanted = "application/x-www-form-urlencoded"
    content_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if request.method in _WITH_BODY and content_type != wanted:
        raise RefusedRequestError(415, 20422, f"Content-Type must be {wanted}")


def _known_caller(request: Request, account: SandboxAccount) -> None:
    scheme, _, value = request.headers.get("authorization", "").partition(" ")
    try:
        username, _, password = base64.b64decode(value, validate=True).decode().partition(":")
    except (binascii.Error, ValueError):
        username, password = "", ""
    expected = account.credentials.get(username)
    known = expected is not None and secrets.compare_digest(expected.encode(), password.encode())
    if scheme.lower() != "basic" or not known:
        raise RefusedRequestError(
            401, 20003, "Authenticate", headers={"WWW-Authenticate": 'Basic realm="Twilio API"'}
        )
    if not account.behaviour.terms_accepted:
        raise RefusedRequestError(401, 20003, "Authenticate")
    if username in account.restricted:
        raise RefusedRequestError(401, 70004, "The API key lacks the permission for this resource")


PAGE_NAMES = ("pageSize", "pageToken")
SAMPLED_PAGE_NAMES = ("PageSize", "PageToken")
_DEFAULT_SIZE = 50
_MAX_SIZE = 1000


Handler = Callable[[Request], Awaitable[Response | Json]]
"""Answers a request; JSON alone goes with status 200."""


def route(method: str, path: str, handler: Handler, *query: str, sampled: Collection[str] = ()) -> Route:
    """A route of the JSON APIs that refuses query parameters other than these.

    ``sampled`` are those that Twilio's own samples write as its older APIs do: ``Status`` for ``status``.
    """

    async def endpoint(request: Request) -> Response:
        request = _lower_camel(request, sampled)
        _known_query(request, query)
        answer = await handler(request)
        return answer if isinstance(answer, Response) else JSONResponse(answer)

    return Route(path, endpoint, methods=[method])


def _lower_camel(request: Request, sampled: Collection[str]) -> Request:
    """The request with the names of its query as the API documents them."""
    pairs = [
        (name[0].lower() + name[1:] if name in sampled else name, value)
        for name, value in request.query_params.multi_items()
    ]
    return Request({**request.scope, "query_string": urlencode(pairs).encode()}, request.receive)


def _known_query(request: Request, names: Collection[str]) -> None:
    """Raises `RefusedRequestError` for an unknown parameter, which Twilio may ignore in silence."""
    unknown = sorted(set(request.query_params) - set(names))
    if unknown:
        allowed = ", ".join(names) or "none"
        raise invalid(f"Unknown query parameter {', '.join(unknown)}; known here: {allowed}", fields=unknown)


def page(request: Request, key: str, items: Iterable[Json | str], *, most: int = _MAX_SIZE) -> dict[str, Any]:
    """One page of a list with its ``meta``. Raises `RefusedRequestError` for a bad size or token."""
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
