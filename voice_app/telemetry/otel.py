"""Spans by OpenTelemetry (the extra ``otel``), sent over OTLP/HTTP.

The trace of a call has an id that is made from its CallSid, and so has the span of the call itself: whatever
any server records of the call stands under that span, though it is written only once the call is over.
OpenTelemetry's own variables of the environment hold for the rest: ``OTEL_SERVICE_NAME``,
``OTEL_RESOURCE_ATTRIBUTES``, ``OTEL_TRACES_SAMPLER``, ``OTEL_EXPORTER_OTLP_HEADERS``, ``OTEL_BSP_…``.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from contextvars import Token
from types import TracebackType
from typing import Final, Self

from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.sdk.trace.sampling import Decision

from voice_app.telemetry import attributes as names
from voice_app.telemetry.scope import CALL
from voice_app.telemetry.traces import Attribute, Attributes, Level, Span, SpanKind

MAX_CONTENT: Final = 8_000
"""Characters of one thing that was said."""
SECONDS_TO_FLUSH: Final = 5.0
"""How long the spans that wait may take to be sent when the server stops."""
_KINDS: Final = {
    "internal": trace.SpanKind.INTERNAL,
    "client": trace.SpanKind.CLIENT,
    "server": trace.SpanKind.SERVER,
}


def trace_id(call_sid: str) -> int:
    """The id of a call's trace, the same on every server."""
    return int.from_bytes(hashlib.sha256(f"trace of {call_sid}".encode()).digest()[:16])


def call_span_id(call_sid: str) -> int:
    """The id of the span of the call itself."""
    return int.from_bytes(hashlib.sha256(f"span of {call_sid}".encode()).digest()[:8])


class _Ids(RandomIdGenerator):
    """Random ids, but for the span that is made while ``given`` is set."""

    def __init__(self) -> None:
        self.given: tuple[int, int] | None = None

    def generate_trace_id(self) -> int:
        return super().generate_trace_id() if self.given is None else self.given[0]

    def generate_span_id(self) -> int:
        return super().generate_span_id() if self.given is None else self.given[1]


class RecordedSpan(Span):
    """A span that is recorded. What is begun while it is open belongs under it, but for a request of ours."""

    __slots__ = ("_content", "_entered", "_has_children", "_span")

    def __init__(self, span: trace.Span, *, content: bool, has_children: bool) -> None:
        self._span = span
        self._has_children = has_children
        self._content = content
        self._entered: Token[Context] | None = None

    def set(self, name: str, value: Attribute) -> None:
        self._span.set_attribute(name, value)

    def content(self, name: str, value: Callable[[], str]) -> None:
        if self._content:
            self._span.set_attribute(name, value()[:MAX_CONTENT])

    def fail(self, kind: str) -> None:
        self._span.set_attribute(names.ERROR_TYPE, kind)
        self._span.set_status(trace.Status(trace.StatusCode.ERROR))

    def __enter__(self) -> Self:
        if self._has_children:
            self._entered = otel_context.attach(self.context)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        if isinstance(error, Exception):  # not a cancellation; its text may hold what was said
            self.fail(type(error).__name__)
        if self._entered is not None:
            otel_context.detach(self._entered)
        self._span.end()

    @property
    def context(self) -> Context:
        """The context of what belongs under it."""
        return trace.set_span_in_context(self._span, Context())


class OpenTelemetry:
    """Makes the spans of one process. ``content``: what was said may be in them."""

    def __init__(self, processor: SpanProcessor, *, content: bool = False) -> None:
        self._ids = _Ids()
        self._content = content
        service = {} if "OTEL_SERVICE_NAME" in os.environ else {"service.name": "voice-app"}
        self._provider = TracerProvider(resource=Resource.create(service), id_generator=self._ids)
        self._provider.add_span_processor(processor)
        self._tracer = self._provider.get_tracer("voice_app")

    @classmethod
    def exporting_to(cls, url: str, *, content: bool = False) -> Self:
        """Send spans to an OTLP/HTTP collector, e.g. ``http://127.0.0.1:4318/v1/traces``."""
        return cls(BatchSpanProcessor(OTLPSpanExporter(endpoint=url)), content=content)

    def span(self, name: str, level: Level, kind: SpanKind, attributes: Attributes) -> RecordedSpan:
        """A span that begins now."""
        scope = CALL.get()
        told = dict(attributes)
        parent: Context | None = None
        if scope is not None:
            told[names.CONVERSATION_ID] = scope.call_sid
            if scope.session_id:
                told[names.SESSION_ID] = scope.session_id
            if level == "turn" and scope.session_span is not None:
                parent = scope.session_span
            elif level == "session" or not trace.get_current_span().get_span_context().is_valid:
                parent = self._of_the_call(scope.call_sid)
        span = self._tracer.start_span(name, parent, _KINDS[kind], told)
        found = RecordedSpan(span, content=self._content, has_children=kind != "client")
        if level == "session" and scope is not None:
            scope.session_span = found.context
        return found

    def past(self, name: str, call_sid: str, began: float, ended: float, attributes: Attributes) -> None:
        """A span of a call that is over already. Times are in seconds since the epoch."""
        told = {**attributes, names.CONVERSATION_ID: call_sid}
        parent = self._of_the_call(call_sid)
        span = self._tracer.start_span(name, parent, attributes=told, start_time=_nanoseconds(began))
        span.end(_nanoseconds(ended))

    def call(self, call_sid: str, began: float, ended: float, attributes: Attributes) -> None:
        """The span of a whole call."""
        told = {**attributes, names.CONVERSATION_ID: call_sid}
        self._ids.given = trace_id(call_sid), call_span_id(call_sid)
        try:
            span = self._tracer.start_span(
                "call", Context(), trace.SpanKind.SERVER, told, start_time=_nanoseconds(began)
            )
        finally:
            self._ids.given = None
        span.end(_nanoseconds(ended))

    def close(self) -> None:
        """Send what waits, and end. Blocks for a moment."""
        self._provider.force_flush(int(SECONDS_TO_FLUSH * 1000))
        self._provider.shutdown()

    def _of_the_call(self, call_sid: str) -> Context:
        """The context of what belongs under a call, whose own span is recorded at its end, somewhere."""
        id_ = trace_id(call_sid)
        sampled = self._provider.sampler.should_sample(Context(), id_, "call").decision is not Decision.DROP
        flags = trace.TraceFlags(trace.TraceFlags.SAMPLED if sampled else trace.TraceFlags.DEFAULT)
        above = trace.SpanContext(id_, call_span_id(call_sid), is_remote=True, trace_flags=flags)
        return trace.set_span_in_context(trace.NonRecordingSpan(above), Context())


def _nanoseconds(seconds: float) -> int:
    return int(seconds * 1_000_000_000)
