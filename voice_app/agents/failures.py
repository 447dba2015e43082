"""What can go wrong with a model: one exception, and how an endpoint's refusals become it."""

from __future__ import annotations

import email.utils
import re
import time
from collections.abc import Mapping
from typing import Any, Final, Literal, TypeAlias

import msgspec

from voice_app.agents.text import cleaned

Kind: TypeAlias = Literal[
    "unauthorized", "rejected", "rate-limited", "unavailable", "slow", "stalled", "broken",
    "empty", "filtered", "too-long", "too-many-rounds", "context-full",
]  # fmt: skip
"""The key was refused; the request was (a wrong model, a field); 429; the endpoint is down or answers
5xx; no first token in time; no next token in time; no valid stream, or one that was cut off; an answer
without words; a content filter; the token limit before the first word; tools called over and over; more text
than the model's context holds."""

_WORTH_A_RETRY: Final = frozenset({"rate-limited", "unavailable", "slow", "stalled", "broken", "empty"})
_OF_THE_ENDPOINT: Final = frozenset(
    {"unauthorized", "rate-limited", "unavailable", "slow", "stalled", "broken"}
)
_DETAIL: Final = 300
_CONTEXT_FULL: Final = re.compile(
    r"context.?(length|window|size|limit)|maximum.{0,20}(context|input|prompt)|max_model_len"
    r"|(prompt|input|request|messages?)( \w+)? (is|are|was)? ?too (long|large)|too many (input )?tokens"
    r"|reduce the (length|size) of|exceeds? .{0,40}(context|token|input)",
    re.IGNORECASE,
)
"""How servers say that a request has more tokens than the model's context."""


class ModelError(Exception):
    """The model gave no answer that could be spoken. Whoever runs the agent has to say something.

    The text is for the log: it says what happened, where, and what to do.
    """

    def __init__(
        self, kind: Kind, message: str, *, retry_after: float | None = None, refusal: str = ""
    ) -> None:
        super().__init__(message)
        self.kind = kind
        self.refusal = refusal
        """The body of a refusal, as far as it was read."""
        self.retry_after = retry_after
        """Seconds that the endpoint asked to wait."""

    @property
    def is_temporary(self) -> bool:
        """Whether the same request may succeed if it is sent again."""
        return self.kind in _WORTH_A_RETRY

    @property
    def is_about_the_endpoint(self) -> bool:
        """Whether other requests to the same endpoint are likely to fail as well."""
        return self.kind in _OF_THE_ENDPOINT


def refusal(where: str, model: str, status: int, headers: Mapping[str, str], body: bytes) -> ModelError:
    """The error of an answer that is not 200."""
    detail = _detail(body)
    if status in (401, 403):
        return ModelError(
            "unauthorized", f"{where} refuses the key ({status}): check OPENAI_API_KEY. {detail}"
        )
    if status == 429 and "insufficient_quota" in detail:
        return ModelError("unauthorized", f"{where}: the quota of the key is used up. {detail}")
    wait = _retry_after(headers)
    if status == 429:
        return ModelError("rate-limited", f"{where}: too many requests. {detail}", retry_after=wait)
    text = body.decode("utf-8", "replace")
    if status == 413 or _CONTEXT_FULL.search(text):
        return ModelError("context-full", f"the conversation is too long for {model} at {where}. {detail}")
    if status >= 500 or status in (408, 409, 425):
        message = f"{where} answers {status}. {detail}"
        return ModelError("unavailable", message, retry_after=wait, refusal=text)
    message = f"{where} does not accept the request for {model} ({status}). {detail}"
    return ModelError("rejected", message, refusal=text)


def broken_off(where: str, error: Any) -> ModelError:
    """The error of an ``error`` object within a stream."""
    code, detail = None, error
    if isinstance(error, dict):
        code, detail = error.get("code"), error.get("message", error)
    text = cleaned(str(detail))
    kind: Kind = "unavailable"
    if str(code) in ("429", "rate_limit_exceeded"):
        kind = "rate-limited"
    elif _CONTEXT_FULL.search(f"{code} {text}"):
        kind = "context-full"
    return ModelError(kind, f"{where} broke off: {text[:_DETAIL]}", refusal=text)


def _detail(body: bytes) -> str:
    """What an error page says, in short."""
    try:
        error = msgspec.json.decode(body).get("error")
    except (msgspec.MsgspecError, AttributeError):
        error = None
    if isinstance(error, dict):
        return f"{error.get('code') or error.get('type') or ''} {error.get('message', '')}".strip()[:_DETAIL]
    return body.decode("utf-8", "replace")[:_DETAIL].strip()


def _retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds to wait: ``Retry-After``, a number or a date (RFC 9110, section 10.2.3), or its kin in ms."""
    try:
        return max(0.0, float(headers["retry-after-ms"]) / 1000)
    except (KeyError, ValueError):
        value = headers.get("Retry-After", "")
    try:
        return max(0.0, float(value))
    except ValueError:
        pass
    try:
        return max(0.0, email.utils.parsedate_to_datetime(value).timestamp() - time.time())
    except ValueError:
        return None
