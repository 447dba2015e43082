"""What Conversation Orchestrator and its Memory get after a call: its conversation's end, and its facts.

Memories and summaries are made when a conversation is closed, not minutes later. With ``GROUP_BY_PROFILE``
one may hold the person's text messages and other calls as well: then its own timeouts close it. Source: the
skill's "Close a Conversation", and ``docs/orchestrator.md`` §3.2.

A fact that the agent noted may be missing in Memory because a network failed, or a process died. An
observation has no key of its own, so what the profile has since the call began is read first. Twilio takes
observations in before they can be read (202): a crash between the two can still write one twice.
"""

from __future__ import annotations

from datetime import UTC, datetime

from voice_app.calls import Parties
from voice_app.followups.context import Finished, FollowupContext, Verdict
from voice_app.journal import Journal
from voice_app.journal.events import Acted, Noted
from voice_app.twilio import ApiError, Calls, Configurations, Conversations, MemoryClient, Trouble
from voice_app.twilio.memory import MAX_OBSERVATIONS, SOURCE

_SLACK_S = 60.0
"""By so much the clocks of two machines may differ."""


class ClosingTask:
    """Closes conversations, each once, and none in which something else goes on."""

    name = "close"
    patience_s = 6 * 3600.0
    waits_s = (2.0, 600.0)
    kinds = None

    def __init__(
        self,
        conversations: Conversations,
        configurations: Configurations,
        calls: Calls,
        journal: Journal,
        *,
        default_configuration: str | None = None,
    ) -> None:
        self._conversations = conversations
        self._configurations = configurations
        self._calls = calls
        self._journal = journal
        self._default = default_configuration

    def wanted(self, context: FollowupContext) -> bool:
        return context.state.conversation_id is not None or context.configuration(self._default) is not None

    async def attempt(self, context: FollowupContext) -> Verdict:
        if (joined := context.state.joined) is not None:  # it is for more than this call
            return Finished("left open", joined)
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
        named = context.configuration(self._default)
        if not found or named is None:
            return None
        ours_id = await self._configurations.id_of(named)
        return next((item.id for item in found if item.configuration_id == ours_id), None)

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


class FactsTask:
    """Writes down what was noted on a call and did not arrive."""

    name = "facts"
    patience_s = 24 * 3600.0
    waits_s = (5.0, 900.0)
    kinds = frozenset({"note"})

    def __init__(
        self,
        memory: MemoryClient,
        configurations: Configurations,
        journal: Journal,
        phone_trait: str,
        *,
        default_configuration: str | None = None,
    ) -> None:
        self._memory = memory
        self._configurations = configurations
        self._journal = journal
        self._default = default_configuration
        self._trait_group, _, self._trait = phone_trait.partition(".")

    def wanted(self, context: FollowupContext) -> bool:
        return bool(_missing(context))

    async def attempt(self, context: FollowupContext) -> Verdict:
        missing, configuration_id = _missing(context), context.configuration(self._default)
        phone = Parties.of(context.record).caller_address.phone
        if not missing or phone is None or configuration_id is None:
            return Finished("nothing to write")
        store_id = (await self._configurations.named(configuration_id)).memory_store_id
        if not store_id:
            return Finished("no memory store", good=False)
        profile_id = await self._profile(context, store_id, phone)
        since = datetime.fromtimestamp(context.record.opened_at - _SLACK_S, UTC)
        there = await self._memory.observations(store_id, profile_id, source=SOURCE, created_after=since)
        known = {observation.content for observation in there}
        absent = [text for text in missing if text not in known]
        conversation_ids = [] if (found := context.state.conversation_id) is None else [found]
        for start in range(0, len(absent), MAX_OBSERVATIONS):
            await self._memory.observe(
                store_id,
                profile_id,
                absent[start : start + MAX_OBSERVATIONS],
                occurred_at=datetime.fromtimestamp(context.record.opened_at, UTC),
                conversation_ids=conversation_ids,
            )
        for number, text in enumerate(missing):
            self._journal.write(
                context.call_sid, Acted("remember", text), once=f"fact:{context.call_sid}:{number}"
            )
        return Finished("written", str(len(missing)))

    async def _profile(self, context: FollowupContext, store_id: str, phone: str) -> str:
        if (recognised := context.state.profile_id) is not None:
            return recognised
        found = await self._memory.lookup(store_id, phone)
        if found:
            return found[0]
        return await self._memory.create_profile(store_id, {self._trait_group: {self._trait: phone}})


def _missing(context: FollowupContext) -> list[str]:
    """The facts that were noted and not written, each once, in the order of noting."""
    written = {event.detail for event in context.state.events(Acted) if event.action == "remember"}
    noted = dict.fromkeys(event.text for event in context.state.events(Noted))
    return [text for text in noted if text not in written]
