"""The caller's memory: asked for when the call begins, there when the agent first speaks, never in the way.

The look-up starts with the session, or at the voice webhook where no greeting gives it time, and has until a
deadline that counts from there. TwiML and socket do not wait for it. The agent's first turn does, for what is
left of that time: nothing, as a rule, since the greeting was spoken before. What was found by the deadline is
used, and a failure means no memory.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final, cast

from cachetools import LRUCache

from voice_app.agents import Agent, Call, Piece, Turn
from voice_app.calls import CallerAddress
from voice_app.journal.events import Acted, Event, Failed, Noted, Recognised, Remembered
from voice_app.runtime.background import BackgroundTasks
from voice_app.settings import Settings
from voice_app.twilio import ApiError, Configurations, Conversations, MemoryClient, TwilioApi
from voice_app.twilio.identifiers import IdKind, problem
from voice_app.twilio.recollection import Recollection, one_line, recollect

MAX_CALLS: Final = 10_000
"""Calls whose callers are remembered here; the one that was used least recently goes first."""
MAX_FACTS: Final = 10
"""Facts that are noted on one call."""
MAX_FACT: Final = 500
"""Characters of a fact."""
WRITE_SECONDS: Final = 4.0
STORE_CACHE_SECONDS: Final = 300.0
"""How long the id of the configuration's memory store is cached."""
MAX_STORES: Final = 1000
"""What TwiML may name at a time and be known by its store."""

log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Caller:
    """What is known of the caller of one call."""

    call_sid: str
    phone: str
    store: _Store
    known: Recollection = field(default_factory=Recollection)
    search: asyncio.Task[None] | None = None
    conversation_id: str | None = None
    facts: int = 0
    told: Remembered | None = None
    """What the agent was given."""

    @property
    def searching(self) -> bool:
        return self.search is not None and not self.search.done()


class CallerMemory:
    """Looks callers up in Twilio's Memory, one task for each call.

    ``named`` is what the TwiML of a call names: a configuration, by its id or name, or the conversation that
    the call joins. The configuration of that one has the store.
    """

    def __init__(
        self,
        api: TwilioApi,
        settings: Settings,
        record: Callable[[str, Event], object],
        background: BackgroundTasks,
    ) -> None:
        """``record`` writes an event to the journal of a call."""
        self._memory = MemoryClient(api)
        self._configurations = Configurations(api)
        self._conversations = Conversations(api)
        self._stores: LRUCache[str, _Store] = LRUCache(MAX_STORES)
        self._background = background
        self._seconds = settings.memory_seconds
        self._groups = [group.strip() for group in settings.memory_trait_groups.split(",") if group.strip()]
        self._phone_trait = settings.memory_phone_trait
        self._record = record
        self._callers: LRUCache[str, _Caller] = LRUCache(MAX_CALLS)

    async def warm(self, named: str) -> None:
        """Learn which store belongs to what TwiML names before the first call asks. Never raises."""
        with suppress(ApiError, ValueError):
            await self._store(named).id()

    def look_up(self, call_sid: str, caller: str, named: str) -> None:
        """Start to look the caller of a call up. Returns at once."""
        self._caller(call_sid, caller, named)

    def attach(self, call: Call, caller: str, agent: Agent, named: str) -> Agent:
        """Give the call what is known of its caller, and the agent that is to be asked on this call."""
        found = self._caller(call.sid, caller, named)
        if found is None:
            return agent
        call.remember = partial(self._note, call, found)
        if not found.searching:
            self._fill(call, found)
            return agent
        return _Waiting(agent, found, partial(self._fill, call, found))

    def conversed(self, call_sid: str, conversation_id: str) -> None:
        """The conversation of the call is known: what is noted from now on belongs to it."""
        if (found := self._callers.get(call_sid)) is not None:
            found.conversation_id = conversation_id

    def profile_id(self, call_sid: str) -> str | None:
        """Who calls, if the memory knew them and this process looked them up."""
        found = self._callers.get(call_sid)
        return found.known.profile_id if found is not None else None

    def forget(self, call_sid: str) -> None:
        """The call is over."""
        self._callers.pop(call_sid, None)

    def _store(self, named: str) -> _Store:
        """The memory store that belongs to what TwiML names."""
        store = self._stores.get(named)
        if store is None:
            store = _Store(self._configurations, self._conversations, named, self._background)
            self._stores[named] = store
        return store

    def _caller(self, call_sid: str, address: str, named: str) -> _Caller | None:
        """The caller of a call; looked up anew where the call's document names something else by now."""
        found = self._callers.get(call_sid)
        phone = CallerAddress.read(address).phone
        if phone is None or not named or (found is not None and found.store.named == named):
            return found
        if found is not None and found.search is not None:
            found.search.cancel()
        found = self._callers[call_sid] = _Caller(call_sid, phone, self._store(named))
        found.search = self._background.spawn(self._search(found), "caller memory")
        return found

    async def _search(self, caller: _Caller) -> None:
        try:
            async with asyncio.timeout(self._seconds):
                store_id = await caller.store.id()
                if store_id:
                    await recollect(
                        self._memory, store_id, caller.phone, caller.known, trait_groups=self._groups
                    )
        except TimeoutError:
            log.warning("call %s: its memory was not there within %g s", caller.call_sid, self._seconds)
        except (ApiError, ValueError) as error:
            log.warning("call %s: no memory: %s", caller.call_sid, _describe(error))
        if caller.known.profile_id is not None:
            self._record(caller.call_sid, Recognised(caller.known.profile_id))

    def _fill(self, call: Call, caller: _Caller) -> None:
        """Give the call what is known, and write down what that was, unless it is the same as before."""
        call.profile_id = caller.known.profile_id
        call.memory = caller.known.lines(without=[caller.phone])
        told = Remembered(call.profile_id or "", tuple(call.memory), tuple(caller.known.ids))
        if call.memory and told != caller.told:
            caller.told = told
            self._record(call.sid, told)

    async def _note(self, call: Call, caller: _Caller, fact: str) -> bool:
        """Write a fact down, to the profile of the caller: a new one if need be."""
        text = one_line(fact, MAX_FACT)
        caller.facts += 1
        if not text or caller.facts > MAX_FACTS:
            return False
        self._record(call.sid, Noted(text))  # if it does not arrive now, it does after the call
        try:
            async with asyncio.timeout(WRITE_SECONDS):
                if caller.searching and caller.search is not None:
                    await asyncio.wait([caller.search])
                await self._write(caller, text)
        except (ApiError, ValueError, TimeoutError) as error:
            log.warning("call %s: a fact could not be noted: %s", call.sid, _describe(error))
            self._record(call.sid, Failed("remember", type(error).__name__))
            return False
        call.profile_id = caller.known.profile_id
        self._record(call.sid, Acted("remember", text))
        return True

    async def _write(self, caller: _Caller, text: str) -> None:
        store_id = await caller.store.id()
        if not store_id:
            raise ValueError("the configuration has no memory store")
        profile_id = caller.known.profile_id
        if profile_id is None:
            group, _, name = self._phone_trait.partition(".")
            profile_id = await self._memory.create_profile(store_id, {group: {name: caller.phone}})
        conversations = [caller.conversation_id] if caller.conversation_id is not None else []
        caller.known.profile_id = await self._memory.observe(
            store_id, profile_id, [text], conversation_ids=conversations
        )


