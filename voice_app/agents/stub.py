"""An agent for measuring: it answers every turn with the same number of words, and thinks of nothing.

``VOICE_APP_AGENT=voice_app.agents.stub:agent`` names it. ``VOICE_BENCH_TOKENS`` is the number of words
(20), ``VOICE_BENCH_TOKEN_MS`` the milliseconds between two of them (0). Each word is yielded by itself, as a
model's stream brings them, and carries the number that the prompt named: ``r7w1 r7w2 …`` answers "Turn 7".
"""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import AsyncIterator

from voice_app.agents.protocol import Call, Turn

TOKENS = int(os.environ.get("VOICE_BENCH_TOKENS", "20"))
TOKEN_SECONDS = float(os.environ.get("VOICE_BENCH_TOKEN_MS", "0")) / 1000

_number = re.compile(r"\d+")


async def agent(call: Call, turn: Turn) -> AsyncIterator[str]:
    """Answer with `TOKENS` words. The first one comes at once."""
    reply = "r" + (_number.findall(turn.text) or ["0"])[-1] + "w"
    for token in range(1, TOKENS + 1):
        if token > 1:
            await asyncio.sleep(TOKEN_SECONDS)
        yield f"{reply}{token} "
