"""The agent that is measured, written against the public names as any agent is.

``VOICE_APP_AGENT=voice_app.sandbox.load.agents:fixed_reply`` sets it up. ``VOICE_BENCH_TOKENS`` is the number
of words of a reply (20), ``VOICE_BENCH_TOKEN_MS`` the milliseconds between two of them. Without it all are
there at once; with 0 each comes in a turn of the event loop of its own, as from a very fast model.
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


async def fixed_reply(call: Call, turn: Turn) -> AsyncIterator[str]:
    """Answer with `TOKENS` words, the first at once, in sentences of five.

    "Turn 7" is answered with ``r7w1 r7w2 …``.
    """
    reply = "r" + (_NUMBER.findall(turn.text) or ["0"])[-1] + "w"
    for token in range(1, TOKENS + 1):
        if TOKEN_MS and token > 1:
            await asyncio.sleep(float(TOKEN_MS) / 1000)
        yield f"{reply}{token} " if token % 5 else f"{reply}{token}. "