@dataclass(slots=True)
class _Waiting:
    """An agent whose first turn waits for the caller's memory. Later turns go straight through."""

    agent: Agent
    caller: _Caller
    fill: Callable[[], None]
    filled: bool = False

    def __call__(self, call: Call, turn: Turn) -> AsyncIterator[Piece]:
        if self.filled:
            return self.agent(call, turn)
        return self._after(call, turn)

    async def _after(self, call: Call, turn: Turn) -> AsyncIterator[Piece]:
        if self.caller.search is not None:
            await asyncio.wait([self.caller.search])
        if not self.filled:
            self.filled = True
            self.fill()
        async with aclosing(cast(Any, self.agent(call, turn))) as pieces:
            async for piece in pieces:
                yield piece


class _Store:
    """Which memory store belongs to what TwiML names. Asked now and then, beside the calls."""

    def __init__(
        self,
        configurations: Configurations,
        conversations: Conversations,
        named: str,
        background: BackgroundTasks,
    ) -> None:
        self.named: Final = named
        self._configurations = configurations
        self._conversations = conversations
        self._background = background
        self._id: str | None = None
        self._stale_at = 0.0
        self._loading: asyncio.Task[None] | None = None

    async def id(self) -> str:
        """The store's id; empty if there is none. Raises `ApiError` if it is not known and cannot be read."""
        loop = asyncio.get_running_loop()
        if (self._loading is None or self._loading.done()) and loop.time() >= self._stale_at:
            self._loading = self._background.spawn(self._load(), "memory store")
            self._loading.add_done_callback(_retrieve_error)
        if self._id is None and self._loading is not None:
            await asyncio.shield(self._loading)
        return self._id or ""

    async def _load(self) -> None:
        named: str | None = self.named
        if problem(self.named, IdKind.CONVERSATION) is None:
            named = (await self._conversations.fetch(self.named)).configuration_id
        self._id = (await self._configurations.named(named)).memory_store_id if named else ""
        self._stale_at = asyncio.get_running_loop().time() + STORE_CACHE_SECONDS


def _retrieve_error(task: asyncio.Task[None]) -> None:
    """Whoever awaits the task gets its error; if nobody does, the loop need not log it."""
    if not task.cancelled():
        task.exception()


def _describe(error: Exception) -> str:
    """The error without Twilio's own words, which may repeat a number."""
    if not isinstance(error, ApiError):
        return str(error) or type(error).__name__
    status = f" {error.status}" if error.status is not None else ""
    return f"{error.method} {error.url}: {error.trouble}{status}"
