"""A collector of traces: OTLP over HTTP on a real port, which takes what the protocol allows, no more."""

from __future__ import annotations

import gzip
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web
from aiohttp.test_utils import TestServer
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)


@dataclass(slots=True)
class ReceivedSpan:
    """A span as it came in."""

    name: str
    trace_id: str
    span_id: str
    parent_id: str
    kind: int
    failed: bool
    seconds: float
    attributes: dict[str, Any]
    resource: dict[str, Any]


@dataclass(slots=True)
class Collector:
    """What has come in."""

    url: str = ""
    spans: list[ReceivedSpan] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    """Of all requests, unpacked."""

    def named(self, name: str) -> list[ReceivedSpan]:
        return [span for span in self.spans if span.name == name]

    async def handle(self, request: web.Request) -> web.Response:
        body = await request.read()
        if request.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        if request.content_type != "application/x-protobuf":
            return web.Response(status=415)
        export = ExportTraceServiceRequest()
        export.ParseFromString(body)  # raises for what is none: answered with 500, and the test fails
        self.bodies.append(body)
        for resource in export.resource_spans:
            told = _attributes(resource.resource.attributes)
            for scope in resource.scope_spans:
                assert scope.scope.name == "voice_app"
                self.spans += [_span(span, told) for span in scope.spans]
        return web.Response(
            body=ExportTraceServiceResponse().SerializeToString(), content_type="application/x-protobuf"
        )


def _span(span: Any, resource: dict[str, Any]) -> ReceivedSpan:
    assert len(span.trace_id) == 16
    assert len(span.span_id) == 8
    assert len(span.parent_span_id) in (0, 8)
    assert any(span.trace_id)
    assert any(span.span_id)
    assert span.end_time_unix_nano >= span.start_time_unix_nano > 0
    assert not span.events
    seconds = (span.end_time_unix_nano - span.start_time_unix_nano) / 1e9
    return ReceivedSpan(
        span.name,
        span.trace_id.hex(),
        span.span_id.hex(),
        span.parent_span_id.hex(),
        span.kind,
        span.status.code == 2,
        seconds,
        _attributes(span.attributes),
        resource,
    )


def _attributes(pairs: Any) -> dict[str, Any]:
    names = [pair.key for pair in pairs]
    assert len(set(names)) == len(names)
    return {pair.key: _value(pair.value) for pair in pairs}


def _value(value: Any) -> Any:
    kind = value.WhichOneof("value")
    assert kind is not None
    found = getattr(value, kind)
    return [_value(item) for item in found.values] if kind == "array_value" else found


@asynccontextmanager
async def collecting() -> AsyncIterator[Collector]:
    """Take spans in while the block runs."""
    collector = Collector()
    app = web.Application(client_max_size=16 * 1024 * 1024)
    app.router.add_post("/v1/traces", collector.handle)
    async with TestServer(app) as server:
        collector.url = str(server.make_url("/v1/traces"))
        yield collector
