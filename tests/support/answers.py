"""An agent whose module decides how its calls are answered, by who calls."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Mapping
from typing import Any

from voice_app import Answer, Call, Piece, Reject, Turn

DECISIONS: Mapping[str, Any] = {
    "Ann": Answer(greeting="Good morning, Ann!", parameters={"customer": "17"}),
    "Hans": Answer(greeting="Guten Morgen, Hans!", language="de-DE"),
    "Spam": Reject(),
    "Busy": Reject("busy"),
    "Vip": Answer(people=["+15550100077"]),
    "Known": Answer(conversation_id="conv_conversation_known"),
    "Wrong": "Hello",
    "Tag": Answer(language="german, please"),
    "Nowhere": Answer(people=["nobody"]),
    "Stranger": Answer(agent="nobody"),
}

NAMES = {"+15550190001": "Ann", "+15550190002": "Spam", "+15550190003": "Vip", "+15550190004": "Hans"}


async def answer(call: Call) -> Answer | Reject | None:
    """Decides by the caller's name."""
    name = call.webhook.get("CallerName") or NAMES.get(call.caller, "")
    match name:
        case "Slow":
            await asyncio.sleep(60)
        case "Exit":
            sys.exit("no database")
        case "Broken":
            raise RuntimeError("no database")
    decision: Answer | Reject | None = DECISIONS.get(name)
    return decision


async def agent(call: Call, turn: Turn) -> AsyncIterator[Piece]:
    """Tells what it knows of the call."""
    yield f"{call.parameters.get('customer', 'nobody')}, {call.webhook.get('StirVerstat', 'unknown')}."
