"""Reads everything that the rules need, at the same time, and bounded in time.

It only ever asks with GET, and never raises for what Twilio answers: what cannot be read is a fact too.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable
from typing import Final, TypeVar

from voice_app.guard.matching import VOICE, captures
from voice_app.guard.snapshot import SETTING, Named, Part, Scope, Snapshot, Unread
from voice_app.twilio import (
    ApiError,
    Calls,
    Configuration,
    Configurations,
    Conversation,
    Conversations,
    Intelligence,
    IntelligenceConfiguration,
    MemoryClient,
    Operator,
    Trouble,
    TwilioApi,
)
from voice_app.twilio.alerts import Alert, Alerts
from voice_app.twilio.classic_api import IncomingNumber, IncomingNumbers, VoiceApplication
from voice_app.twilio.conversations import PATH as CONVERSATIONS
from voice_app.twilio.identifiers import CALL_SID, IdKind, problem
from voice_app.twilio.memory import MemoryStore
from voice_app.twilio.models import OPEN

MOST_CONVERSATIONS: Final = 1000
"""Open conversations that are looked at: one page of them."""
DAY_SECONDS: Final = 24 * 3600.0
MOST_ALERTED_CALLS: Final = 20
"""Calls that are read to learn whose the alerts are."""

TWILIOS_OWN: Final = frozenset(
    IdKind.OPERATOR + suffix
    for suffix in (
        "01kcrvw16kfa88qvgrfmr7y151",
        "01kcv35pnkeysaf6z6cqtbpegn",
        "01kea27sy7ffsafmtsfp17nzx4",
        "01kf34tcyefpyb1t4m0nbd8rxg",
    )
)
"""Operators that Twilio has written: sentiment, summary, next best response, script adherence."""

T = TypeVar("T")
R = TypeVar("R")


class Collector:
    """Looks at the account, for what ``scope`` is about. Each part is given ``seconds``."""

    def __init__(self, api: TwilioApi, scope: Scope, seconds: float = 20.0) -> None:
        self._api = api
        self._scope = scope
        self._seconds = seconds
        self._configurations = Configurations(api)
        self._unread: list[Unread] = []

    async def collect(self) -> Snapshot:
        """Read all parts at once. What cannot be read is noted in the snapshot."""
        listing = asyncio.create_task(self._list())
        (
            (named, stores, intelligence, operators),
            listed,
            (incoming, applications),
            open_now,
            (alerts, alerted_calls),
        ) = await asyncio.gather(
            self._linked(listing), listing, self._incoming(), self._open(), self._alerts()
        )
        return Snapshot(
            scope=self._scope,
            named=tuple(named),
            configurations=listed,
            incoming=incoming,
            applications=applications,
            stores=stores,
            intelligence=intelligence,
            operators=operators,
            conversations=open_now,
            conversations_cut=len(open_now or ()) >= MOST_CONVERSATIONS,
            alerts=alerts,
            alerted_calls=alerted_calls,
            unread=tuple(self._unread),
        )

    async def _linked(
        self, listing: Awaitable[tuple[Configuration, ...] | None]
    ) -> tuple[
        list[Named],
        dict[str, MemoryStore | None],
        dict[str, IntelligenceConfiguration | None],
        dict[str, Operator],
    ]:
        """What our TwiML names, and then what those configurations name."""
        asked = [self._name(value, by, listing) for value, by in self._scope.named.items()]
        named = [item for found in await asyncio.gather(*asked) for item in found]
        read = [item.configuration for item in named if item.configuration is not None]
        stores, (intelligence, operators) = await asyncio.gather(
            self._stores({item.memory_store_id for item in read}),
            self._intelligence({link for item in read for link in item.intelligence_configuration_ids}),
        )
        return named, stores, intelligence, operators

    async def _name(
        self, value: str, by: str, listing: Awaitable[tuple[Configuration, ...] | None]
    ) -> list[Named]:
        """The configurations that a value in TwiML leads to. A name may be that of several."""
        if problem(value, IdKind.CONFIGURATION) is None:
            return [Named(value, by, await self._one(value))]
        if problem(value, IdKind.CONVERSATION) is None:
            found = await self._behind(value) if by != SETTING else None
            return [found] if found is not None else []
        rows = [item for item in await listing or () if value in (item.unique_name, item.display_name)]
        read = await asyncio.gather(*(self._one(row.id) for row in rows))
        return [Named(row.id, by, one, asked=value) for row, one in zip(rows, read, strict=True)]

    async def _behind(self, conversation_id: str) -> Named | None:
        """The configuration behind a conversation; None if the conversation has none of its own."""
        conversations = Conversations(self._api)
        found = await self._try(
            Part.CONVERSATION, conversation_id, lambda: conversations.fetch(conversation_id)
        )
        if found is None:
            return Named("", conversation_id)
        if not found.configuration_id:
            return None
        one = await self._one(found.configuration_id)
        return Named(found.configuration_id, conversation_id, one)

    async def _one(self, configuration_id: str) -> Configuration | None:
        return await self._try(
            Part.CONFIGURATION, configuration_id, lambda: self._configurations.fetch(configuration_id)
        )

    async def _list(self) -> tuple[Configuration, ...] | None:
        """All configurations. A row that says nothing of capture rules is as good as unread: it is read
        singly, and left out where that fails.
        """
        rows = await self._try(Part.CONFIGURATIONS, "", self._configurations.rows)
        if rows is None:
            return None
        partial = [row.id for row in rows if row.id and not row.whole and not captures(row, VOICE)]
        read = dict(zip(partial, await asyncio.gather(*map(self._one, partial)), strict=True))
        found = (read.get(row.id, row) for row in rows)
        return tuple(item for item in found if item is not None)

    async def _incoming(
        self,
    ) -> tuple[tuple[IncomingNumber, ...] | None, dict[str, VoiceApplication | None]]:
        """The account's numbers, and the applications that they name."""
        if not self._scope.account_sid or not self._scope.origin:
            return None, {}
        numbers = IncomingNumbers(self._api, self._scope.account_sid)
        found = await self._try(Part.NUMBERS, "", numbers.list)
        named = {item.voice_application_sid for item in found or () if not item.trunk_sid} - {""}
        applications = await self._each(Part.APPLICATION, named, numbers.application)
        return tuple(found) if found is not None else None, applications

    async def _alerts(self) -> tuple[tuple[Alert, ...] | None, dict[str, frozenset[str]]]:
        """The alerts of the last day, and who was on the newest calls that they are about."""
        if not self._scope.account_sid:
            return None, {}
        alerts = Alerts(self._api)
        found = await self._try(Part.ALERTS, "", lambda: alerts.since(time.time() - DAY_SECONDS))
        named = dict.fromkeys(item.resource_sid for item in found or ())
        call_sids = [sid for sid in named if CALL_SID.fullmatch(sid)][:MOST_ALERTED_CALLS]
        calls = Calls(self._api, self._scope.account_sid)

        async def ends(call_sid: str) -> frozenset[str] | None:
            try:
                call = await self._within(lambda: calls.fetch(call_sid))
            except ApiError:  # an alert of a call of which nothing is known may be about one of ours
                return None
            return frozenset({call.from_, call.to})

        read = zip(call_sids, await asyncio.gather(*map(ends, call_sids)), strict=True)
        return None if found is None else tuple(found), {sid: told for sid, told in read if told is not None}

    async def _open(self) -> tuple[Conversation, ...] | None:
        if not self._scope.named:
            return None
        return await self._try(Part.CONVERSATIONS, "", self._open_conversations)

    async def _open_conversations(self) -> tuple[Conversation, ...]:
        found: list[Conversation] = []
        query = [("status", status) for status in OPEN]
        async for item in self._api.items("conversations", CONVERSATIONS, query=query):
            found.append(Conversation.read(item))
            if len(found) >= MOST_CONVERSATIONS:
                break
        return tuple(found)

    async def _stores(self, ids: Iterable[str]) -> dict[str, MemoryStore | None]:
        memory = MemoryClient(self._api)
        wanted = [item for item in ids if problem(item, IdKind.MEMORY_STORE) is None]
        return await self._each(Part.STORE, wanted, memory.store)

    async def _intelligence(
        self, ids: Iterable[str]
    ) -> tuple[dict[str, IntelligenceConfiguration | None], dict[str, Operator]]:
        intelligence = Intelligence(self._api)
        wanted = [item for item in ids if problem(item, IdKind.INTELLIGENCE_CONFIGURATION) is None]
        found = await self._each(Part.INTELLIGENCE, wanted, intelligence.configuration)
        operators = {
            operator.id
            for item in found.values()
            if item is not None
            for rule in item.rules
            for operator in rule.operators
        } - TWILIOS_OWN
        own = [item for item in operators if problem(item, IdKind.OPERATOR) is None]
        read = await self._each(Part.OPERATOR, own, intelligence.operator)
        return found, {key: operator for key, operator in read.items() if operator is not None}

    async def _each(
        self, part: Part, ids: Iterable[str], fetch: Callable[[str], Awaitable[R]]
    ) -> dict[str, R | None]:
        """Each of these by its id; None for one that does not exist. One that cannot be read is left out."""
        wanted = sorted(ids)

        async def one(item: str) -> tuple[bool, R | None]:
            try:
                return True, await self._within(lambda: fetch(item))
            except ApiError as error:
                if error.trouble is Trouble.NOT_FOUND:
                    return True, None
                self._unread.append(Unread(part, item, error))
                return False, None

        found = await asyncio.gather(*map(one, wanted))
        return {item: value for item, (known, value) in zip(wanted, found, strict=True) if known}

    async def _try(self, part: Part, where: str, fetch: Callable[[], Awaitable[T]]) -> T | None:
        """What ``fetch`` gives; None, and a note of why, if it cannot be read."""
        try:
            return await self._within(fetch)
        except ApiError as error:
            self._unread.append(Unread(part, where, error))
            return None

    async def _within(self, fetch: Callable[[], Awaitable[T]]) -> T:
        try:
            async with asyncio.timeout(self._seconds):
                return await fetch()
        except TimeoutError:
            told = f"not read within {self._seconds:g} s"
            raise ApiError(Trouble.TIMEOUT, method="GET", url="", message=told) from None
        except ValueError as error:  # an id that came from Twilio and is none
            raise ApiError(Trouble.UNREADABLE, method="GET", url="", message=str(error)) from None
