"""What Conversation Orchestrator sends. Fields that we don't know are kept in ``raw``; statuses stay text."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final, Self

import msgspec

from voice_app.twilio.errors import ApiError, Trouble

OPEN: Final = ("ACTIVE", "INACTIVE")
"""The statuses of a conversation that may still grow."""


def moment(text: str) -> datetime | None:
    """A time as the API writes it; None where it cannot be read. Without a zone it is UTC."""
    try:
        parsed = datetime.fromisoformat(text)
    except ValueError:
        return None
    return parsed if parsed.tzinfo is not None else parsed.replace(tzinfo=UTC)


class Resource(msgspec.Struct, rename="camel", kw_only=True, omit_defaults=True):
    """Something read from the API. Everything but the id may be missing: list views leave fields out."""

    id: str = ""
    raw: dict[str, Any] = msgspec.field(default_factory=dict, name="_raw")
    """The whole answer, with the fields that no attribute shows."""

    @classmethod
    def read(cls, raw: Mapping[str, Any]) -> Self:
        """Raises `ApiError` where a field has a type that the API does not document."""
        given = {name: value for name, value in raw.items() if value is not None}
        try:
            resource = msgspec.convert(given, cls)
        except msgspec.ValidationError as error:
            raise ApiError(
                Trouble.UNREADABLE,
                method="GET",
                url=f"{cls.__name__.lower()} {raw.get('id', 'without id')}",
                message=str(error),
            ) from None
        resource.raw = dict(raw)
        return resource


class ParticipantAddress(msgspec.Struct, rename="camel", kw_only=True, omit_defaults=True):
    """Where a participant is reached."""

    channel: str = ""
    """``VOICE``, ``SMS``, ``RCS``, ``WHATSAPP``, ``CHAT`` or newer."""
    address: str = ""
    """E.164, ``client:…``, ``sip:…``, ``whatsapp:+…`` or an identity."""
    channel_id: str | None = None
    """The CallSid or MessageSid."""


class Participant(Resource):
    """One side of a conversation."""

    conversation_id: str = ""
    name: str | None = None
    type: str = "UNKNOWN"
    """``HUMAN_AGENT``, ``CUSTOMER``, ``AI_AGENT``, ``AGENT`` or ``UNKNOWN``."""
    profile_id: str | None = None
    addresses: list[ParticipantAddress] = []
    created_at: str = ""
    updated_at: str = ""

    @property
    def ours(self) -> bool:
        """Whether this is an agent, be it a person or a machine."""
        return self.type in {"HUMAN_AGENT", "AI_AGENT", "AGENT"}


class CommunicationParty(msgspec.Struct, rename="camel", kw_only=True, omit_defaults=True):
    """Who said something, or to whom it went. The channel stands here and nowhere else."""

    address: str = ""
    channel: str = ""
    participant_id: str | None = None


class Word(msgspec.Struct, rename="camel", kw_only=True, omit_defaults=True):
    """One word with its place in the audio."""

    text: str = ""
    start_time: str | float | None = None
    end_time: str | float | None = None


class SpeechRecognition(msgspec.Struct, rename="camel", kw_only=True, omit_defaults=True):
    """How a text was recognised."""

    channel: int | None = None
    """0 is the caller's side, 1 ours."""
    engine: str | None = None
    words: list[Word] | None = None


class Content(msgspec.Struct, rename="camel", kw_only=True, omit_defaults=True):
    """What was said."""

    type: str = ""
    """``TEXT`` or ``TRANSCRIPTION``."""
    text: str | None = None
    transcription: SpeechRecognition | None = None


class Communication(Resource):
    """One message, or one fragment of speech. Its text is untrusted input."""

    conversation_id: str = ""
    author: CommunicationParty = msgspec.field(default_factory=CommunicationParty)
    content: Content | None = None
    recipients: list[CommunicationParty] = []
    channel_id: str | None = None
    resource_id: str | None = None
    """TranscriptionSid and index, or MessageSid: unique inside the conversation."""
    created_at: str = ""
    updated_at: str = ""
    occurred_at: str = ""

    @property
    def complete(self) -> bool:
        """Whether the list view left nothing out that a transcript needs."""
        return self.content is not None and bool(self.created_at) and bool(self.author.address)

    @property
    def at(self) -> datetime | None:
        """When it was said."""
        return moment(self.occurred_at) or moment(self.created_at)

    @property
    def text(self) -> str:
        return (self.content.text or "") if self.content is not None else ""


class Conversation(Resource):
    """A thread of communications."""

    account_id: str = ""
    configuration_id: str | None = None
    """None where it was created with a configuration of its own."""
    status: str = ""
    """``ACTIVE``, ``INACTIVE`` or ``CLOSED``."""
    name: str | None = None
    created_at: str = ""
    updated_at: str = ""
    configuration: dict[str, Any] | None = None
    """The configuration as it was when the conversation was created; it does not follow later changes."""
    participants: list[Participant] = []
    metadata: dict[str, str] = {}

    @property
    def complete(self) -> bool:
        """Whether the list view left nothing out."""
        return bool(self.created_at) and bool(self.status)


