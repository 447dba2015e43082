"""Closing the conversation of a call that is over: memories and summaries are made then, not minutes later.

With ``GROUP_BY_PROFILE`` a conversation may hold the person's text messages and other calls as well: then its
own timeouts close it. Source: the skill's "Close a Conversation", and ``docs/orchestrator.md`` §3.2.
"""

from __future__ import annotations

from voice_app.followups.context import Finished, FollowupContext, Verdict
from voice_app.journal import Journal
from voice_app.twilio import ApiError, Calls, Conversations, Trouble


class ClosingTask:
    """Closes conversations, each once, and none in which something else goes on."""

    name = "close"
    patience_s = 6 * 3600.0
    waits_s = (2.0, 600.0)
    kinds = None

    def __init__(
        self,
        conversations: Conversations,
        calls: Calls,
        journal: Journal,
        *,
        default_configuration: str | None = None,
    ) -> None:
        self._conversations = conversations
        self._calls = calls
        self._journal = journal
        self._default = default_configuration

    def wanted(self, context: FollowupContext) -> bool:
        return context.state.conversation_id is not None or context.configuration(self._default) is not None

    async def attempt(self, context: FollowupContext) -> Verdict:
        conversation_id = context.state.conversation_id or await self._find(context)
        if conversation_id is None:
            return Finished("no conversation")
        conversation = await self._conversations.fetch(conversation_id)
        if conversation.status == "CLOSED":
            return Finished("closed", conversation_id)
        if other := await self._goes_on(context.call_sid, conversation_id):
            return Finished("left open", other)
        await self._conversations.close(conversation_id)
        return Finished("closed", conversation_id)

    async def _find(self, context: FollowupContext) -> str | None:
        """Of a call so short that nobody has looked its conversation up."""
        found = await self._conversations.find_by_call(context.call_sid)
        ours_id = context.configuration(self._default)
        ours = [item.id for item in found if item.configuration_id == ours_id]
        return ours[0] if ours else None

    async def _goes_on(self, call_sid: str, conversation_id: str) -> str:
        """What else the conversation is used for; empty if nothing."""
        for participant in await self._conversations.participants(conversation_id):
            for address in participant.addresses:
                if address.channel != "VOICE":
                    return address.channel
                other = address.channel_id or call_sid
                if other != call_sid and not await self._over(other):
                    return other
        return ""

    async def _over(self, call_sid: str) -> bool:
        record = await self._journal.call(call_sid)
        if record is not None and record.closed_at is not None:
            return True
        try:
            return (await self._calls.fetch(call_sid)).over
        except ApiError as error:
            if error.trouble is Trouble.NOT_FOUND:
                return True
            raise
