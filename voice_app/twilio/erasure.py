"""What Twilio keeps of one caller, and how it is erased.

There is an API for each: conversations (``docs/orchestrator.md`` §3), what operators said of them (§7),
profiles in Memory (§6), recordings and the records of calls
(https://www.twilio.com/docs/voice/api/call-resource). The logs of the debugger and of Voice Insights have
none: they expire.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, TypeVar

from voice_app.twilio.configurations import Configurations
from voice_app.twilio.conversations import Conversations
from voice_app.twilio.errors import ApiError, Trouble
from voice_app.twilio.http import TwilioApi
from voice_app.twilio.identifiers import IdKind, problem
from voice_app.twilio.intelligence import Intelligence
from voice_app.twilio.memory import MemoryClient
from voice_app.twilio.models import Conversation

_AT_ONCE: Final = 8

_K = TypeVar("_K")
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Clues:
    """What is known of a caller before Twilio is asked."""

    address: str
    """E.164, ``client:…`` or ``sip:…``."""
    phone: str | None = None
    """The number by which Memory may know them; None of who has none, or withholds it."""
    configurations: Collection[str] = ()
    """Those that calls are written to, by id or name: their memory stores may know the caller."""
    call_sids: Collection[str] = ()
    conversation_ids: Collection[str] = ()
    profile_ids: Collection[str] = ()
    recording_sids: Collection[str] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Traces:
    """What there is at Twilio, by ids."""

    results: Sequence[str] = ()
    """What operators of Conversation Intelligence have said."""
    conversations: Sequence[str] = ()
    profiles: Sequence[tuple[str, str]] = ()
    """Memory store and profile."""
    recordings: Sequence[str] = ()
    calls: Sequence[str] = ()


class Erasure:
    """Finds what there is of a caller, and erases it."""

    def __init__(self, api: TwilioApi, account_sid: str) -> None:
        self._api = api
        self._classic = f"/2010-04-01/Accounts/{account_sid}"
        self._conversations = Conversations(api)
        self._intelligence = Intelligence(api)
        self._memory = MemoryClient(api)

    async def find(self, clues: Clues) -> Traces:
        """What Twilio has. Whether recordings and records of calls are still there is not looked up.

        Raises `ApiError`.
        """
        conversations = await self._their_conversations(clues)
        known = {*_sound(clues.conversation_ids, IdKind.CONVERSATION), *(item.id for item in conversations)}
        results, profiles = await asyncio.gather(
            _each(sorted(known), self._results), self._profiles(clues, conversations)
        )
        return Traces(
            results=[result for found in results for result in found],
            conversations=[item.id for item in conversations],
            profiles=profiles,
            recordings=sorted(filter(str.isalnum, clues.recording_sids)),
            calls=sorted(filter(str.isalnum, clues.call_sids)),
        )

    async def erase(self, traces: Traces) -> dict[str, ApiError]:
        """Erase all of it. Gives what could not be erased and why, by id: it does not stop the rest.

        Conversations go before profiles, since the end of a conversation may write to a memory.
        """
        stores = {profile: store for store, profile in traces.profiles}

        async def conversation(conversation_id: str) -> None:
            try:
                await self._conversations.delete(conversation_id)
            except ApiError as error:
                if error.trouble is not Trouble.NOT_FOUND:
                    raise

        steps: list[tuple[Sequence[str], Callable[[str], Awaitable[None]]]] = [
            (traces.results, self._intelligence.delete_result),
            (traces.conversations, conversation),
            ([*stores], lambda profile: self._memory.delete_profile(stores[profile], profile)),
            (
                traces.recordings,
                lambda sid: self._api.delete("api", f"{self._classic}/Recordings/{sid}.json"),
            ),
            (traces.calls, lambda sid: self._api.delete("api", f"{self._classic}/Calls/{sid}.json")),
        ]
        failures: dict[str, ApiError] = {}
        for ids, erase in steps:

            async def attempt(item: str, erase: Callable[[str], Awaitable[None]] = erase) -> None:
                try:
                    await erase(item)
                except ApiError as error:
                    failures[item] = error

            await _each(ids, attempt)
        return failures

    async def _their_conversations(self, clues: Clues) -> list[Conversation]:
        """Those that are known, and those that a call was written to besides, e.g. by a capture rule."""
        found = await _each(_sound(clues.conversation_ids, IdKind.CONVERSATION), self._conversation)
        found += await _each(clues.call_sids, lambda sid: self._conversations.list(channel_id=sid))
        return list({item.id: item for part in found for item in part}.values())

    async def _conversation(self, conversation_id: str) -> Sequence[Conversation]:
        try:
            return [await self._conversations.fetch(conversation_id)]
        except ApiError as error:
            if error.trouble is Trouble.NOT_FOUND:
                return []
            raise

    async def _results(self, conversation_id: str) -> list[str]:
        """What operators said of a conversation. An account without Intelligence has nothing."""
        try:
            return [item.id for item in await self._intelligence.results(conversation_id=conversation_id)]
        except ApiError as error:
            if error.trouble in (Trouble.NOT_FOUND, Trouble.LACKS_PERMISSION):
                return []
            raise

    async def _profiles(self, clues: Clues, conversations: Iterable[Conversation]) -> list[tuple[str, str]]:
        """Memory store and profile: those with the number, and those who took part under the address."""
        read = await _each(sorted(clues.configurations), Configurations(self._api).named)
        own = {item.memory_store_id for item in read}
        stores = own | {_store_of(item) for item in conversations}
        # Which of the stores a profile is in was not written down: it is asked for in each.
        known = {(store, item) for store in own for item in _sound(clues.profile_ids, IdKind.PROFILE)}
        known |= {
            (_store_of(item), profile_id) for item in conversations for profile_id in _theirs(item, clues)
        }
        if (phone := clues.phone) is not None:
            known |= {(store, item) for store in stores if store for item in await self._lookup(store, phone)}
        found = await _each(sorted(pair for pair in known if pair[0]), self._profile)
        return sorted({pair for pair in found if pair is not None})

    async def _lookup(self, store_id: str, phone: str) -> Sequence[str]:
        try:
            return await self._memory.lookup(store_id, phone)
        except ApiError as error:
            if error.trouble is Trouble.NOT_FOUND:  # a store that is gone remembers nobody
                return []
            raise

    async def _profile(self, pair: tuple[str, str]) -> tuple[str, str] | None:
        """The profile under the id that counts, if it is there: some were merged, some erased."""
        try:
            return pair[0], (await self._memory.profile(*pair)).id
        except ApiError as error:
            if error.trouble is Trouble.NOT_FOUND:
                return None
            raise


def _sound(ids: Iterable[str], kind: IdKind) -> list[str]:
    """Those that are ids at all: what is none stands for nothing at Twilio."""
    return [item for item in ids if problem(item, kind) is None]


def _store_of(conversation: Conversation) -> str:
    """The memory store that the conversation writes to; empty if it does not tell."""
    store = (conversation.configuration or {}).get("memoryStoreId")
    return store if isinstance(store, str) else ""


def _theirs(conversation: Conversation, clues: Clues) -> Iterator[str]:
    """The profiles of the participants who have the caller's address. Clients stand there without prefix."""
    addresses = {clues.address, clues.address.removeprefix("client:")}
    for person in conversation.participants:
        if person.profile_id is not None and any(item.address in addresses for item in person.addresses):
            yield person.profile_id


async def _each(items: Iterable[_K], ask: Callable[[_K], Awaitable[_T]]) -> list[_T]:
    """Ask about each, some at once; the answers in the order of the items."""
    gate = asyncio.Semaphore(_AT_ONCE)

    async def one(item: _K) -> _T:
        async with gate:
            return await ask(item)

    return await asyncio.gather(*map(one, items))