class Problem(msgspec.Struct, kw_only=True, omit_defaults=True):
    """Why an operation failed (RFC 9457)."""

    type: str = ""
    title: str = ""
    status: int | None = None
    detail: str = ""


class Operation(Resource):
    """A change that Twilio makes behind the 202."""

    operation_id: str = ""
    status: str = ""
    """``PENDING``, ``COMPLETED``, ``FAILED``, and others that mean one of these or "not yet"."""
    created_at: str = ""
    completed_at: str = ""
    status_url: str = ""
    related: dict[str, Any] | None = None
    result: Any = None
    error: Problem | None = None


class CaptureRule(msgspec.Struct, frozen=True):
    """Which traffic a configuration captures by itself."""

    from_: str
    to: str
    metadata: Mapping[str, str]

    @property
    def call_type(self) -> str | None:
        """``PSTN``, ``CLIENT``, ``PUBLIC_SIP``; None means PSTN."""
        return self.metadata.get("callType")

    def __str__(self) -> str:
        extra = ", ".join(f"{name} {value}" for name, value in self.metadata.items())
        return f"from {self.from_} to {self.to} ({extra or 'no callType: PSTN'})"


class Configuration(msgspec.Struct, frozen=True):
    """A configuration exactly as it was read.

    ``raw`` is the truth, so that writing it back loses nothing; the properties are a view of it that survives
    any type in any place.
    """

    raw: dict[str, Any]

    @property
    def id(self) -> str:
        return self._text("id")

    @property
    def display_name(self) -> str:
        return self._text("displayName")

    @property
    def unique_name(self) -> str:
        """What TwiML may call it by instead of the id, where the API shows one."""
        return self._text("uniqueName")

    @property
    def description(self) -> str:
        return self._text("description")

    @property
    def grouping(self) -> str:
        """``conversationGroupingType``; it never changes after creation."""
        return self._text("conversationGroupingType")

    @property
    def memory_store_id(self) -> str:
        return self._text("memoryStoreId")

    @property
    def version(self) -> int | None:
        """Grows by one with every change."""
        version = self.raw.get("version")
        return version if isinstance(version, int) and not isinstance(version, bool) else None

    @property
    def updated_at(self) -> str:
        return self._text("updatedAt")

    @property
    def memory_extraction_enabled(self) -> bool:
        return self.raw.get("memoryExtractionEnabled") is True

    @property
    def intelligence_configuration_ids(self) -> list[str]:
        return [item for item in self._list("intelligenceConfigurationIds") if isinstance(item, str)]

    @property
    def status_callbacks(self) -> list[dict[str, Any]]:
        return [item for item in self._list("statusCallbacks") if isinstance(item, dict)]

    @property
    def channel_settings(self) -> dict[str, Any]:
        settings = self.raw.get("channelSettings")
        return settings if isinstance(settings, dict) else {}

    @property
    def whole(self) -> bool:
        """Whether it says of VOICE capture rules that there are some or none. A row of a list may not."""
        settings = self.raw.get("channelSettings")
        if not isinstance(settings, dict):
            return "channelSettings" in self.raw and settings is not None
        voice = [channel for name, channel in settings.items() if name.upper() == "VOICE"]
        return all(isinstance(channel, dict) and channel.get("captureRules") is not None for channel in voice)

    def channel(self, name: str) -> dict[str, Any]:
        """The settings of one channel, e.g. ``VOICE``; empty where there are none."""
        settings = self.channel_settings.get(name)
        return settings if isinstance(settings, dict) else {}

    def capture_rules(self, channel: str) -> list[CaptureRule]:
        """The rules that can be read as rules. What cannot be is in ``raw`` only."""
        rules = self.channel(channel).get("captureRules")
        return [rule for item in (rules if isinstance(rules, list) else ()) if (rule := capture_rule(item))]

    def _text(self, name: str) -> str:
        value = self.raw.get(name)
        return value if isinstance(value, str) else ""

    def _list(self, name: str) -> list[Any]:
        value = self.raw.get(name)
        return value if isinstance(value, list) else []


def capture_rule(item: Any) -> CaptureRule | None:
    """Read one rule; None where it has no ``from`` and ``to``."""
    if not isinstance(item, dict):
        return None
    from_, to, metadata = item.get("from"), item.get("to"), item.get("metadata")
    if not isinstance(from_, str) or not isinstance(to, str):
        return None
    pairs = metadata.items() if isinstance(metadata, dict) else ()
    return CaptureRule(from_, to, {str(name): str(value) for name, value in pairs})
