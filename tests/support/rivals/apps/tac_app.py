"""Twilio Agent Connect, as its documentation builds a server: the same agent as ours, said its way.

Runs in an environment of its own, with nothing of this project in it. ``tac_app.py PORT WORDS WORD_MS``
answers with a stub's words (a negative WORD_MS: all at once); ``tac_app.py PORT MODEL_URL`` streams a model
with the ``openai`` package and keeps each call's messages.
"""

from __future__ import annotations

import asyncio
import re
import sys
from collections import defaultdict
from collections.abc import AsyncIterator
from typing import Any, Final

from openai import AsyncOpenAI
from tac import TAC, TACConfig
from tac.channels.voice import VoiceChannel
from tac.server import TACFastAPIServer
from tac.server.config import TACServerConfig

_NUMBER: Final = re.compile(r"\d+")


class StubAgent:
    """Says ``words`` words, ``word_ms`` apart: ``r7w1 r7w2 …`` to "Turn 7, please."."""

    def __init__(self, words: int, word_ms: float) -> None:
        self._words = words
        self._word_seconds = word_ms / 1000

    async def reply(self, call: str, text: str) -> AsyncIterator[str]:
        turn = (_NUMBER.findall(text) or ["0"])[-1]
        for word in range(1, self._words + 1):
            if word > 1 and self._word_seconds >= 0:
                await asyncio.sleep(self._word_seconds)
            yield f"r{turn}w{word}{' ' if word % 5 else '. '}"


class ModelAgent:
    """Asks a chat model with everything that was said on the call so far."""

    def __init__(self, base_url: str) -> None:
        self._client = AsyncOpenAI(base_url=base_url, api_key="none")
        self._calls: defaultdict[str, list[Any]] = defaultdict(
            lambda: [{"role": "system", "content": "You answer the phone. Be short."}]
        )

    async def reply(self, call: str, text: str) -> AsyncIterator[str]:
        messages = self._calls[call]
        messages.append({"role": "user", "content": text})
        said = ""
        stream = await self._client.chat.completions.create(model="stub", messages=messages, stream=True)
        try:
            async for chunk in stream:
                if piece := chunk.choices[0].delta.content:
                    said += piece
                    yield piece
        finally:
            messages.append({"role": "assistant", "content": said})


def serve(agent: StubAgent | ModelAgent, port: int) -> None:
    """Serve until the process is stopped."""
    tac = TAC(config=TACConfig.from_env())
    channel = VoiceChannel(tac)

    async def answer(message: str, session: Any, memory: Any) -> None:
        call = session.conversation_id
        await channel.send_response(call, agent.reply(call, message))

    tac.on_message_ready(answer)
    config = TACServerConfig(host="127.0.0.1", port=port)
    TACFastAPIServer(tac=tac, voice_channel=channel, config=config).start()


if __name__ == "__main__":
    port, *how = sys.argv[1:]
    serve(ModelAgent(how[0]) if len(how) == 1 else StubAgent(int(how[0]), float(how[1])), int(port))
