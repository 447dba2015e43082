"""Twilio's JSON APIs over one shared aiohttp session.

The SDK's async client form-encodes JSON bodies and drops nulls and headers; the newer APIs take neither well.
"""

from __future__ import annotations

import logging
import re
import time
from asyncio import IncompleteReadError
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Final
from urllib.parse import urlencode

import aiohttp
import msgspec
import stamina
from multidict import CIMultiDict, CIMultiDictProxy
from stamina.instrumentation import RetryDetails, set_on_retry_hooks
from yarl import URL

from voice_app.telemetry import attributes as names
from voice_app.telemetry import metrics, traces
from voice_app.twilio.errors import ApiError, Trouble, from_reply, unreadable

PAGE_SIZE: Final = 1000
"""Items per page that we ask for: the most that the APIs allow."""

EDGES: Final[Mapping[str, str]] = {"ie1": "dublin", "au1": "sydney", "us1": "ashburn"}
"""The regions that Twilio has, with the edge through which each is reached by default."""

Query = Mapping[str, str | int] | Iterable[tuple[str, str | int]]

_RETRIED: Final = frozenset({429, 500, 502, 503, 504})
_REPEATABLE: Final = frozenset({"GET", "HEAD"})
_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
_MAX_REDIRECTS: Final = 4
_CHUNK_BYTES: Final = 64 * 1024
_MAX_ANSWER_BYTES: Final = 32 * 1024 * 1024
"""Of one answer; the longest page of a list has a hundredth of that."""
_MAX_REFUSAL_BYTES: Final = 16 * 1024
"""Of the answer to a download that failed."""

log = logging.getLogger(__name__)


def _tell_retry(details: RetryDetails) -> None:
    log.warning("%s Asking again in %.1f s.", details.caused_by, details.wait_for)


set_on_retry_hooks([_tell_retry])  # instead of Stamina's own, whose lines are for programs


@dataclass(frozen=True, slots=True)
class Credentials:
    """Who asks: an Account SID with its auth token, or an API key with its secret."""

    username: str
    password: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Patience:
    """How often a request is repeated, and how long it is waited in between (seconds)."""

    attempts: int = 3
    first_wait: float = 0.25
    longest_wait: float = 5.0
    """A ``Retry-After`` beyond this is not waited for: the request fails at once."""


@dataclass(frozen=True, slots=True)
class ApiReply:
    """An answer that says yes."""

    status: int
    headers: Mapping[str, str]
    """Names in any case."""
    body: Any
    """The decoded JSON; None where there was no body."""


