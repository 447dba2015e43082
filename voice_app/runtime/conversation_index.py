"""Which call a conversation is about.

The journal knows it for good: under the conversation's id stands the call, from the moment that one request
named both. Before that, and for a conversation that is no call, its events stand under its own id.
"""

from __future__ import annotations

from typing import Final

from cachetools import LRUCache

from voice_app.journal import Journal
from voice_app.journal.events import Called

MAX_CONVERSATIONS: Final = 10_000
"""How many are kept in memory."""


class ConversationIndex:
    """The CallSids of conversations, by ``conv_conversation_…``."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._calls: LRUCache[str, str] = LRUCache(MAX_CONVERSATIONS)

    async def call_of(self, conversation_id: str) -> str | None:
        """The latest call that the conversation is about; None if that is not known (yet).

        Raises:
            JournalError: the journal cannot be read.
        """
        if conversation_id not in self._calls:
            entries = await self._journal.events(conversation_id)
            calls = [entry.event.call_sid for entry in entries if isinstance(entry.event, Called)]
            # Meanwhile another event may have named the call.
            if calls and conversation_id not in self._calls:
                self._calls[conversation_id] = calls[-1]
        return self._calls.get(conversation_id)

    def link(self, conversation_id: str, call_sid: str) -> None:
        """A call is part of a conversation."""
        if self._calls.get(conversation_id) != call_sid:
            self._journal.write(conversation_id, Called(call_sid))
        self._calls[conversation_id] = call_sid
