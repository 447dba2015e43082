"""Twilio's Memory: what is known of the people who call.

https://www.twilio.com/docs/conversations/memory, and ``docs/orchestrator.md`` §6. Texts and traits
were said by people: they are untrusted input. Profiles are merged: the old id then answers with 301 or 308,
and every method follows to the profile that took its place.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final, TypeVar

import msgspec

from voice_app.twilio.errors import ApiError, Trouble
from voice_app.twilio.http import TwilioApi
from voice_app.twilio.identifiers import IdKind, checked, problem
from voice_app.twilio.models import Resource

PRODUCT: Final = "memory"
MAX_OBSERVATIONS: Final = 10
"""In one request."""
MAX_CONTENT: Final = 4096
"""Characters of one observation."""
SOURCE: Final = "voice-app"
"""Who observed what is written from here."""

_MAX_MERGES: Final = 5
_MERGED: Final = frozenset({301, 308})
_MEMORIES: Final = (("Observations", IdKind.OBSERVATION), ("ConversationSummaries", IdKind.SUMMARY))
"""What is kept of a profile beside its traits: the part of its path, and what the ids there are."""

T = TypeVar("T")


class MemoryStore(Resource):
    """Where the profiles of a configuration's customers are kept."""

    display_name: str = ""
    description: str = ""
    status: str = ""
    """``QUEUED``, ``PROVISIONING``, ``ACTIVE`` or ``FAILED``."""
    version: int | None = None

    @property
    def active(self) -> bool:
        """Whether it remembers anything: a store in any other state does not, and says nothing."""
        return self.status == "ACTIVE"


class MemoryProfile(Resource):
    """One person. The id is the one that counts, also where the profile was asked for by an older one."""

    created_at: str = ""
    traits: dict[str, Any] = msgspec.field(default_factory=dict)
    """Values by group and name, e.g. ``{"Contact": {"firstName": "Ada"}}``. Untrusted input."""


class MemoryObservation(Resource):
    """One thing that was noticed about a person. Its text is untrusted input."""

    content: str = ""
    source: str = ""
    occurred_at: str = ""
    created_at: str = ""
    conversation_ids: list[str] = msgspec.field(default_factory=list)


class MemorySummary(Resource):
    """What a conversation was about. Its text is untrusted input."""

    content: str = ""
    source: str = ""
    occurred_at: str = ""
    created_at: str = ""
    conversation_id: str = ""


class Memories(msgspec.Struct, frozen=True, kw_only=True):
    """What was recalled."""

    profile_id: str
    """The profile that it is about: another one than was asked for, if that was merged into it."""
    observations: Sequence[MemoryObservation] = ()
    summaries: Sequence[MemorySummary] = ()


