"""Many signed voice webhooks, as fast as a server answers them.

Every request is written and signed before the first one is sent, and a connection is a parser and nothing
else, so that the client costs a fraction of what a server does.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from time import perf_counter
from typing import Final, cast
from urllib.parse import urlencode, urlsplit

import httptools

from voice_app.sandbox.load.target import LoadError, LoadTarget, new_call_sid

ANSWER_SECONDS: Final = 15.0
"""How long Twilio waits for a webhook."""


@dataclass(slots=True)
class WebhookLoad:
    """What came of the requests."""

    answer_ms: list[float] = field(default_factory=list)
    """From the request to the whole answer, in milliseconds, one for each answer with status 200."""
    refused: dict[int, int] = field(default_factory=dict)
    """How many answers had which other status."""
    seconds: float = 0.0

    @property
    def answers(self) -> int:
        """How many answers came, whatever their status."""
        return len(self.answer_ms) + sum(self.refused.values())


async def send_webhooks(target: LoadTarget, requests: int, connections: int) -> WebhookLoad:
    """Send webhooks over ``connections`` connections, each as soon as the one before it is answered.

    Raises `LoadError` if the server cannot be reached or closes a connection.
    """
    result = WebhookLoad()
    loop = asyncio.get_running_loop()
    url = urlsplit(target.network.reachable(target.webhook))
    secure = url.scheme == "https"
    context = ssl.create_default_context() if secure else None
    port = url.port or (443 if secure else 80)
    queue = iter([_request(target) for _ in range(requests)])
    posters: list[_Poster] = []
    try:
        for _ in range(min(connections, requests)):
            _, poster = await loop.create_connection(
                lambda: _Poster(queue, result), url.hostname or "", port, ssl=context
            )
            posters.append(poster)
        began = perf_counter()
        for poster in posters:
            poster.next()
        await _answered(posters, result)
        result.seconds = perf_counter() - began
    except OSError as error:
        raise LoadError(f"nothing answers at {target.network.base}: {error.strerror or error}") from None
    finally:
        for poster in posters:
            poster.close()
    return result


async def _answered(posters: Sequence[_Poster], result: WebhookLoad) -> None:
    """Wait for every answer, as long as there are answers at all."""
    waiting = asyncio.gather(*(poster.done for poster in posters))
    while not waiting.done():
        before = result.answers
        await asyncio.wait([waiting], timeout=ANSWER_SECONDS)
        if result.answers == before and not waiting.done():
            raise LoadError(f"no webhook was answered for {ANSWER_SECONDS:g} s")
    waiting.result()


def _request(target: LoadTarget) -> bytes:
    form = target.form(new_call_sid())
    url = urlsplit(target.webhook)
    body = urlencode(form)
    lines = [
        f"POST {url.path or '/'}{'?' + url.query if url.query else ''} HTTP/1.1",
        f"Host: {url.netloc}",
        "Content-Type: application/x-www-form-urlencoded; charset=UTF-8",
        f"Content-Length: {len(body)}",
        "Accept: */*",
        "User-Agent: TwilioProxy/1.1",
        f"X-Twilio-Signature: {target.network.sign(target.webhook, form)}",
        *(f"{name}: {value}" for name, value in target.network.forwarded(target.webhook).items()),
    ]
    return ("\r\n".join(lines) + "\r\n\r\n" + body).encode()


class _Poster(asyncio.Protocol):
    """One connection that is kept open: a request, its answer, the next request."""

    def __init__(self, queue: Iterator[bytes], result: WebhookLoad) -> None:
        loop = asyncio.get_running_loop()
        self.done: asyncio.Future[None] = loop.create_future()
        self._queue = queue
        self._result = result
        self._sent_at = 0.0
        self._parser: httptools.HttpResponseParser
        self._transport: asyncio.Transport

    def next(self) -> None:
        """Send the next request, if there is one."""
        request = next(self._queue, None)
        if request is None:
            self.done.set_result(None)
            return
        self._parser = httptools.HttpResponseParser(self)
        self._sent_at = perf_counter()
        self._transport.write(request)

    def close(self) -> None:
        self.done.cancel()
        self._transport.abort()

    # --- asyncio.Protocol ------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            self._fail(f"the server's answer is not HTTP: {error}")

    def connection_lost(self, error: Exception | None) -> None:
        self._fail(f"the server closed a connection that was in use: {error or 'no reason given'}")

    # --- httptools -------------------------------------------------------------------------------

    def on_message_complete(self) -> None:
        status = self._parser.get_status_code()
        if status == 200:
            self._result.answer_ms.append((perf_counter() - self._sent_at) * 1000)
        else:
            self._result.refused[status] = self._result.refused.get(status, 0) + 1
        self.next()

    def _fail(self, why: str) -> None:
        if not self.done.done():
            self.done.set_exception(LoadError(why))
