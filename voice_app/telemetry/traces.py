"""Spans of calls, for OpenTelemetry. Off by default: then one look at a variable is all that they cost.

The spans of one call are one trace on all servers, since its id is made from the CallSid: see
`voice_app.telemetry.otel`, which is imported when traces are switched on. Nothing that was said is in them
unless `VOICE_APP_TRACE_CONTENT` is set.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from types import TracebackType
from typing import Final, Literal, Protocol, Self, TypeAlias

Attribute: TypeAlias = str | bool | int | float | list[str]
Attributes: TypeAlias = Mapping[str, Attribute]
SpanKind: TypeAlias = Literal["internal", "client", "server"]
Level: TypeAlias = Literal["session", "turn", "work"]
"""A session belongs under its call, a turn under its session, and work under what it is done for."""


class Span:
    """A span that is not recorded: what there is where traces are off."""

    __slots__ = ()

    def set(self, name: str, value: Attribute) -> None:
        """Tell a fact: an id, a kind, a number."""

    def content(self, name: str, value: Callable[[], str]) -> None:
        """Tell what was said, if that is wanted; else ``value`` is not asked."""

    def fail(self, kind: str) -> None:
        """It came to nothing. ``kind`` is a word of a few, and no text of an exception's."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """The span is over."""


NO_SPAN: Final = Span()


class SpanMaker(Protocol):
    """What records spans: OpenTelemetry."""

    def span(self, name: str, level: Level, kind: SpanKind, attributes: Attributes) -> Span: ...

    def past(self, name: str, call_sid: str, began: float, ended: float, attributes: Attributes) -> None: ...

    def call(self, call_sid: str, began: float, ended: float, attributes: Attributes) -> None: ...

    def close(self) -> None: ...


class _Switch:
    """Where the spans of this process go."""

    __slots__ = ("maker",)

    def __init__(self) -> None:
        self.maker: SpanMaker | None = None


_switch: Final = _Switch()


@contextmanager
def recorded_by(maker: SpanMaker | None) -> Iterator[None]:
    """While the block runs, spans are recorded; with None they are not."""
    before, _switch.maker = _switch.maker, maker
    try:
        yield
    finally:
        _switch.maker = before


def on() -> bool:
    """Whether spans are recorded."""
    return _switch.maker is not None


def span(name: str, attributes: Attributes, *, level: Level = "work", kind: SpanKind = "internal") -> Span:
    """A span that begins now; use it in a ``with`` statement."""
    if _switch.maker is None:
        return NO_SPAN
    return _switch.maker.span(name, level, kind, attributes)


def messages(said: Iterable[tuple[str, str]]) -> str:
    """Messages, each of a role and a text, as OpenTelemetry's conventions write them in JSON."""
    told = [{"role": role, "parts": [{"type": "text", "content": text}]} for role, text in said]
    return json.dumps(told, ensure_ascii=False)


def past(name: str, call_sid: str, began: float, ended: float, attributes: Attributes) -> None:
    """Something of a call that was begun by one request and ended by another (seconds since the epoch)."""
    if _switch.maker is not None:
        _switch.maker.past(name, call_sid, began, ended, attributes)


def call_over(call_sid: str, began: float, ended: float, attributes: Attributes) -> None:
    """A whole call is over: the span above all the others of it."""
    if _switch.maker is not None:
        _switch.maker.call(call_sid, began, ended, attributes)
