"""One streamed answer of an OpenAI-compatible ``/chat/completions`` endpoint.

Reference: the Chat Completions API of OpenAI (``stream: true``). Tolerant of what compatible servers do
differently: only ``[DONE]`` or the end of the body ends an answer, whatever ``finish_reason`` said
before. A body that HTTP shows to be whole is an end also without either, unless the server is known to
announce its ends: then something between us has cut it. What cannot be read is left out, and the answer
fails only where nothing of it was of use.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import AsyncGenerator, Callable, Mapping
from typing import Any, Final

import aiohttp
import msgspec

from voice_app.agents.control_text import Opening
from voice_app.agents.endpoints import Endpoint, post, without_address
from voice_app.agents.failures import ModelError, broken_off, refusal
from voice_app.agents.sse import Chunk, EventReader, read_chunk, spoken
from voice_app.agents.text import TextRepair, cleaned_json
from voice_app.agents.tool_calls import Extras, ToolCallAssembly, ToolRequest
from voice_app.twilio import read_up_to

MAX_TOKEN: Final = 1 << 16
"""Characters of one piece of text."""
MAX_EXTRAS: Final = 1 << 20
"""Characters of the fields of an answer that we do not know; then they are let go."""
SECONDS_TO_EOF: Final = 0.05
"""How long the end of the body may take after ``[DONE]``; then the connection is given up."""
_ERROR_BODY: Final = 4096
_KNOWN: Final = frozenset({"content", "refusal", "role", "tool_calls", "function_call", "name", "audio"})
_FILTERED: Final = frozenset(
    {"content_filter", "safety", "recitation", "blocklist", "prohibited_content", "spii", "sensitive"}
)
"""Reasons of OpenAI, Gemini and GLM that mean: the answer was withheld."""
_FAILED: Final = frozenset(
    {"error", "abort", "aborted", "cancelled", "network_error", "insufficient_system_resource"}
)
"""Reasons of OpenRouter, vLLM, SGLang, GLM and DeepSeek that mean: the server could not go on."""
_NO_REASON: Final = frozenset({"", "null", "none"})


class Completion:
    """One answer while it arrives: iterate `stream` for its words, then look at `calls`.

    ``first_token`` is the deadline of the first word or call in seconds from the request; thoughts do
    not move it. ``between_tokens`` is how many seconds may pass between two signs of life: words,
    calls and thoughts alike. ``announces_its_end``: earlier answers of the endpoint had a reason or
    ``[DONE]``.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        *,
        first_token: float,
        between_tokens: float,
        announces_its_end: bool = False,
    ) -> None:
        self.endpoint = endpoint
        self.usage: Any = None
        """The tokens that it took, as the endpoint counts them."""
        self.finish_reason = ""
        self.announced = False
        """Its end was: by a reason, or ``[DONE]``."""
        self._announces_its_end = announces_its_end
        self.spoke = False
        """Whether words of it were given out. Blanks, emoji and thoughts are none."""
        self._extras = Extras()
        self._extras_size = 0
        self._assembly = ToolCallAssembly()
        self._repair = TextRepair()
        self._opening = Opening(in_thoughts="thinks-first" in endpoint.shape)
        self._first_token = first_token
        self._first_due = math.inf
        self._between_tokens = between_tokens
        self._had_content = False
        self._thinks = False
        self._done = False  # nothing more will come
        self._chunks = 0

    @property
    def calls(self) -> list[ToolRequest]:
        """The tools that it calls."""
        return self._assembly.finished()

    @property
    def extras(self) -> dict[str, Any]:
        """The fields of the message that we do not know, such as its thoughts."""
        return self._extras.merged()

    async def stream(self, http: aiohttp.ClientSession, body: Mapping[str, Any]) -> AsyncGenerator[str]:
        """Ask, and yield the words as they come.

        Closing the generator closes the response at once.

        Raises:
            ModelError: there was no answer, or it broke off.
        """
        self._first_due = due = time.monotonic() + self._first_token
        try:
            async with asyncio.timeout(self._first_token):
                response = await post(http, self.endpoint, encoded(body))
        except TimeoutError:
            raise self._slow() from None
        watch = _Watch(response.close)
        read = response.content.readany
        reader = EventReader(read_chunk)
        try:
            if response.status != 200:
                watch.start(due)
                raise await self._refused(response)
            while not self._done:
                # Only waiting counts: what the caller of this does with a word is its own time.
                watch.start(due)
                data = await read()
                watch.pause()
                seen = self._chunks
                words, failure = self._read_all(reader.feed(data) if data else reader.close())
                if words:
                    yield words
                if failure is not None:
                    raise failure
                if not data:
                    self._done = True
                elif self._chunks > seen:
                    due = self._next_due()
            watch.start(time.monotonic() + SECONDS_TO_EOF)
            while await read():  # only a connection whose body was read to its end can be used again
                pass
        except (aiohttp.ClientError, OSError) as error:
            if not self.announced:
                raise self._cut(watch, error) from None
        finally:
            watch.cancel()
            response.close()
        self._check(reader.junk, unfinished=reader.unfinished)

    def _next_due(self) -> float:
        if self.spoke or self._assembly.calls:
            return time.monotonic() + self._between_tokens
        if self._thinks:
            return min(self._first_due, time.monotonic() + self._between_tokens)
        return self._first_due

    def _read_all(self, chunks: list[Chunk]) -> tuple[str, ModelError | None]:
        """Take in chunks that came together. Returns their words, and how the answer failed after those."""
        words = ""
        try:
            for chunk in chunks:
                words += self._read(chunk)
                if self._done:
                    break
        except ModelError as error:
            return words, error
        return words, None

    def _read(self, chunk: Chunk) -> str:
        """Take in a chunk; return the words in it."""
        if chunk.done:
            self.announced = self._done = True
            return ""
        if chunk.error:
            raise broken_off(self.endpoint.where, chunk.error)
        if not chunk.choices:
            self.usage = chunk.usage or self.usage
            return ""
        self._chunks += 1
        choice = chunk.choices[0]
        words = ""
        if choice.delta is not None:
            words = self._read_delta(choice.delta)
        elif choice.message is not None and not self._had_content and not self._assembly.calls:
            # Some servers repeat the whole message behind its deltas.
            words, self.announced = self._read_delta(choice.message), True
        if choice.finish_reason is not None:
            self.usage = chunk.usage or self.usage
            self._read_reason(choice.finish_reason)
        return words

    def _read_reason(self, reason: Any) -> None:
        name = reason.strip().lower() if isinstance(reason, str) else ""
        if name in _NO_REASON:
            return
        if name in _FAILED:
            raise ModelError("broken", f"{self.endpoint.where} broke off: finish_reason is {name}")
        self.finish_reason, self.announced = name, True

    def _read_delta(self, delta: dict[str, Any]) -> str:
        words = delta.get("content")
        if self.spoke and len(delta) == 1 and isinstance(words, str) and len(words) <= MAX_TOKEN:
            return self._repair.feed(words)  # the usual case by far
        words = ""
        for key, value in delta.items():
            if value is None:
                continue
            match key:
                case "content" | "refusal":
                    words += spoken(value)
                    self._thinks = self._thinks or bool(value)
                    self._had_content = self._had_content or bool(words)
                case "tool_calls":
                    for fragment in value if isinstance(value, list) else (value,):
                        if isinstance(fragment, dict):
                            self._assembly.add(fragment)
                case "function_call" if isinstance(value, dict):
                    self._assembly.add({"function": value})
                case _ if key not in _KNOWN:
                    self._keep(key, value)
        return self._speak(words) if words else ""

    def _keep(self, key: str, value: Any) -> None:
        if not self._extras.add(key, value):
            return
        self._thinks = True
        self._extras_size += len(value) if isinstance(value, str) else 256
        if self._extras_size > MAX_EXTRAS:
            self._extras, self._extras_size = Extras(), 0

    def _speak(self, words: str) -> str:
        if len(words) > MAX_TOKEN:
            raise ModelError("broken", f"{self.endpoint.where} sent {len(words)} characters at once")
        words = self._repair.feed(words)
        if self.spoke or not words:
            return words
        words = self._opening.feed(words)
        self.spoke = bool(words)
        return words

    # --- what can go wrong -----------------------------------------------------------------------

    def _check(self, junk: bytes, *, unfinished: bool) -> None:
        """The stream is over: was it an answer? ``unfinished``: its last event was not whole."""
        where, model = self.endpoint.where, self.endpoint.model
        if self.finish_reason in _FILTERED:
            raise ModelError("filtered", f"{where} withheld the answer: {self.finish_reason}")
        if not self._chunks and junk:
            sample = junk.decode("utf-8", "replace")
            raise ModelError("broken", f"{where} sent what is no chat completion", detail=sample)
        if not self.announced and (self._announces_its_end or not self._chunks or unfinished):
            raise ModelError("broken", f"the answer of {where} stops without an end")
        if self.spoke or self.calls:
            return
        if self.finish_reason == "length":
            raise ModelError("too-long", f"{model} used up its tokens before the first word: allow more")
        raise ModelError("empty", f"the answer of {model} is empty")

    def _slow(self) -> ModelError:
        where, model = self.endpoint.where, self.endpoint.model
        return ModelError("slow", f"no token of {model} at {where} in {self._first_token:g} seconds")

    def _cut(self, watch: _Watch, error: Exception) -> ModelError:
        where, model = self.endpoint.where, self.endpoint.model
        if not watch.expired:
            return ModelError("broken", f"{where} cut the answer off: {without_address(error)}")
        if not self.spoke and not self._assembly.calls and time.monotonic() >= self._first_due - 0.01:
            return self._slow()
        return ModelError("stalled", f"no further token of {model} in {self._between_tokens:g} seconds")

    async def _refused(self, response: aiohttp.ClientResponse) -> ModelError:
        body = await read_up_to(_ERROR_BODY, response.content)
        where, model = self.endpoint.where, self.endpoint.model
        return refusal(where, model, response.status, response.headers, body)


def encoded(body: Mapping[str, Any]) -> bytes:
    """The body of a request; texts that UTF-8 cannot hold are repaired."""
    try:
        return msgspec.json.encode(body)
    except UnicodeEncodeError:
        return msgspec.json.encode(cleaned_json(body))


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