class MemoryClient:
    """Read and write what is known of people.

    Every method raises `ApiError`, and `ValueError` for something that cannot be the id of what is asked for.
    Writes are taken in at once (202) and can be read some time later.
    """

    def __init__(self, api: TwilioApi) -> None:
        self._api = api

    async def store(self, store_id: str) -> MemoryStore:
        """Read a store, to see whether it is alive."""
        path = f"/v1/ControlPlane/Stores/{checked(store_id, IdKind.MEMORY_STORE)}"
        return MemoryStore.read(await self._api.get(PRODUCT, path))

    async def lookup(self, store_id: str, phone: str) -> Sequence[str]:
        """The profiles with this phone number (E.164): none, one, or several."""
        body = {"idType": "phone", "value": phone}
        try:
            answer = await self._post(f"{_profiles(store_id)}/Lookup", body)
        except ApiError as error:
            if error.trouble is not Trouble.NOT_FOUND:
                raise
            await self.store(store_id)  # no such profile, or no such store?
            return []
        found = answer.get("profiles")
        return [item for item in found if isinstance(item, str)] if isinstance(found, list) else []

    async def profile(
        self, store_id: str, profile_id: str, *, trait_groups: Iterable[str] = ()
    ) -> MemoryProfile:
        """Read a profile with its traits: of these groups, or what Twilio shows without being asked."""
        groups = ",".join(trait_groups)
        query = {"traitGroups": groups} if groups else {}

        async def read(canonical: str) -> MemoryProfile:
            profile = MemoryProfile.read(
                await self._api.get(PRODUCT, _profile(store_id, canonical), query=query)
            )
            profile.id = profile.id or canonical
            return profile

        return await self._followed(store_id, profile_id, read)

    async def recall(
        self, store_id: str, profile_id: str, *, observations: int = 20, summaries: int = 5
    ) -> Memories:
        """What is remembered of a person, the newest first. The numbers are limits, 0 to 100.

        There is neither a query nor a conversation for Twilio to make one from: that is the fastest, costs
        nothing, and is right for the beginning of a call.
        """
        body = {"observationsLimit": observations, "summariesLimit": summaries, "communicationsLimit": 0}

        async def read(canonical: str) -> Memories:
            path = f"{_profile(store_id, canonical)}/Recall"
            return _memories(canonical, await self._post(path, body))

        return await self._followed(store_id, profile_id, read)

    async def observations(
        self,
        store_id: str,
        profile_id: str,
        *,
        source: str,
        created_after: datetime,
    ) -> Sequence[MemoryObservation]:
        """What one source has noticed since then, on all pages, the newest first."""
        query = {"orderBy": "DESC", "source": source, "createdAfter": instant(created_after)}

        async def read(canonical: str) -> Sequence[MemoryObservation]:
            path = f"{_profile(store_id, canonical)}/Observations"
            items = self._api.items(PRODUCT, path, query=query, page_size=100)
            return [MemoryObservation.read(item) async for item in items]

        return await self._followed(store_id, profile_id, read)

    async def observe(
        self,
        store_id: str,
        profile_id: str,
        contents: Sequence[str],
        *,
        occurred_at: datetime | None = None,
        conversation_ids: Sequence[str] = (),
    ) -> str:
        """Write down what was noticed just now, and give the id of the profile that it was written to.

        Takes 1 to 10 texts of 1 to 4,096 characters; raises `ValueError` for others. It is said once and
        never repeated by itself: an observation has no key that would keep it from being there twice.
        """
        if not 1 <= len(contents) <= MAX_OBSERVATIONS:
            raise ValueError(f"{len(contents)} observations at once: it takes 1 to {MAX_OBSERVATIONS}")
        for content in contents:
            if not 1 <= len(content) <= MAX_CONTENT:
                raise ValueError(f"an observation has 1 to {MAX_CONTENT} characters, this one {len(content)}")
        common: dict[str, Any] = {"source": SOURCE, "occurredAt": instant(occurred_at)}
        if conversation_ids:
            common["conversationIds"] = [checked(item, IdKind.CONVERSATION) for item in conversation_ids]
        body = {"observations": [{"content": content, **common} for content in contents]}

        async def write(canonical: str) -> str:
            path = f"{_profile(store_id, canonical)}/Observations"
            await self._api.request("POST", PRODUCT, path, body=body)
            return canonical

        return await self._followed(store_id, profile_id, write)

    async def create_profile(self, store_id: str, traits: Mapping[str, Mapping[str, Any]]) -> str:
        """The id of the person with these traits, known already or new.

        One of the traits has to be one that the store identifies people by, e.g. ``Contact.phone``.
        """
        path = _profiles(store_id)
        # The same person again is the same profile: saying it twice does no harm.
        answer = await self._post(path, {"traits": _plain(traits)})
        profile_id = answer.get("id")
        if not isinstance(profile_id, str) or problem(profile_id, IdKind.PROFILE) is not None:
            told = f"the new profile has the id {profile_id!r}, which is none"
            raise ApiError(Trouble.UNREADABLE, method="POST", url=self._api.url(PRODUCT, path), message=told)
        return profile_id

    async def delete_profile(self, store_id: str, profile_id: str) -> None:
        """Erase a person and all that is remembered of them. To do so twice is harmless.

        Twilio says of deleting a profile that its identifiers and traits go with it, and nothing of memories:
        observations and summaries are erased before it, one by one. It is final, takes Twilio a moment, and
        can be read until then. https://www.twilio.com/docs/api/memory/v1/profile/delete-profile
        """

        async def erase(canonical: str) -> None:
            path = _profile(store_id, canonical)
            for part, kind in _MEMORIES:
                found = [item async for item in self._api.items(PRODUCT, f"{path}/{part}", page_size=100)]
                for item in found:
                    item_id = checked(str(item.get("id")), kind)
                    await self._api.delete(PRODUCT, f"{path}/{part}/{item_id}")
            await self._api.delete(PRODUCT, path)

        try:
            await self._followed(store_id, profile_id, erase)
        except ApiError as error:
            if error.trouble is not Trouble.NOT_FOUND:
                raise

    async def _post(self, path: str, body: Any) -> dict[str, Any]:
        """The answer to a POST that does no harm if it is said twice."""
        reply = await self._api.request("POST", PRODUCT, path, body=body, repeatable=True)
        return self._api.object_of(reply, "POST", PRODUCT, path)

    async def _followed(self, store_id: str, profile_id: str, ask: Callable[[str], Awaitable[T]]) -> T:
        """Ask about a profile, and if it was merged, about the one that it was merged into."""
        seen = {profile_id}
        while True:
            try:
                return await ask(profile_id)
            except ApiError as error:
                canonical = self._merged_into(store_id, error)
                if canonical is None or canonical in seen or len(seen) > _MAX_MERGES:
                    raise
                seen.add(canonical)
                profile_id = canonical

    def _merged_into(self, store_id: str, error: ApiError) -> str | None:
        """The profile that took another one's place.

        Only its id is taken from the answer, and the next request goes to the address that we make of it:
        a ``Location`` elsewhere is not followed, since our credentials would go with it.
        """
        if error.status not in _MERGED:
            return None
        canonical = error.headers.get("Canonical-Profile-Id")
        location = error.headers.get("Location", "").partition("?")[0]
        if location:
            store = re.escape(_profiles(store_id))
            pattern = rf"{store}/({IdKind.PROFILE.value}[0-9A-Za-z_-]+)(/\w+)?"
            path = self._api.owned_path(PRODUCT, location, pattern)
            found = re.fullmatch(pattern, path) if path is not None else None
            if found is None:
                return None
            canonical = canonical or found[1]
        if canonical is None or problem(canonical, IdKind.PROFILE) is not None:
            return None
        return canonical


def instant(moment: datetime | None = None) -> str:
    """A time as the API takes it, in UTC; None is now. Raises `ValueError` without a time zone."""
    moment = moment or datetime.now(UTC)
    if moment.tzinfo is None:
        raise ValueError(f"{moment.isoformat()} has no time zone: give it one")
    text = moment.astimezone(UTC).isoformat(timespec="milliseconds")
    return text.replace("+00:00", "Z")


def _memories(profile_id: str, answer: Mapping[str, Any]) -> Memories:
    def items(name: str) -> list[dict[str, Any]]:
        found = answer.get(name)
        return [item for item in found if isinstance(item, dict)] if isinstance(found, list) else []

    return Memories(
        profile_id=profile_id,
        observations=[MemoryObservation.read(item) for item in items("observations")],
        summaries=[MemorySummary.read(item) for item in items("summaries")],
    )


def _plain(traits: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    return {group: dict(values) for group, values in traits.items()}


def _profiles(store_id: str) -> str:
    return f"/v1/Stores/{checked(store_id, IdKind.MEMORY_STORE)}/Profiles"


def _profile(store_id: str, profile_id: str) -> str:
    return f"{_profiles(store_id)}/{checked(profile_id, IdKind.PROFILE)}"
