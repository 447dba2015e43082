"""Asks models for answers: the first choice twice, then the fallback, each in the shape that it takes.

As long as nothing of an answer was spoken, a failure is worth another request. An endpoint that refuses
the shape of a request and names the cause is asked again at once in the shape that it takes, and in
that shape from then on.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing, suppress
from dataclasses import dataclass, field
from typing import Any, Final

import aiohttp

from voice_app.agents.completions import Completion
from voice_app.agents.endpoints import ChatSettings, Endpoint, proxy_to
from voice_app.agents.failures import ModelError
from voice_app.agents.model_request import ModelRequest, used_by
from voice_app.agents.shapes import ChatEntry, named_cause, shaped, with_shape
from voice_app.agents.tool_calls import ToolRequest
from voice_app.agents.toolbox import ToolBox
from voice_app.journal.events import ModelUsed

SECONDS_BEFORE_A_RETRY: Final = 0.25
SECONDS_AWAY: Final = 30.0
"""How long the first endpoint is left alone after the fallback had to step in."""
SECONDS_TO_WARM: Final = 5.0

log = logging.getLogger(__name__)


@dataclass(slots=True)
class ModelAnswer:
    """What came of asking, beside the words."""

    endpoint: Endpoint | None = None
    requests: list[ToolRequest] = field(default_factory=list)
    extras: dict[str, Any] = field(default_factory=dict)
    """Fields of the message that have to go back with its calls."""
    spoke: bool = False
    """Whether words of it were given out."""
    used: list[ModelUsed] = field(default_factory=list)
    """The tokens that it took, of each request that came to something."""


class ModelClient:
    """The endpoints of an agent. ``http`` is shared and stays the caller's to close."""

    def __init__(self, settings: ChatSettings, tools: ToolBox, http: aiohttp.ClientSession | None) -> None:
        self._settings = settings
        self._http = http
        self._owns_http = http is None
        self._endpoints = settings.endpoints
        self._shapes = {item: item.shape for item in self._endpoints}
        self._announces_ends: set[Endpoint] = set()
        self._options = {item: _options(settings, item) for item in self._endpoints}
        self._tools: dict[str, Any] = {"tools": tools.definitions} if len(tools) else {}
        self._away_until = 0.0

    async def ask(
        self,
        messages: Callable[[Endpoint], list[ChatEntry]],
        answer: ModelAnswer,
        *,
        may_be_empty: bool = False,
    ) -> AsyncGenerator[str]:
        """Ask until there is an answer; yield its words, and fill ``answer``.

        ``messages`` makes what an endpoint is sent.

        Raises:
            ModelError: nobody answered, or an answer broke off after its first word.
        """
        attempts = self._attempts()
        while True:
            endpoint = attempts.pop(0)
            try:
                async with aclosing(self._ask_in_shape(endpoint, messages(endpoint), answer)) as words:
                    async for text in words:
                        yield text
            except ModelError as error:
                if error.kind == "empty" and may_be_empty:
                    return
                if answer.spoke or error.kind == "context-full":
                    raise
                if attempts and attempts[0] is endpoint and not self._is_worth_a_retry(error, attempts):
                    attempts.pop(0)
                if not attempts:
                    raise
                log.warning("the model failed, trying again: %s", error)
                if attempts[0] is endpoint:
                    await asyncio.sleep(error.retry_after or SECONDS_BEFORE_A_RETRY)
                elif endpoint is self._endpoints[0] and error.is_about_the_endpoint:
                    self._away_until = time.monotonic() + SECONDS_AWAY
            else:
                return

    async def ask_once(self, messages: list[ChatEntry], answer: ModelAnswer) -> str:
        """One whole answer of the endpoint that is best now, without tools; it fills ``answer``.

        Raises `ModelError`.
        """
        endpoint = self._attempts()[0]
        async with aclosing(self._ask_in_shape(endpoint, messages, answer, with_options=False)) as words:
            return "".join([text async for text in words]).strip()

    @property
    def shared(self) -> aiohttp.ClientSession | None:
        """The HTTP session that it was given."""
        return None if self._owns_http else self._http

    async def warm(self) -> None:
        """Open a connection before the first turn needs it. Never raises."""
        endpoint = self._endpoints[0]
        timeout = aiohttp.ClientTimeout(total=SECONDS_TO_WARM)
        with suppress(aiohttp.ClientError, OSError, TimeoutError, ValueError):
            url = endpoint.url("models")
            async with self._session().head(
                url, headers=endpoint.headers, proxy=proxy_to(url), timeout=timeout, allow_redirects=False
            ) as response:
                await response.read()

    async def close(self) -> None:
        """Close the HTTP session, if it is our own."""
        if self._owns_http and self._http is not None:
            await self._http.close()

    def _session(self) -> aiohttp.ClientSession:
        if self._http is None or (self._owns_http and self._http.closed):
            # A caller thinks longer than the 15 seconds for which aiohttp keeps a connection.
            connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=75, ttl_dns_cache=300)
            self._http = aiohttp.ClientSession(connector=connector)
        return self._http

    async def _ask_in_shape(
        self, endpoint: Endpoint, messages: list[ChatEntry], answer: ModelAnswer, *, with_options: bool = True
    ) -> AsyncGenerator[str]:
        """One answer of one endpoint; a refused shape is mended at once, each cause once."""
        body: dict[str, Any] = {
            "messages": messages,
            "model": endpoint.model,
            "stream": True,
            "stream_options": {"include_usage": True},
        }
        if with_options:
            body |= {**self._options[endpoint], **self._tools, **self._settings.extra}
        while True:
            shape = self._shapes[endpoint]
            request = shaped(body, shape)
            completion = Completion(
                endpoint,
                first_token=self._settings.first_token_deadline,
                between_tokens=self._settings.between_tokens_deadline,
                announces_its_end=endpoint in self._announces_ends,
            )
            said: list[str] = []
            try:
                with ModelRequest(endpoint, request) as asked:
                    try:
                        async with aclosing(completion.stream(self._session(), request)) as words:
                            async for text in words:
                                if not said:
                                    asked.first_word()
                                    answer.spoke = True
                                said.append(text)
                                yield text
                    finally:  # a caller who cuts in pays all the same
                        if said or completion.usage is not None:
                            answer.used.append(used_by(completion, request, said))
                    asked.answered(completion, said)
            except ModelError as error:
                cause = named_cause(error.refusal, request, shape) if error.refusal else None
                if cause is None or answer.spoke:
                    raise
                self._shapes[endpoint] = with_shape(self._shapes[endpoint], cause)
                log.warning(
                    "%s takes requests for %s in another shape: %s from now on (VOICE_APP_MODEL_SHAPE=%s "
                    "saves the first try). %s",
                    endpoint.where, endpoint.model, cause, ",".join(sorted(self._shapes[endpoint])), error,
                )  # fmt: skip
            else:
                if completion.announced:
                    self._announces_ends.add(endpoint)
                answer.endpoint = endpoint
                answer.requests, answer.extras = completion.calls, completion.extras
                return

    def _attempts(self) -> list[Endpoint]:
        """Whom to ask, in order: the first choice twice."""
        order = list(self._endpoints)
        if time.monotonic() < self._away_until:
            order.reverse()
        return [order[0], *order]

    def _is_worth_a_retry(self, error: ModelError, attempts: list[Endpoint]) -> bool:
        """Whether to ask the same endpoint once more. The caller hears nothing meanwhile."""
        if not error.is_temporary or (error.retry_after or 0) > self._settings.first_token_deadline:
            return False
        return error.kind != "slow" or len(attempts) == 1


def _options(settings: ChatSettings, endpoint: Endpoint) -> dict[str, Any]:
    """What the settings put into every request to an endpoint."""
    options: dict[str, Any] = {}
    if settings.temperature is not None:
        options["temperature"] = settings.temperature
    if settings.max_tokens is not None:
        # OpenAI's newer models refuse the old name, most compatible servers know no other.
        options["max_completion_tokens" if endpoint.is_openai else "max_tokens"] = settings.max_tokens
    return options
