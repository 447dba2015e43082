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
_CODE: Final = re.compile(r"[A-Za-z][\w.-]{0,63}|\d{3}")
"""A code of an endpoint's errors: a word, and not one that repeats what it was sent."""
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
        self,
        kind: Kind,
        message: str,
        *,
        retry_after: float | None = None,
        refusal: str = "",
        detail: str = "",
    ) -> None:
        super().__init__(message)
        self.kind = kind
        self.refusal = refusal
        """The body of a refusal, as far as it was read."""
        self.detail = detail
        """What the endpoint says: it may repeat what the caller said, and so is in no text of ours."""
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
    code, detail = _told(body)
    told = f": {code}" if code else ""
    if status in (401, 403):
        message = f"{where} refuses the key ({status}{told}): check OPENAI_API_KEY"
        return ModelError("unauthorized", message, detail=detail)
    if status == 429 and "insufficient_quota" in f"{code} {detail}":
        return ModelError("unauthorized", f"{where}: the quota of the key is used up", detail=detail)
    wait = _retry_after(headers)
    if status == 429:
        return ModelError(
            "rate-limited", f"{where}: too many requests{told}", retry_after=wait, detail=detail
        )
    text = body.decode("utf-8", "replace")
    if status == 413 or _CONTEXT_FULL.search(text):
        message = f"the conversation is too long for {model} at {where}{told}"
        return ModelError("context-full", message, detail=detail)
    if status >= 500 or status in (408, 409, 425):
        message = f"{where} answers {status}{told}"
        return ModelError("unavailable", message, retry_after=wait, refusal=text, detail=detail)
    message = f"{where} does not accept the request for {model} ({status}{told})"
    return ModelError("rejected", message, refusal=text, detail=detail)


def broken_off(where: str, error: Any) -> ModelError:
    """The error of an ``error`` object within a stream."""
    code, detail = "", error
    if isinstance(error, dict):
        code, detail = str(error.get("code") or ""), error.get("message", error)
    text = cleaned(str(detail))
    kind: Kind = "unavailable"
    if code in ("429", "rate_limit_exceeded"):
        kind = "rate-limited"
    elif _CONTEXT_FULL.search(f"{code} {text}"):
        kind = "context-full"
    told = f": {code}" if _CODE.fullmatch(code) else ""
    return ModelError(kind, f"{where} broke off{told}", refusal=text, detail=text[:_DETAIL])


def _told(body: bytes) -> tuple[str, str]:
    """What an error page says: a code, if it has one, and the text in short."""
    try:
        error = msgspec.json.decode(body).get("error")
    except (msgspec.MsgspecError, UnicodeDecodeError, AttributeError, RecursionError):
        error = None
    if not isinstance(error, dict):
        return "", body.decode("utf-8", "replace")[:_DETAIL].strip()
    code = str(error.get("code") or error.get("type") or "")
    return code if _CODE.fullmatch(code) else "", str(error.get("message", ""))[:_DETAIL]


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
