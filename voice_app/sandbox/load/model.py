"""A model that takes no time to think: an OpenAI-compatible endpoint for load, in a process of its own.

``python -m voice_app.sandbox.load.model 30 0`` serves on a free port of loopback, prints its base URL, and
answers every ``/chat/completions`` with 30 words as server-sent events, 0 ms apart; a third number is the
milliseconds to the first of them. The words carry the number that the last message named, in sentences of
five, as the stub agent's do. It stops when its standard input is closed.
"""

from __future__ import annotations

import asyncio
import re
import sys
from typing import Any, Final

import msgspec
from aiohttp import web

_NUMBER: Final = re.compile(r"\d+")


class LoadModel:
    """Answers with ``words`` words, each in an event of its own, the first after ``first_seconds``."""

    def __init__(self, words: int, word_seconds: float, first_seconds: float = 0.0) -> None:
        self._words = words
        self._word_seconds = word_seconds
        self._first_seconds = first_seconds

    async def complete(self, request: web.Request) -> web.StreamResponse:
        """``POST /chat/completions``"""
        asked = msgspec.json.decode(await request.read())
        number = (_NUMBER.findall(str(asked["messages"][-1]["content"])) or ["0"])[-1]
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        for word in range(1, self._words + 1):
            await asyncio.sleep(self._word_seconds if word > 1 else self._first_seconds)
            await response.write(_event({"content": f"r{number}w{word}{' ' if word % 5 else '. '}"}))
        await response.write(_event({}, finish="stop") + b"data: [DONE]\n\n")
        return response

    async def models(self, request: web.Request) -> web.Response:
        """``GET /models``, which clients ask to open a connection before they need it."""
        return web.json_response({"object": "list", "data": [{"id": "stub", "object": "model"}]})

    async def serve(self) -> None:
        """Serve until standard input is closed."""
        app = web.Application(client_max_size=1 << 24)
        app.add_routes([web.post("/v1/chat/completions", self.complete), web.get("/v1/models", self.models)])
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        try:
            site = web.TCPSite(runner, "127.0.0.1", 0)
            await site.start()
            sys.stdout.write(f"Listening on http://127.0.0.1:{runner.addresses[0][1]}/v1\n")
            sys.stdout.flush()
            await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
        finally:
            await runner.cleanup()


def _event(delta: dict[str, Any], finish: str | None = None) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    chunk = {"id": "stub", "object": "chat.completion.chunk", "model": "stub", "choices": [choice]}
    return b"data: " + msgspec.json.encode(chunk) + b"\n\n"


if __name__ == "__main__":
    asyncio.run(LoadModel(int(sys.argv[1]), *(float(ms) / 1000 for ms in sys.argv[2:])).serve())
