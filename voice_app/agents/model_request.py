"""What one request to a model took and cost: for the metrics, and as a span."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, Final, Self

import msgspec

from voice_app.agents.completions import Completion
from voice_app.agents.endpoints import Endpoint
from voice_app.agents.failures import ModelError
from voice_app.journal.events import ModelUsed
from voice_app.telemetry import DETAIL, metrics, traces
from voice_app.telemetry import attributes as names
from voice_app.telemetry.scope import TURN

log = logging.getLogger(__name__)

CHARACTERS_OF_A_TOKEN: Final = 4
"""About so many, in English."""
TOKENS_OF_A_PRICE: Final = 1_000_000
"""A price is for so many tokens."""


class ModelRequest:
    """One request, from its sending to the last word of its answer. Use it in a ``with`` statement."""

    __slots__ = ("_began", "_endpoint", "_span")

    def __init__(self, endpoint: Endpoint, body: Mapping[str, Any]) -> None:
        self._endpoint = endpoint
        self._began = time.monotonic()
        turn = TURN.get()
        if turn is not None and not turn.model_asked:
            turn.model_asked = True
            metrics.STAGE_SECONDS.labels("prompt_to_model").observe(self._began - turn.began)
        self._span = traces.NO_SPAN if not traces.on() else _span(endpoint, body)

    def __enter__(self) -> Self:
        self._span.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(error, ModelError):
            metrics.MODEL_ERRORS.labels(self._endpoint.model, error.kind).inc()
            self._span.fail(error.kind)
            if error.detail:
                log.debug("%s says: %s", self._endpoint.where, error.detail, extra=DETAIL)
            kind, error, trace = None, None, None
        self._span.__exit__(kind, error, trace)

    def first_word(self) -> None:
        """The first word has come."""
        seconds = time.monotonic() - self._began
        metrics.STAGE_SECONDS.labels("model_to_first_token").observe(seconds)
        self._span.set(names.FIRST_CHUNK_SECONDS, seconds)

    def answered(self, completion: Completion, said: list[str]) -> None:
        """The answer is complete."""
        span, model, usage = self._span, self._endpoint.model, TokenUsage.read(completion.usage)
        if completion.finish_reason:
            span.set(names.FINISH_REASONS, [completion.finish_reason])
        span.content(names.OUTPUT_MESSAGES, lambda: traces.messages([("assistant", "".join(said))]))
        if usage is None:
            return
        for name, direction, tokens in (
            (names.INPUT_TOKENS, "input", usage.input),
            (names.OUTPUT_TOKENS, "output", usage.output),
            (names.CACHED_TOKENS, "cached", usage.cached),
        ):
            metrics.MODEL_TOKENS.labels(model, direction).inc(tokens)
            span.set(name, tokens)
        if self._endpoint.price:
            metrics.MODEL_COST.labels(model).inc(usage.cost(self._endpoint.price))


class TokenUsage(msgspec.Struct, frozen=True):
    """How many tokens an answer took. Those that the endpoint had ``cached`` are among the ``input``."""

    input: int
    output: int
    cached: int = 0

    @classmethod
    def read(cls, usage: object) -> Self | None:
        """The ``usage`` of a chat completion; None where there is none."""
        if not isinstance(usage, Mapping):
            return None
        details = usage.get("prompt_tokens_details")
        cached = _count(details.get("cached_tokens")) if isinstance(details, Mapping) else 0
        given = _count(usage.get("prompt_tokens"))
        return cls(given, _count(usage.get("completion_tokens")), min(cached, given))

    def cost(self, price: tuple[float, ...]) -> float:
        """By the price of a million tokens that are sent, that come back, and that were cached."""
        sent, received = price[0], price[1]
        cached = price[2] if len(price) > 2 else sent
        total = (self.input - self.cached) * sent + self.output * received + self.cached * cached
        return total / TOKENS_OF_A_PRICE


def used_by(completion: Completion, request: Mapping[str, Any], said: Sequence[str]) -> ModelUsed:
    """The tokens that a request took: as the endpoint counts them, else guessed from the text."""
    model, usage = completion.endpoint.model, TokenUsage.read(completion.usage)
    if usage is not None:
        return ModelUsed(model, usage.input, usage.output, usage.cached)
    sent = sum(len(str(entry.get("content") or "")) for entry in request["messages"])
    sent += len(request["tools"]) if isinstance(request.get("tools"), bytes | msgspec.Raw) else 0
    received = sum(map(len, said))
    return ModelUsed(
        model, -(-sent // CHARACTERS_OF_A_TOKEN), -(-received // CHARACTERS_OF_A_TOKEN), estimated=True
    )


def _count(value: object) -> int:
    return int(value) if isinstance(value, int | float) and value > 0 else 0


def _span(endpoint: Endpoint, body: Mapping[str, Any]) -> traces.Span:
    attributes: dict[str, traces.Attribute] = {
        names.OPERATION: "chat",
        names.PROVIDER: "azure.ai.openai" if endpoint.host.endswith("azure.com") else "openai",
        names.REQUEST_MODEL: endpoint.model,
        names.REQUEST_STREAM: bool(body.get("stream")),
        names.SERVER_ADDRESS: endpoint.host,
    }
    for name, keys in (
        (names.REQUEST_TEMPERATURE, ("temperature",)),
        (names.REQUEST_MAX_TOKENS, ("max_tokens", "max_completion_tokens")),
    ):
        if (value := next((body[key] for key in keys if key in body), None)) is not None:
            attributes[name] = value
    span = traces.span(f"chat {endpoint.model}", attributes, kind="client")
    entries = body["messages"]
    span.content(
        names.INPUT_MESSAGES,
        lambda: traces.messages((item["role"], str(item.get("content") or "")) for item in entries),
    )
    return span
