"""What a person has to know about the call that they get."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from typing import Final

from voice_app.agents import Agent, Message, hook
from voice_app.calls import HistoryLine

SECONDS_TO_SUMMARISE = 3.0
"""How long an agent may take to write a summary: the caller is waiting."""
LAST_LINES = 4
_ENDS: Final = (".", "!", "?", "…", "。", "！", "？", "।", "؟", "۔")
_CLOSERS: Final = "\"'”’)]»」』"
"""What may stand behind the end of a sentence."""

log = logging.getLogger(__name__)


async def brief(agent: Agent, lines: Sequence[HistoryLine]) -> str:
    """A summary of the conversation: the agent's, if it can write one in time, else the last lines."""
    summarise = getattr(agent, "summarise", None)
    if summarise is not None and lines:
        try:
            async with asyncio.timeout(SECONDS_TO_SUMMARISE):
                text = await hook(summarise([Message(line.role, line.content) for line in lines]))
        except Exception as error:
            log.warning("the agent wrote no summary: %s", type(error).__name__)
        else:
            if isinstance(text, str) and text.strip():
                return text.strip()
    said = [line.content for line in lines if line.role == "user"]
    return sentences("\n".join(said[-LAST_LINES:]))


def sentences(text: str, most: int | None = None) -> str:
    """A text as it is read aloud: each of its lines ends like a sentence, so that the voice makes a pause.

    ``most`` is how many characters of it are read; a text that is longer ends with the last whole word.
    """
    if most is not None and len(text) > most:
        text = text[:most].rsplit(maxsplit=1)[0]
    return " ".join(filter(None, map(_sentence, text.splitlines())))


def _sentence(line: str) -> str:
    words = " ".join(line.split()).lstrip("-*• ").rstrip("-–—,;: ")
    return f"{words}." if words and not words.rstrip(_CLOSERS).endswith(_ENDS) else words
