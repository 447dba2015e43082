"""The agent with a model: any OpenAI-compatible endpoint, with tools, deadlines and a second endpoint.

In one turn: the model's words are yielded as they come. Where it calls tools, a `Break` ends what was
said so far, the tools run together, and the model goes on with their results, at most `max_rounds`
times. Where an answer cannot be had, the same endpoint is asked once more and then the fallback, as
long as nothing of that answer was spoken; after that a `ModelError` tells whoever runs the agent to
say something of its own. A refusal that the model worded is spoken like any answer.

A turn may be cancelled at any moment: the response is closed at once, tools that act on the world go
on, and what they return stands in the next request (see `voice_app.agents.messages`).
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, Iterable, Iterator, Mapping, Sequence
from contextlib import aclosing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import aiohttp
from yarl import URL

from voice_app.agents import messages as model_messages
from voice_app.agents.actions import ACTIONS
from voice_app.agents.failures import ModelError
from voice_app.agents.prompt import Prompt
from voice_app.agents.protocol import Action, Break, Call, EndCall, Message, Piece, Transfer, Turn
from voice_app.agents.stream import Completion, Endpoint, ToolRequest
from voice_app.agents.toolbox import Late, ToolBox, ToolRun
from voice_app.agents.tools import Tool

SECONDS_BEFORE_A_RETRY: Final = 0.25
SECONDS_AWAY: Final = 30.0
"""How long the first endpoint is left alone after the fallback had to step in."""
SECONDS_TO_WARM: Final = 5.0
SUMMARY: Final = (
    "A colleague takes over this phone call. In at most two short sentences, to be read aloud to them: who "
    "calls, what they want, and what was tried. No greeting, no list."
)

log = logging.getLogger(__name__)


@dataclass(slots=True, frozen=True, kw_only=True)
class ChatSettings:
    """What the agent needs to know. The names in the environment stand beside."""

    model: str  # VOICE_APP_MODEL
    base_url: str = "https://api.openai.com/v1"  # OPENAI_BASE_URL
    api_key: str = field(default="", repr=False)  # OPENAI_API_KEY
    fallback_model: str = ""  # VOICE_APP_FALLBACK_MODEL
    fallback_base_url: str = ""  # VOICE_APP_FALLBACK_BASE_URL; empty: the same endpoint
    fallback_api_key: str = field(default="", repr=False)  # empty: the same key, at the same endpoint only
    prompt: Path | None = None  # VOICE_APP_PROMPT
    temperature: float | None = None
    max_tokens: int | None = None
    first_token_deadline: float = 8.0
    """Seconds until the first word of an answer."""
    between_tokens_deadline: float = 5.0
    """Seconds between two words of an answer."""
    max_rounds: int = 5
    """How often the model may be asked within one turn."""
    filler_after: float = 0.7
    """Seconds that a tool may take before its filler is spoken."""
    extra: Mapping[str, Any] = field(default_factory=dict)
    """Further fields of the request, e.g. ``{"reasoning_effort": "none"}``."""

    @property
    def endpoints(self) -> tuple[Endpoint, ...]:
        """Where to ask, the first choice first."""
        first = Endpoint(self.model, self.base_url, self.api_key)
        if not self.fallback_model:
            return (first,)
        base_url = self.fallback_base_url or self.base_url
        # A key is never sent to a host that it was not given for.
        key = self.fallback_api_key or (self.api_key if base_url == self.base_url else "")
        return (first, Endpoint(self.fallback_model, base_url, key))


class Chat:
    """An agent: call it with a call and a turn. One instance serves all calls.

    ``http`` is shared and stays the caller's to close; without it, one is made when it is first needed,
    and `close` closes it. ``late`` hears of tools that finish when nobody waits for them any more.
    """

    def __init__(
        self,
        settings: ChatSettings,
        *,
        tools: Iterable[Tool[..., Any]] = ACTIONS,
        http: aiohttp.ClientSession | None = None,
        late: Late | None = None,
    ) -> None:
        self.settings = settings
        self._prompt = Prompt.from_file(settings.prompt)
        self._tools = ToolBox(tools, late=late)
        self._http = http
        self._owns_http = http is None
        self._endpoints = settings.endpoints
        self._away_until = 0.0
        self._options = {item: _options(settings, self._tools, item) for item in self._endpoints}

    async def __call__(self, call: Call, turn: Turn) -> AsyncGenerator[Piece]:
        spoke = False
        unfinished = [run for item in model_messages.rounds(call) for run in item.runs if run.running]
        async with aclosing(self._wait(unfinished, fill=True)) as pieces:
            async for piece in pieces:
                spoke = True
                yield piece
        for action in _actions(call):
            yield action
            if isinstance(action, Transfer | EndCall):
                return
        messages = model_messages.entries(self._prompt.render(call, turn), call, turn)
        for asked in range(1, self.settings.max_rounds + 1):
            said: list[str] = []
            requests: list[ToolRequest] = []
            async with aclosing(self._ask(messages, requests, may_be_empty=spoke)) as words:
                async for text in words:
                    said.append(text)
                    yield text
            if not requests:
                return
            if asked == self.settings.max_rounds:
                break
            # Nothing acts before this was taken: a turn that is only tried out stops here.
            yield Break()
            runs = [ToolRun(item.id, item.name, item.arguments) for item in requests]
            model_messages.remember(call, turn, runs)
            for run in runs:
                self._tools.start(call, run)
            spoke = spoke or bool(said)
            async with aclosing(self._wait(runs, fill=not spoke)) as pieces:
                async for piece in pieces:
                    spoke = True
                    yield piece
            for action in _actions(call):
                yield action
                if isinstance(action, Transfer | EndCall):
                    return
                spoke = True
            messages.extend(model_messages.exchange("".join(said), runs))
        model, rounds = self.settings.model, self.settings.max_rounds
        raise ModelError("too-many-rounds", f"{model} called tools {rounds} times without an answer")

    async def warm(self, call: Call) -> None:
        """Open a connection before the first turn needs it. Never raises."""
        endpoint = self._endpoints[0]
        timeout = aiohttp.ClientTimeout(total=SECONDS_TO_WARM)
        with suppress(aiohttp.ClientError, OSError, TimeoutError, ValueError):
            async with self._session().head(
                endpoint.url("models"), headers=endpoint.headers, timeout=timeout
            ) as response:
                await response.read()

    async def summarise(self, history: Sequence[Message]) -> str:
        """What a person has to know who takes the call over. Raises `ModelError`."""
        lines = "\n".join(f"{message.role}: {message.content}" for message in history)
        messages = [{"role": "system", "content": SUMMARY}, {"role": "user", "content": lines}]
        endpoint = self._attempts()[0]
        completion = Completion(
            endpoint,
            first_token=self.settings.first_token_deadline,
            between_tokens=self.settings.between_tokens_deadline,
        )
        body = {"model": endpoint.model, "stream": True, "messages": messages}
        return "".join([text async for text in completion.stream(self._session(), body)]).strip()

    async def close(self) -> None:
        """Close the HTTP session, if it is our own."""
        if self._owns_http and self._http is not None:
            await self._http.close()

    def _session(self) -> aiohttp.ClientSession:
        if self._http is None or (self._owns_http and self._http.closed):
            # A caller thinks longer than the 15 seconds for which aiohttp keeps a connection.
            connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=75, ttl_dns_cache=300)
            self._http = aiohttp.ClientSession(connector=connector, trust_env=True)
        return self._http

    # --- asking ----------------------------------------------------------------------------------

    async def _ask(
        self, messages: list[model_messages.Entry], requests: list[ToolRequest], *, may_be_empty: bool
    ) -> AsyncGenerator[str]:
        """One answer: its words are yielded, its tool calls put into ``requests``."""
        settings = self.settings
        attempts = self._attempts()
        while True:
            endpoint = attempts.pop(0)
            completion = Completion(
                endpoint,
                first_token=settings.first_token_deadline,
                between_tokens=settings.between_tokens_deadline,
            )
            body = {"messages": messages, **self._options[endpoint]}
            try:
                async with aclosing(completion.stream(self._session(), body)) as words:
                    async for text in words:
                        yield text
            except ModelError as error:
                if error.kind == "empty" and may_be_empty:
                    return
                if completion.spoke:
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
                requests.extend(completion.calls)
                return

    def _attempts(self) -> list[Endpoint]:
        """Whom to ask, in order: the first choice twice."""
        order = list(self._endpoints)
        if time.monotonic() < self._away_until:
            order.reverse()
        return [order[0], *order]

    def _is_worth_a_retry(self, error: ModelError, attempts: list[Endpoint]) -> bool:
        """Whether to ask the same endpoint once more. The caller hears nothing meanwhile."""
        if not error.is_temporary or (error.retry_after or 0) > self.settings.first_token_deadline:
            return False
        return error.kind != "slow" or len(attempts) == 1

    # --- tools -----------------------------------------------------------------------------------

    async def _wait(self, runs: list[ToolRun], *, fill: bool) -> AsyncGenerator[Piece]:
        """Wait for tools; say their filler if they take long and nothing else was said."""
        try:
            filler = self._tools.filler(runs) if fill else ""
            if filler and not await self._tools.settle(runs, within=self.settings.filler_after):
                yield filler
                yield Break()
            await self._tools.settle(runs)
        finally:
            self._tools.leave(runs)


def _actions(call: Call) -> Iterator[Action]:
    """What tools wanted done on the call, each once."""
    for item in model_messages.rounds(call):
        for run in item.runs:
            action, run.action = run.action, None
            if action is not None:
                yield action


def _options(settings: ChatSettings, tools: ToolBox, endpoint: Endpoint) -> dict[str, Any]:
    """What is the same in every request to an endpoint."""
    options: dict[str, Any] = {"model": endpoint.model, "stream": True}
    if len(tools):
        options["tools"] = tools.definitions
    if settings.temperature is not None:
        options["temperature"] = settings.temperature
    if settings.max_tokens is not None:
        # OpenAI's newer models refuse the old name, most compatible servers know no other.
        is_openai = (URL(endpoint.base_url).host or "").endswith("openai.com")
        options["max_completion_tokens" if is_openai else "max_tokens"] = settings.max_tokens
    return {**options, **settings.extra}