class TwilioApi:
    """Requests to Twilio's products.

    The session stays the caller's, who also closes it. ``base_url`` sends everything to
    ``{base_url}/{product}/…``, as the sandbox has it; else it goes to ``https://{product}.twilio.com``, or to
    that of the edge and the region: see `domain`.
    """

    def __init__(
        self,
        session: aiohttp.ClientSession,
        credentials: Credentials,
        *,
        base_url: str | None = None,
        region: str | None = None,
        edge: str | None = None,
        timeout: float = 10.0,
        patience: Patience | None = None,
    ) -> None:
        """``timeout`` is in seconds and holds for one attempt, connecting included."""
        self._session = session
        self._authorization = aiohttp.encode_basic_auth(credentials.username, credentials.password)
        self._base_url = base_url.rstrip("/") if base_url else None
        self._domain = domain(region, edge)
        self._timeout = timeout
        self._patience = patience or Patience()

    def url(self, product: str, path: str) -> str:
        """The whole address of a path, e.g. of ``/v2/Conversations`` at ``conversations``."""
        if self._base_url is not None:
            return f"{self._base_url}/{product}{path}"
        return f"https://{product}.{self._domain}{path}"

    def owned_path(self, product: str, url: str, pattern: str) -> str | None:
        """The path of a URL that an API handed out, if it is the product's own and matches ``pattern``.

        Our credentials go with the next request, so they go to no other scheme, host or port.
        """
        own = URL(self.url(product, "/"))
        try:
            given = URL(url)
        except ValueError:
            return None
        ours = (given.scheme, given.host, given.port) == (own.scheme, own.host, own.port)
        strange = given.user is not None or given.password is not None or given.query_string or given.fragment
        if not ours or strange or not given.path.startswith(own.path):
            return None
        path = given.path[len(own.path) - 1 :]
        return path if re.fullmatch(pattern, path) else None

    async def request(
        self,
        method: str,
        product: str,
        path: str,
        *,
        query: Query = (),
        body: Any = None,
        form: Mapping[str, str] | None = None,
        idempotency_key: str | None = None,
        repeatable: bool | None = None,
    ) -> ApiReply:
        """Ask for something. Raises `ApiError` for everything but a 2xx with JSON or nothing in it.

        A request is repeated after a 429, a 5xx or a connection that failed, if it is a GET, has an
        idempotency key, or is ``repeatable`` because saying it twice is saying it once.
        """
        if repeatable is None:
            repeatable = method in _REPEATABLE or idempotency_key is not None
        headers = CIMultiDict({"Authorization": self._authorization, "Accept": "application/json"})
        data = None
        if body is not None:
            headers["Content-Type"] = "application/json"
            data = msgspec.json.encode(body)
        elif form is not None:  # the classic API takes nothing else
            headers["Content-Type"] = "application/x-www-form-urlencoded"
            data = urlencode(form).encode()
        if idempotency_key is not None:
            headers["Idempotency-Key"] = idempotency_key
        address = self.url(product, path)
        url = URL(address).with_query(_pairs(query)) if query else URL(address)
        async for attempt in self._attempts(repeatable):
            with attempt, _Request(method, product, url):
                return await self._once(method, url, headers, data)
        raise AssertionError("the last attempt returns or raises")

    async def get(self, product: str, path: str, *, query: Query = ()) -> dict[str, Any]:
        """Read one resource. Raises `ApiError`, also where the answer is no JSON object."""
        reply = await self.request("GET", product, path, query=query)
        return self.object_of(reply, "GET", product, path)

    async def delete(self, product: str, path: str) -> None:
        """Erase one resource, if it is there. Raises `ApiError`."""
        try:
            await self.request("DELETE", product, path, repeatable=True)
        except ApiError as error:
            if error.trouble is not Trouble.NOT_FOUND:
                raise

    async def items(
        self, product: str, path: str, *, query: Query = (), page_size: int = PAGE_SIZE
    ) -> AsyncIterator[dict[str, Any]]:
        """Read a list to its end, page by page. Raises `ApiError`."""
        pairs = [*_pairs(query), ("pageSize", str(page_size))]
        token: str | None = None
        seen: set[str] = set()
        while True:
            page = await self.get(product, path, query=[*pairs, *([("pageToken", token)] if token else [])])
            meta = page.get("meta")
            key = meta.get("key") if isinstance(meta, dict) else None
            rows = page.get(key) if isinstance(key, str) else None
            if not isinstance(meta, dict) or not isinstance(rows, list):
                raise self._odd("a list without `meta.key` and the items under that name", product, path)
            for row in rows:
                if isinstance(row, dict):
                    yield row
            token = meta.get("nextToken")
            if not token:
                return
            if token in seen:
                raise self._odd(f"pages that go in a circle: {token!r} came twice", product, path)
            seen.add(token)

    async def download(self, product: str, path: str, *, max_bytes: int) -> AsyncIterator[bytes]:
        """Media, such as a recording, piece by piece. Raises `ApiError`, also beyond ``max_bytes``.

        Twilio may keep media elsewhere: a redirect is followed over https only, and without our credentials.
        """
        address = own = self.url(product, path)
        try:
            for _ in range(_MAX_REDIRECTS):
                async with self._opened(address, ours=URL(address).origin() == URL(own).origin()) as response:
                    if response.status not in _REDIRECTS:
                        async for chunk in _content(response, address, max_bytes):
                            yield chunk
                        return
                    following = URL(address).join(URL(response.headers.get("Location", "")))
                if following.origin() != URL(own).origin() and following.scheme != "https":
                    break
                address = str(following)
        except TimeoutError:
            raise _failed_download(Trouble.TIMEOUT, own, "the download stalled") from None
        except (aiohttp.ClientError, OSError, ValueError) as error:
            told = f"no connection: {type(error).__name__}"
            raise _failed_download(Trouble.UNREACHABLE, own, told) from None
        raise _failed_download(Trouble.MOVED, own, "it is somewhere else, where we do not follow")

    def _opened(self, url: str, *, ours: bool) -> AbstractAsyncContextManager[aiohttp.ClientResponse]:
        """A GET that is read piece by piece. Our credentials go along only if the address is ``ours``."""
        headers = {"Authorization": self._authorization} if ours else {}
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=self._timeout, sock_read=3 * self._timeout)
        return self._session.get(URL(url), headers=headers, timeout=timeout, allow_redirects=False)

    def _attempts(self, repeatable: bool) -> Any:
        patience = self._patience

        def again(error: Exception) -> bool | float:
            if not isinstance(error, ApiError):
                return False
            if error.trouble is Trouble.UNREACHABLE:
                return True
            if error.status not in _RETRIED:
                return False
            wait = error.retry_after
            if wait is None:
                return True
            return wait if wait <= patience.longest_wait else False

        return stamina.retry_context(
            again,
            attempts=patience.attempts if repeatable else 1,
            timeout=None,
            wait_initial=patience.first_wait,
            wait_max=patience.longest_wait,
            wait_jitter=patience.first_wait,
        )

    async def _once(self, method: str, url: URL, headers: CIMultiDict[str], data: bytes | None) -> ApiReply:
        address = str(url)
        try:
            async with self._session.request(
                method,
                url,
                headers=headers,
                data=data,
                timeout=aiohttp.ClientTimeout(total=self._timeout),
                allow_redirects=False,
            ) as response:
                content = await read_up_to(_MAX_ANSWER_BYTES + 1, response.content)
        except TimeoutError:
            told = f"no answer within {self._timeout:g} s"
            raise ApiError(Trouble.TIMEOUT, method=method, url=address, message=told) from None
        except (aiohttp.ClientError, OSError) as error:
            told = f"no connection: {error}"
            raise ApiError(Trouble.UNREACHABLE, method=method, url=address, message=told) from None
        if len(content) > _MAX_ANSWER_BYTES:
            told = f"an answer of more than {_MAX_ANSWER_BYTES} bytes"
            raise ApiError(Trouble.UNREADABLE, method=method, url=address, message=told)
        return _read(method, address, response.status, response.headers, content)

    def object_of(self, reply: ApiReply, method: str, product: str, path: str) -> dict[str, Any]:
        if not isinstance(reply.body, dict):
            raise self._odd("JSON, but not an object", product, path, method=method)
        return reply.body

    def _odd(self, why: str, product: str, path: str, *, method: str = "GET") -> ApiError:
        return ApiError(
            Trouble.UNREADABLE, method=method, url=self.url(product, path), message=why, status=200
        )


