"""One streamed answer of an OpenAI-compatible ``/chat/completions`` endpoint.

Reference: the Chat Completions API of OpenAI (``stream: true``), and the server-sent events of the
HTML standard, section 9.2. Tolerant of what compatible servers do differently: tool calls without an
``index``, several whole calls under one index, an ``id`` or a ``name`` in every fragment, an answer
that is not streamed at all, a missing ``[DONE]``.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import AsyncGenerator, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import aiohttp
import msgspec
from yarl import URL

from voice_app.agents.failures import ModelError, broken_off, refusal

MAX_EVENT: Final = 1 << 20
"""Bytes of one event; more is no answer of a model."""
SECONDS_TO_EOF: Final = 0.05
"""How long the end of the body may take after the last word; then the connection is given up."""
_ERROR_BODY: Final = 4096
_DONE: Final = b"[DONE]"
_NO_TIMEOUT: Final = aiohttp.ClientTimeout(total=None)


@dataclass(slots=True, frozen=True)
class Endpoint:
    """A model, and where it is."""

    model: str
    base_url: str = "https://api.openai.com/v1"
    api_key: str = field(default="", repr=False)

    def url(self, path: str) -> URL:
        """The address of one of its resources."""
        return URL(f"{self.base_url.rstrip('/')}/{path}")

    @property
    def headers(self) -> dict[str, str]:
        """What goes along with every request."""
        return {"Authorization": f"Bearer {self.api_key}"} if self.api_key else {}


@dataclass(slots=True)
class ToolRequest:
    """A tool that the model wants called."""

    id: str
    name: str = ""
    arguments: str = ""
    """JSON, as the model wrote it."""


class _Function(msgspec.Struct, gc=False):
    name: str | None = None
    arguments: str | dict[str, Any] | None = None


class _Call(msgspec.Struct, gc=False):
    index: int | None = None
    id: str | None = None
    function: _Function | None = None


class _Part(msgspec.Struct, gc=False):
    type: str = ""
    text: str | None = None


class _Delta(msgspec.Struct, gc=False):
    content: str | list[_Part] | None = None
    refusal: str | None = None
    tool_calls: list[_Call] | None = None


class _Choice(msgspec.Struct, gc=False):
    delta: _Delta | None = None
    message: _Delta | None = None
    finish_reason: str | None = None


class _Chunk(msgspec.Struct, gc=False):
    choices: list[_Choice] | None = None
    error: Any = None


_decode: Final = msgspec.json.Decoder(_Chunk).decode


class EventReader:
    """Server-sent events out of bytes, however they are cut. Only ``data`` matters here."""

    __slots__ = ("_data", "_rest")

    def __init__(self) -> None:
        self._rest = b""
        self._data: bytes | None = None

    def feed(self, data: bytes) -> list[bytes]:
        """The payloads of the events that are complete now. Raises `ModelError` for an endless one."""
        lines = (self._rest + data if self._rest else data).split(b"\n")
        self._rest = lines.pop()
        if len(self._rest) > MAX_EVENT:
            raise ModelError("broken", f"the model sent an event of more than {MAX_EVENT} bytes")
        events = []
        for line in lines:
            if line[:5] == b"data:":
                self._data = line[5:] if self._data is None else self._data + b"\n" + line[5:]
            elif self._data is not None and line in (b"", b"\r"):
                events.append(self._data)
                self._data = None
        return events

    def close(self) -> list[bytes]:
        """The stream is over: its last event, if only the blank line after it is missing."""
        return self.feed(b"\n\n")


class Completion:
    """One answer while it arrives: iterate `stream` for its words, then look at `calls`.

    ``first_token`` and ``between_tokens`` are deadlines in seconds.
    """

    def __init__(self, endpoint: Endpoint, *, first_token: float, between_tokens: float) -> None:
        self.endpoint = endpoint
        self.calls: list[ToolRequest] = []
        self.finish_reason = ""
        self.spoke = False
        """Whether words of it were given out."""
        self._first_token = first_token
        self._between_tokens = between_tokens
        self._complete = False  # its end was announced
        self._done = False  # nothing more will come

    async def stream(self, http: aiohttp.ClientSession, body: Mapping[str, Any]) -> AsyncGenerator[str]:
        """Ask, and yield the words as they come: those that came together, together.

        Raises `ModelError`. Closing the generator closes the response at once.
        """
        due = time.monotonic() + self._first_token
        response = await self._request(http, msgspec.json.encode(body))
        watch = _Watch(response.close)
        read = response.content.readany
        reader = EventReader()
        try:
            if response.status != 200:
                raise await self._refused(response)
            if response.content_type == "application/json":
                watch.start(due)
                words = self._read(await response.read())
                self._complete = True
                if words:
                    yield words
            while not self._done:
                # Only waiting counts: what the caller of this does with a word is its own time.
                watch.start(due)
                data = await read()
                watch.pause()
                for event in reader.feed(data) if data else reader.close():
                    if words := self._read(event):
                        yield words
                if not data:
                    self._done = True
                due = self._next_due(due)
            watch.start(time.monotonic() + SECONDS_TO_EOF)
            while await read():  # only a connection whose body was read to its end can be used again
                pass
        except (aiohttp.ClientError, OSError) as error:
            if not self._complete:
                raise self._cut(watch, error) from None
        finally:
            watch.cancel()
            response.close()
        self._check()

    async def _request(self, http: aiohttp.ClientSession, body: bytes) -> aiohttp.ClientResponse:
        endpoint = self.endpoint
        # Unpacking a stream of 30 words would cost more than it saves.
        headers = {
            **endpoint.headers,
            "Content-Type": "application/json",
            "Accept": "text/event-stream",
            "Accept-Encoding": "identity",
        }
        try:
            async with asyncio.timeout(self._first_token):
                url = endpoint.url("chat/completions")
                return await http.post(url, data=body, headers=headers, timeout=_NO_TIMEOUT)
        except TimeoutError:
            raise self._slow() from None
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise ModelError(
                "unavailable",
                f"{endpoint.base_url} cannot be reached: {error}. Check OPENAI_BASE_URL and the network",
            ) from None

    def _next_due(self, due: float) -> float:
        if self._complete:
            return time.monotonic() + SECONDS_TO_EOF
        if self.spoke or self.calls:
            return time.monotonic() + self._between_tokens
        return due

    def _read(self, event: bytes) -> str:
        """Take in one event; return the words in it."""
        try:
            chunk = _decode(event)
        except msgspec.MsgspecError as error:
            if event.strip() == _DONE:
                self._complete = self._done = True
                return ""
            where = self.endpoint.base_url
            raise ModelError("broken", f"{where} sent what is no chat completion: {error}") from None
        if chunk.error:
            raise broken_off(self.endpoint.base_url, chunk.error)
        if not chunk.choices:
            return ""
        choice = chunk.choices[0]
        if choice.finish_reason:
            self.finish_reason, self._complete = choice.finish_reason, True
        delta = choice.delta or choice.message
        if delta is None:
            return ""
        for call in delta.tool_calls or ():
            self._assemble(call)
        words = delta.content
        if isinstance(words, list):
            words = "".join(part.text or "" for part in words if part.type == "text")
        words = words or delta.refusal or ""
        if words:
            self.spoke = True
        return words

    def _assemble(self, fragment: _Call) -> None:
        """Add a fragment to the tool call that it belongs to."""
        calls, function = self.calls, fragment.function or _Function()
        index = len(calls) - 1 if fragment.index is None else fragment.index
        current = calls[index] if 0 <= index < len(calls) else None
        if current is not None:
            names_itself = fragment.id and fragment.id != current.id
            is_whole = not fragment.id and fragment.index is None and function.name and current.arguments
            if names_itself or is_whole:
                current = next((call for call in calls if call.id == fragment.id), None)
        if current is None:
            current = ToolRequest(fragment.id or f"call_{len(calls) + 1}")
            calls.append(current)
        current.name = current.name or function.name or ""
        arguments = function.arguments or ""
        if isinstance(arguments, dict):
            arguments = msgspec.json.encode(arguments).decode()
        current.arguments += arguments

    # --- what can go wrong -----------------------------------------------------------------------

    def _check(self) -> None:
        """The stream is over: was it an answer?"""
        where, model = self.endpoint.base_url, self.endpoint.model
        if self.finish_reason == "content_filter":
            raise ModelError("filtered", f"{where} withheld the answer: a content filter")
        if not self._complete:
            raise ModelError("broken", f"the answer of {where} stops without an end")
        if self.spoke or self.calls:
            return
        if self.finish_reason == "length":
            raise ModelError("too-long", f"{model} used up its tokens before the first word: allow more")
        raise ModelError("empty", f"the answer of {model} is empty")

    def _slow(self) -> ModelError:
        where, model = self.endpoint.base_url, self.endpoint.model
        return ModelError("slow", f"no token of {model} at {where} in {self._first_token:g} seconds")

    def _cut(self, watch: _Watch, error: Exception) -> ModelError:
        where, model = self.endpoint.base_url, self.endpoint.model
        if not watch.expired:
            return ModelError("broken", f"{where} cut the answer off: {error!r}")
        if not self.spoke and not self.calls:
            return self._slow()
        return ModelError("stalled", f"no further token of {model} in {self._between_tokens:g} seconds")

    async def _refused(self, response: aiohttp.ClientResponse) -> ModelError:
        body = await response.content.read(_ERROR_BODY)
        where, model = self.endpoint.base_url, self.endpoint.model
        return refusal(where, model, response.status, response.headers, body)


class _Watch:
    """A deadline that moves with every token for the price of an attribute. One timer in all."""

    __slots__ = ("_at", "_close", "_due", "_handle", "_loop", "expired")

    def __init__(self, close: Callable[[], None]) -> None:
        self.expired = False
        self._close = close
        self._due = self._at = math.inf
        self._loop = asyncio.get_running_loop()
        self._handle: asyncio.TimerHandle | None = None

    def start(self, due: float) -> None:
        """Close at ``due`` (`time.monotonic`), if nothing comes before."""
        self._due = due
        if due < self._at:
            self._set(due - time.monotonic())

    def pause(self) -> None:
        self._due = math.inf

    def cancel(self) -> None:
        self._due = math.inf
        if self._handle is not None:
            self._handle.cancel()

    def _set(self, seconds: float) -> None:
        if self._handle is not None:
            self._handle.cancel()
        self._at = self._due
        self._handle = self._loop.call_later(max(seconds, 0), self._look)

    def _look(self) -> None:
        self._at = math.inf
        if self._due == math.inf:
            return  # paused; the next start sets the timer again
        left = self._due - time.monotonic()
        if left > 0:
            self._set(left)
            return
        self.expired = True
        self._close()
