"""Our agent. Run it with: VOICE_APP_AGENT=my_agent:agent voice-app serve"""

import asyncio
import re
from collections.abc import AsyncIterator

from voice_app import Break, Call, EndCall, Piece, Transfer, Turn


async def agent(call: Call, turn: Turn) -> AsyncIterator[Piece]:
    """Called with every turn of every call; what it yields is spoken as it comes, or done."""
    said = turn.text.lower()
    if number := re.search(r"order (\d+)", said):
        yield "Let me look that up. "
        yield Break()  # the words so far are spoken while we look
        yield await find_order(int(number[1]))
    elif "person" in said or "refund" in said:
        yield "I will get you a colleague. "
        yield Transfer(reason="asked", summary=f"The caller said: {turn.text}")
    elif "bye" in said:
        yield "Thank you for calling. Goodbye!"
        yield EndCall()
    else:
        yield f"You said: {turn.text} "
        yield "Ask me about an order, such as order 81."


async def find_order(number: int) -> str:
    """Where an order is. Put your database here."""
    await asyncio.sleep(1)
    return f"Order {number} leaves today."