class _Request:
    """One attempt at a request: how long it took, for the metrics and as a span."""

    __slots__ = ("_began", "_product", "_span")

    def __init__(self, method: str, product: str, url: URL) -> None:
        self._began = time.perf_counter()
        self._product = product
        self._span = traces.NO_SPAN
        if traces.on():  # without the path: in some there are numbers
            attributes: dict[str, traces.Attribute] = {
                names.HTTP_METHOD: method,
                names.SERVER_ADDRESS: url.host or "",
                names.SERVER_PORT: url.port or 0,
                names.TWILIO_PRODUCT: product,
            }
            self._span = traces.span(f"{method} {product}", attributes, kind="client")

    def __enter__(self) -> None:
        self._span.__enter__()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        outcome = "ok" if error is None else "cancelled"
        if isinstance(error, ApiError):
            outcome = error.trouble.value
            self._span.fail(outcome)
            if error.status is not None:
                self._span.set(names.HTTP_STATUS, error.status)
        metrics.TWILIO_SECONDS.labels(self._product, outcome).observe(time.perf_counter() - self._began)
        self._span.__exit__(None, None, None)


def _pairs(query: Query) -> list[tuple[str, str]]:
    items = query.items() if isinstance(query, Mapping) else query
    return [(name, str(value)) for name, value in items]


def _read(method: str, url: str, status: int, headers: CIMultiDictProxy[str], content: bytes) -> ApiReply:
    if not 200 <= status < 300:
        raise from_reply(method, url, status, headers, content)
    if not content.strip():
        return ApiReply(status, headers, None)
    try:
        return ApiReply(status, headers, msgspec.json.decode(content))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise unreadable(method, url, status, headers, content) from None


async def read_up_to(limit: int, content: aiohttp.StreamReader) -> bytes:
    """A body as a whole, or its first ``limit`` bytes. What came in one packet is not the whole yet."""
    try:
        return await content.readexactly(limit)
    except IncompleteReadError as end:
        return end.partial


async def _content(response: aiohttp.ClientResponse, address: str, max_bytes: int) -> AsyncIterator[bytes]:
    if response.status != 200:
        body = await read_up_to(_MAX_REFUSAL_BYTES, response.content)
        raise from_reply("GET", address, response.status, response.headers, body)
    size = 0
    async for chunk in response.content.iter_chunked(_CHUNK_BYTES):
        size += len(chunk)
        if size > max_bytes:
            raise _failed_download(Trouble.REFUSED, address, f"it has more than {max_bytes} bytes")
        yield chunk


def _failed_download(trouble: Trouble, url: str, message: str) -> ApiError:
    return ApiError(trouble, method="GET", url=url, message=message)


def domain(region: str | None, edge: str | None) -> str:
    """Where Twilio's APIs are, after the product's name.

    Outside of us1 a host has both, ``{product}.{edge}.{region}.twilio.com``: hosts with a region alone ceased
    in April 2026. An edge without a region leads to us1.
    """
    region = region or ("us1" if edge else None)
    edge = edge or (None if region == "us1" else EDGES.get(region or ""))
    return ".".join(filter(None, (edge, region if edge else None, "twilio.com")))
