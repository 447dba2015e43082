"""An agent for measuring: it answers every turn with the same number of words, and thinks of nothing.

``VOICE_APP_AGENT=voice_app.sandbox.load.stub:agent`` names it. ``VOICE_BENCH_TOKENS`` is the number of words (20),
``VOICE_BENCH_TOKEN_MS`` the milliseconds between two of them. Without it all are there at once; with 0 each
comes in a turn of the event loop of its own, as from a model that streams them one by one and very fast. A
word carries the number that the prompt named: ``r7w1 r7w2 …`` answers "Turn 7".
"""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import AsyncIterator
from typing import Final

from voice_app import Call, Turn

TOKENS: Final = int(os.environ.get("VOICE_BENCH_TOKENS") or 20)
TOKEN_MS: Final = os.environ.get("VOICE_BENCH_TOKEN_MS", "")

_NUMBER: Final = re.compile(r"\d+")


async def agent(call: Call, turn: Turn) -> AsyncIterator[str]:
    """Answer with `TOKENS` words. The first one comes at once."""
    reply = "r" + (_NUMBER.findall(turn.text) or ["0"])[-1] + "w"
    yield f"{reply}1 "
    if TOKEN_MS:
        seconds = float(TOKEN_MS) / 1000
        for token in range(2, TOKENS + 1):
            await asyncio.sleep(seconds)
            yield f"{reply}{token} "
    else:
        for token in range(2, TOKENS + 1):
            yield f"{reply}{token} "
