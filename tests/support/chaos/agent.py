"""The agent of the servers in a chaos run: ``chat``, with a tool that nobody should write.

VOICE_APP_AGENT=support.chaos.agent:agent
"""

from __future__ import annotations

import time

from voice_app.agents.actions import ACTIONS
from voice_app.agents.chat import Chat, ChatSettings
from voice_app.agents.tools import tool


@tool(deadline=30, acts=False)
async def count_slowly(seconds: float) -> str:
    """Count, and hold up everybody else meanwhile.

    Args:
        seconds: How long.
    """
    time.sleep(min(seconds, 5))  # noqa: ASYNC251 - it is a fault
    return "counted"


agent = Chat(ChatSettings(), tools=[*ACTIONS, count_slowly])
