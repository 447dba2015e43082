"""Monitors, beside a call, what Orchestrator makes of it: whether there is a conversation, and only one.

No call ever waits for it. What cannot be found out is a line in the log.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Final

from cachetools import LRUCache

from voice_app.findings import Finding
from voice_app.guard import CallInspector
from voice_app.guard.evidence import best_of, has_ours, missing
from voice_app.journal import Journal
from voice_app.journal.events import Called, Failed
from voice_app.telemetry import metrics
from voice_app.twilio import ApiError, Configurations, Conversation, Conversations, Trouble

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


MAX_CALLS: Final = 1000
"""Calls whose alarms are remembered, so that none is raised twice."""
POLL_SECONDS: Final = 1.0
"""Between two requests for our own conversation."""

log = logging.getLogger(__name__)


class ConversationMonitor:
    """Monitors the conversations of all calls of this process."""

    def __init__(
        self,
        conversations: Conversations,
        configurations: Configurations,
        journal: Journal,
        *,
        within: float = 10.0,
        soon: float = 15.0,
    ) -> None:
        """``within``: seconds that Twilio has to make a conversation.

        ``soon``: seconds after that until it is inspected; by then something was said.
        """
        self._within = within
        self._soon = soon
        self._conversations = conversations
        self._configurations = configurations
        self._inspector = CallInspector(conversations, configurations)
        self._journal = journal
        self._raised: LRUCache[str, set[str]] = LRUCache(MAX_CALLS)

    async def watch(
        self,
        call_sid: str,
        configuration: str,
        over: asyncio.Event,
        found: Callable[[Conversation], None],
    ) -> None:
        """Wait for the call's conversation, pass it to ``found``, and inspect it once something was said.

        ``configuration`` is what the TwiML of the call names, an id or a name. Where a capture rule was
        first, ``found`` gets its conversation, and then our own.
        Inspects it again when the session is ``over``, unless something was wrong before.
        """
        try:
            known = await self._conversations.wait_for_call(call_sid, within=self._within)
            if not known:
                self._raise(call_sid, [missing(call_sid)])
                return
            named = await self._configurations.id_of(configuration)
            _tell(found, known, named)
            if not has_ours(known, named):
                known = await self._wait_for_ours(call_sid, named, over, known)
                _tell(found, known, named)
            await self._inspect(call_sid, named, over, known)
        except ApiError as error:
            log.warning("call %s: its conversation could not be looked up: %s", call_sid, error)

    async def watch_joined(
        self,
        call_sid: str,
        conversation_id: str,
        over: asyncio.Event,
        found: Callable[[Conversation], None],
    ) -> None:
        """The same for a call whose TwiML names a conversation that exists.

        The configuration behind it is nothing that the TwiML says: whether it captures voice is looked up.
        """
        try:
            conversation = await self._conversations.fetch(conversation_id)
            found(conversation)
            await self._inspect(call_sid, "", over, [conversation])
        except ApiError as error:
            if error.trouble is Trouble.NOT_FOUND:
                self._raise(call_sid, [missing(call_sid)])
            else:
                log.warning("call %s: its conversation could not be looked up: %s", call_sid, error)

    async def _inspect(
        self, call_sid: str, named: str, over: asyncio.Event, known: Sequence[Conversation]
    ) -> None:
        """Inspect it soon, and unless something was wrong then, at the end of the session."""
        await _either(over, self._soon)
        ended = over.is_set()  # what is said while it looks calls for another look
        if self._raise(call_sid, await self._inspector.inspect(call_sid, named, known)) or ended:
            return
        await over.wait()
        self._raise(call_sid, await self._inspector.inspect(call_sid, named, known))

    async def _wait_for_ours(
        self, call_sid: str, named: str, over: asyncio.Event, known: Sequence[Conversation]
    ) -> Sequence[Conversation]:
        """A capture rule begins as the phone is answered, and may be there before what our TwiML names."""
        ends = time.monotonic() + self._within
        while not has_ours(known, named) and time.monotonic() < ends and not over.is_set():
            await _either(over, min(self._within, POLL_SECONDS))
            known = await self._conversations.list(channel_id=call_sid) or known
        return known

    def _raise(self, call_sid: str, findings: Iterable[Finding]) -> bool:
        """Say what is wrong, each thing once for a call: journal, log and metric. Whether there was any."""
        raised = self._raised.setdefault(call_sid, set())
        anything = False
        for finding in findings:
            anything = True
            if finding.rule in raised:
                continue
            raised.add(finding.rule)
            self._journal.write(call_sid, Failed(finding.rule, finding.message[:500]))
            log.error("%s %s", finding.rule, finding.message)
            metrics.CALL_ALARMS.labels(finding.rule).inc()
        return anything


def _tell(found: Callable[[Conversation], None], known: Sequence[Conversation], named: str) -> None:
    if (conversation := best_of(known, named)) is not None:
        found(conversation)


async def _either(over: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await over.wait()
    except TimeoutError:
        pass
