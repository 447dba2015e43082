"""The floor: what answering the same frames costs at the least, with uvicorn and nothing else.

No signature is checked, no history is kept, no model is asked: an ASGI callable that says so many words at
the pace of the agents that it stands beside. ``floor_app.py PORT WORDS FIRST_MS WORD_MS``; a negative WORD_MS
is all at once.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable, MutableMapping
from contextlib import suppress
from typing import Any, Final

import uvicorn

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

TWIML: Final = (
    b'<?xml version="1.0" encoding="UTF-8"?><Response><Connect action="https://sandbox.localhost/ended">'
    b'<ConversationRelay url="wss://sandbox.localhost/relay" welcomeGreeting="Hello there, how can I help?"/>'
    b"</Connect></Response>"
)


class Floor:
    """Says ``words`` words to every prompt: ``r7w1 r7w2 …`` to "Turn 7, please."."""

    def __init__(self, words: int, first_ms: float, word_ms: float) -> None:
        self._words = words
        self._first_seconds = first_ms / 1000
        self._word_seconds = word_ms / 1000

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._live(receive, send)
        elif scope["type"] == "http":
            await self._answer(receive, send)
        else:
            await self._talk(receive, send)

    async def _live(self, receive: Receive, send: Send) -> None:
        while (kind := (await receive())["type"]) != "lifespan.shutdown":
            await send({"type": f"{kind}.complete"})
        await send({"type": "lifespan.shutdown.complete"})

    async def _answer(self, receive: Receive, send: Send) -> None:
        while (await receive()).get("more_body"):
            pass
        headers = [(b"content-type", b"text/xml"), (b"content-length", str(len(TWIML)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": TWIML})

    async def _talk(self, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        reply: asyncio.Task[None] | None = None
        while (message := await receive())["type"] == "websocket.receive":
            text = message["text"]
            if '"prompt"' in text:
                words = self._reply(json.loads(text)["voicePrompt"].split()[1].strip(","))
                if self._word_seconds < 0 and not self._first_seconds:
                    await self._say(send, words)
                else:
                    reply = asyncio.create_task(self._say(send, words))
            elif '"interrupt"' in text and reply is not None:
                reply.cancel()
                with suppress(asyncio.CancelledError):
                    await reply
        if reply is not None:
            reply.cancel()

    def _reply(self, turn: str) -> list[str]:
        return [f"r{turn}w{word}{' ' if word % 5 else '. '}" for word in range(1, self._words + 1)]

    async def _say(self, send: Send, words: list[str]) -> None:
        pause = self._first_seconds
        for word in words:
            if pause > 0:
                await asyncio.sleep(pause)
            pause = self._word_seconds
            await send({"type": "websocket.send", "text": f'{{"type":"text","token":"{word}","last":false}}'})
        await send({"type": "websocket.send", "text": '{"type":"text","token":"","last":true}'})


if __name__ == "__main__":
    port, words, first_ms, word_ms = sys.argv[1:]
    uvicorn.run(
        Floor(int(words), float(first_ms), float(word_ms)),
        host="127.0.0.1",
        port=int(port),
        http="httptools",
        ws="websockets-sansio",
        ws_per_message_deflate=False,
        log_config=None,
        access_log=False,
        server_header=False,
        date_header=False,
        proxy_headers=False,
    )
