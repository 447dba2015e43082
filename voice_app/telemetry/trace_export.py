"""Where spans are sent: an OTLP/HTTP collector, while a server runs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from voice_app.settings import SettingsError
from voice_app.telemetry.traces import SpanMaker, recorded_by


def span_maker(url: str, *, content: bool) -> SpanMaker:
    """What sends spans to an OTLP/HTTP collector.

    Raises:
        SettingsError: the extra is not installed.
    """
    try:
        from voice_app.telemetry.otel import OpenTelemetry
    except ImportError as error:
        raise SettingsError(
            [
                f"VOICE_APP_TRACE_URL is set, but {error.name} is not installed: pip install "
                "'voice-app[otel]', or leave it empty"
            ]
        ) from None
    return OpenTelemetry.exporting_to(url, content=content)


@asynccontextmanager
async def sent_to(url: str | None, *, content: bool) -> AsyncIterator[None]:
    """While the block runs, spans are sent to a collector, and what waits at its end is sent then.

    Without a URL nothing is traced. Raises `SettingsError` if it cannot be.
    """
    if url is None:
        yield
        return
    maker = span_maker(url, content=content)
    try:
        with recorded_by(maker):
            yield
    finally:
        await asyncio.to_thread(maker.close)
