"""The conversations of Conversation Orchestrator.

https://www.twilio.com/docs/conversations/orchestrator
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final
from uuid import uuid4

from voice_app.twilio.errors import ApiError, Trouble
from voice_app.twilio.http import TwilioApi
from voice_app.twilio.identifiers import IdKind, checked
from voice_app.twilio.models import (
    OPEN,
    Communication,
    Configuration,
    Conversation,
    Participant,
    moment,
)
from voice_app.twilio.operations import PRODUCT, Progress, finished

PATH: Final = "/v2/Conversations"
MAX_METADATA: Final = 512
"""Characters of one value."""

_FIRST_POLL_SECONDS: Final = 0.25
_MAX_POLL_SECONDS: Final = 1.5
_AT_ONCE: Final = 8


class Conversations:
    """Read and change the conversations of the account.

    Every method raises `ApiError`, and `ValueError` for something that cannot be the id of what is asked for.
    """

    def __init__(self, api: TwilioApi) -> None:
        self._api = api

    async def fetch(self, conversation_id: str) -> Conversation:
        """Read one."""
        return Conversation.read(await self._api.get(PRODUCT, _path(conversation_id)))

    async def list(
        self,
        *,
        statuses: Iterable[str] = (),
        channel_id: str | None = None,
        created_after: datetime | None = None,
        created_before: datetime | None = None,
    ) -> Sequence[Conversation]:
        """Read all that match, on all pages. Those that the list shows in part are fetched singly.

        ``created_after`` is inclusive and ``created_before`` is not, and both need a time zone. The API has
        no such filters: they are applied here.
        """
        query = [("status", status) for status in statuses]
        if channel_id is not None:
            query.append(("channelId", channel_id))
        items = [Conversation.read(item) async for item in self._api.items(PRODUCT, PATH, query=query)]
        gate = asyncio.Semaphore(_AT_ONCE)

        async def whole(item: Conversation) -> Conversation:
            if item.complete:
                return item
            async with gate:
                return await self.fetch(item.id)

        found = await asyncio.gather(*map(whole, items))
        return [item for item in found if _within(item, created_after, created_before)]

    async def find_by_call(self, call_sid: str) -> Sequence[Conversation]:
        """The open conversations that a call is written to.

        None right after the call began; one later on. Two mean that two engines listen to the call.
        """
        query = [*(("status", status) for status in OPEN), ("channelId", call_sid)]
        return [Conversation.read(item) async for item in self._api.items(PRODUCT, PATH, query=query)]

    async def wait_for_call(self, call_sid: str, *, within: float = 10.0) -> Sequence[Conversation]:
        """The conversations of a call as soon as there is one, or none after ``within`` seconds.

        The open ones come first. That of a short call may be closed by now. No caller should wait for it.
        """
        ends = time.monotonic() + within
        pause = _FIRST_POLL_SECONDS
        while True:
            found = sorted(await self.list(channel_id=call_sid), key=lambda item: item.status not in OPEN)
            left = ends - time.monotonic()
            if found or left <= 0:
                return found
            await asyncio.sleep(min(pause, left))
            pause = min(pause * 2, _MAX_POLL_SECONDS)

    async def close(self, conversation_id: str) -> Conversation:
        """Close it for good, which starts the extraction of memories and the summaries."""
        path, body = _path(conversation_id), dict[str, Any](status="CLOSED")
        try:
            return Conversation.read(await self._object("PATCH", path, body))
        except ApiError as error:
            if error.trouble is not Trouble.NOT_ALLOWED:
                raise
        current = await self.fetch(conversation_id)
        if current.name is not None:
            body["name"] = current.name
        if current.metadata:
            body["metadata"] = current.metadata
        return Conversation.read(await self._object("PUT", path, body))

    async def annotate(self, conversation_id: str, metadata: Mapping[str, str]) -> Conversation:
        """Add to what is noted on a conversation, which is 8 pairs at most. Long values are cut."""
        body = {"metadata": {name: value[:MAX_METADATA] for name, value in metadata.items()}}
        return Conversation.read(await self._object("PATCH", _path(conversation_id), body))

    async def delete(self, conversation_id: str, *, progress: Progress | None = None) -> None:
        """Erase it with everything in it, and wait until that is done."""
        path = _path(conversation_id)
        reply = await self._api.request("DELETE", PRODUCT, path, idempotency_key=str(uuid4()))
        await finished(self._api, reply, self._api.url(PRODUCT, path), progress=progress)

    async def participants(self, conversation_id: str) -> Sequence[Participant]:
        """Who takes part."""
        path = f"{_path(conversation_id)}/Participants"
        return [Participant.read(item) async for item in self._api.items(PRODUCT, path)]

    async def channels(self, conversation: Conversation) -> set[str]:
        """The channels of those who take part. A list does not show them in every case."""
        people = conversation.participants or await self.participants(conversation.id)
        return {place.channel.upper() for person in people for place in person.addresses}

    async def communications(
        self, conversation_id: str, *, channel_id: str | None = None
    ) -> Sequence[Communication]:
        """What was said, fragment by fragment. Those that the list shows in part are fetched singly."""
        path = f"{_path(conversation_id)}/Communications"
        query = {"channelId": channel_id} if channel_id is not None else {}
        items = [Communication.read(item) async for item in self._api.items(PRODUCT, path, query=query)]
        gate = asyncio.Semaphore(_AT_ONCE)

        async def whole(item: Communication) -> Communication:
            if item.complete or not item.id:
                return item
            async with gate:
                one = f"{path}/{checked(item.id, IdKind.COMMUNICATION)}"
                return Communication.read(await self._api.get(PRODUCT, one))

        return await asyncio.gather(*map(whole, items))

    async def _object(self, method: str, path: str, body: Any) -> dict[str, Any]:
        """The answer to a change that may be said twice."""
        reply = await self._api.request(method, PRODUCT, path, body=body, repeatable=True)
        return self._api.object_of(reply, method, PRODUCT, path)


def pinned_version(conversation: Conversation) -> int | None:
    """The version that the conversation tells by itself. No documentation promises that it does."""
    version = (conversation.configuration or {}).get("version")
    return version if isinstance(version, int) and not isinstance(version, bool) else None


def older_than(conversation: Conversation, configuration: Configuration, version: int) -> bool | None:
    """Whether a conversation keeps an older version of its configuration than this one.

    Where it does not tell its version, time does: what was created before the last change is older than the
    configuration is now. None where neither can tell.
    """
    pinned = pinned_version(conversation)
    if pinned is not None:
        return pinned < version
    created, updated = moment(conversation.created_at), moment(configuration.updated_at)
    if created is None or updated is None or configuration.version is None:
        return None
    if created >= updated:
        return configuration.version < version
    return True if configuration.version <= version else None


def _path(conversation_id: str) -> str:
    return f"{PATH}/{checked(conversation_id, IdKind.CONVERSATION)}"


def _within(item: Conversation, after: datetime | None, before: datetime | None) -> bool:
    if after is None and before is None:
        return True
    created = moment(item.created_at)
    return (
        created is not None and (after is None or created >= after) and (before is None or created < before)
    )
