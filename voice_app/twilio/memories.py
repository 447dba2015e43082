"""What is remembered of a person, as Memory sends it. Texts and traits were said by people: untrusted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from voice_app.twilio.models import Resource


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
    score: float | None = None
    """How well it fits the query, 0 to 1; None where nothing was asked."""


class MemorySummary(Resource):
    """What a conversation was about. Its text is untrusted input."""

    content: str = ""
    source: str = ""
    occurred_at: str = ""
    created_at: str = ""
    conversation_id: str = ""
    score: float | None = None


class Memories(msgspec.Struct, frozen=True, kw_only=True):
    """What was recalled."""

    profile_id: str
    """The profile that it is about: another one than was asked for, if that was merged into it."""
    observations: Sequence[MemoryObservation] = ()
    summaries: Sequence[MemorySummary] = ()
    communications: Sequence[Mapping[str, Any]] = ()
    query_ms: float | None = None
    """How long Twilio searched, in milliseconds."""
