"""What the double takes in: every documented field with its limits, and nothing else."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal, TypeVar

import msgspec
from msgspec import UNSET, Meta, UnsetType

from voice_app.sandbox.twilio.errors import RefusedError, invalid

Grouping = Literal[
    "GROUP_BY_PROFILE", "GROUP_BY_PARTICIPANT_ADDRESSES", "GROUP_BY_PARTICIPANT_ADDRESSES_AND_CHANNEL_TYPE"
]
Channel = Literal["VOICE", "SMS", "RCS", "WHATSAPP", "CHAT"]
Status = Literal["ACTIVE", "INACTIVE", "CLOSED"]
ParticipantType = Literal["HUMAN_AGENT", "CUSTOMER", "AI_AGENT", "AGENT", "UNKNOWN"]

DisplayName = Annotated[str, Meta(min_length=1, max_length=32, pattern=r"^[a-zA-Z0-9-_ ]+$")]
Description = Annotated[str, Meta(max_length=512)]
MemoryStoreId = Annotated[str, Meta(pattern=r"^mem_(store|service)_[0-7][0-9a-z]{25}$")]
NotEmpty = Annotated[str, Meta(min_length=1)]
Minutes = Annotated[int, Meta(ge=1)]
MetadataKey = Annotated[str, Meta(min_length=1, max_length=128, pattern=r"^[A-Za-z0-9._-]+$")]
MetadataValue = Annotated[str, Meta(max_length=512)]

MAX_METADATA = 8


class Body(msgspec.Struct, forbid_unknown_fields=True, rename="camel", kw_only=True):
    """Refuses what it does not know, as a stand-in that hides no mistake should."""


class Timeouts(Body):
    inactive: Minutes | UnsetType = UNSET
    closed: Minutes | UnsetType = UNSET


class CaptureRule(Body):
    from_: NotEmpty = msgspec.field(name="from")
    to: NotEmpty
    metadata: dict[str, str] | UnsetType | None = UNSET


class ChannelSetting(Body):
    status_timeouts: Timeouts | UnsetType | None = UNSET
    capture_rules: Annotated[list[CaptureRule], Meta(max_length=100)] | UnsetType | None = UNSET


class StatusCallback(Body):
    url: Annotated[str, Meta(pattern=r"^https?://")]
    method: Literal["POST", "GET"] = "POST"


class Bridge(Body):
    service_id: Annotated[str, Meta(pattern=r"^IS[0-9a-f]{32}$")]


Callbacks = Annotated[list[StatusCallback], Meta(max_length=2)]
IntelligenceIds = Annotated[list[NotEmpty], Meta(max_length=5)]


class CreateConfiguration(Body):
    display_name: DisplayName
    description: Description
    conversation_grouping_type: Grouping
    memory_store_id: MemoryStoreId
    channel_settings: dict[Channel, ChannelSetting] | UnsetType = UNSET
    status_callbacks: Callbacks | UnsetType = UNSET
    intelligence_configuration_ids: IntelligenceIds | UnsetType = UNSET
    memory_extraction_enabled: bool | UnsetType = UNSET
    conversations_v1_bridge: Bridge | UnsetType = UNSET


class ReplaceConfiguration(Body):
    description: Description
    conversation_grouping_type: Grouping
    memory_store_id: MemoryStoreId
    channel_settings: dict[Channel, ChannelSetting]
    display_name: DisplayName | UnsetType = UNSET
    status_callbacks: Callbacks | UnsetType = UNSET
    intelligence_configuration_ids: IntelligenceIds | UnsetType = UNSET
    memory_extraction_enabled: bool | UnsetType = UNSET
    conversations_v1_bridge: Bridge | UnsetType = UNSET


class PatchConfiguration(Body):
    """A field that is left out stays; one that is null goes."""

    display_name: DisplayName | UnsetType = UNSET
    description: Description | UnsetType | None = UNSET
    conversation_grouping_type: Grouping | UnsetType = UNSET
    memory_store_id: MemoryStoreId | UnsetType = UNSET
    channel_settings: dict[Channel, ChannelSetting | None] | UnsetType = UNSET
    status_callbacks: Callbacks | UnsetType | None = UNSET
    intelligence_configuration_ids: IntelligenceIds | UnsetType | None = UNSET
    memory_extraction_enabled: bool | UnsetType | None = UNSET
    conversations_v1_bridge: Bridge | UnsetType | None = UNSET


class ParticipantAddress(Body):
    channel: NotEmpty
    address: NotEmpty
    channel_id: str | UnsetType = UNSET


class InlineParticipant(Body):
    name: str | UnsetType = UNSET
    type: ParticipantType | UnsetType = UNSET
    profile_id: str | UnsetType = UNSET
    addresses: list[ParticipantAddress] | UnsetType = UNSET


class SaveParticipant(InlineParticipant, kw_only=True):
    """For POST, and for PUT, which replaces the whole participant."""

    addresses: Annotated[list[ParticipantAddress], Meta(min_length=1)]


class InlineChannelSetting(Body):
    """Capture rules can only stand on a configuration."""

    status_timeouts: Timeouts | UnsetType | None = UNSET


class InlineConfiguration(Body):
    conversation_grouping_type: Grouping | UnsetType = UNSET
    memory_store_id: MemoryStoreId | UnsetType = UNSET
    channel_settings: dict[Channel, InlineChannelSetting] | UnsetType = UNSET
    memory_extraction_enabled: bool | UnsetType = UNSET
    intelligence_configuration_ids: IntelligenceIds | UnsetType = UNSET
    status_callbacks: Callbacks | UnsetType = UNSET


Metadata = Annotated[dict[MetadataKey, MetadataValue], Meta(max_length=MAX_METADATA)]


class CreateConversation(Body):
    configuration_id: str | UnsetType = UNSET
    name: str | UnsetType = UNSET
    participants: Annotated[list[InlineParticipant], Meta(max_length=50)] | UnsetType = UNSET
    configuration: InlineConfiguration | UnsetType = UNSET
    metadata: Metadata | UnsetType = UNSET


class ReplaceConversation(Body):
    status: Status
    name: str | UnsetType = UNSET
    metadata: Metadata | UnsetType = UNSET


class PatchedConfiguration(Body):
    """Of a conversation's configuration, only the callbacks can be changed."""

    status_callbacks: Annotated[list[StatusCallback], Meta(max_length=20)] | UnsetType = UNSET


class PatchConversation(Body):
    status: Status | UnsetType = UNSET
    name: str | UnsetType | None = UNSET
    configuration: PatchedConfiguration | UnsetType = UNSET
    metadata: dict[MetadataKey, MetadataValue | None] | UnsetType = UNSET


class CommunicationAuthor(Body):
    address: NotEmpty
    channel: NotEmpty
    participant_id: str | UnsetType = UNSET
    delivery_status: str | UnsetType = UNSET


class TranscriptionWord(Body):
    text: str
    start_time: str | UnsetType = UNSET
    end_time: str | UnsetType = UNSET


class TranscriptionDetails(Body):
    channel: Literal[0, 1] | UnsetType = UNSET
    confidence: Annotated[float, Meta(ge=0, le=1)] | UnsetType = UNSET
    engine: str | UnsetType = UNSET
    words: list[TranscriptionWord] | UnsetType = UNSET


class CommunicationContent(Body):
    type: Literal["TEXT", "TRANSCRIPTION"]
    text: str
    transcription: TranscriptionDetails | UnsetType = UNSET


class CreateCommunication(Body):
    author: CommunicationAuthor
    content: CommunicationContent
    recipients: Annotated[list[CommunicationAuthor], Meta(min_length=1)]
    channel_id: str | UnsetType = UNSET
    resource_id: str | UnsetType = UNSET
    occurred_at: str | UnsetType = UNSET


class ActionParty(Body):
    participant_id: str | UnsetType = UNSET
    address: str | UnsetType = UNSET
    channel: Literal["SMS", "RCS", "WHATSAPP", "CHAT"] | UnsetType = UNSET


class ActionContent(Body):
    text: str | UnsetType = UNSET
    content_id: Annotated[str, Meta(pattern=r"^HX")] | UnsetType = UNSET
    variables: dict[str, str] | UnsetType = UNSET
    media_urls: list[str] | UnsetType = UNSET


class ActionPayload(Body):
    from_: ActionParty = msgspec.field(name="from")
    to: Annotated[list[ActionParty], Meta(min_length=1)]
    content: ActionContent
    channel_settings: dict[str, dict[str, Any]] | UnsetType = UNSET


class CreateAction(Body):
    type: Literal["SEND_MESSAGE"]
    payload: ActionPayload


_READ_ONLY = ("id", "createdAt", "updatedAt", "version")

B = TypeVar("B", bound=msgspec.Struct)


def accepted(kind: type[B], raw: Any, *, beside: frozenset[str] = frozenset()) -> B:
    """Check a body. Raises `RefusedError` (400) with the place of the mistake.

    ``beside`` names fields that are taken in without being looked at.
    """
    if not isinstance(raw, dict):
        raise invalid("The request body must be a JSON object")
    known = {name: value for name, value in raw.items() if name not in beside}
    try:
        return msgspec.convert(known, kind)
    except msgspec.ValidationError as error:
        raise _refusal(str(error), known) from None


def _refusal(message: str, raw: dict[str, Any]) -> RefusedError:
    read_only = [name for name in _READ_ONLY if name in raw]
    if "unknown field" in message and read_only:
        return invalid(f"{', '.join(read_only)}: read-only", fields=read_only)
    return invalid(message)


IdType = Annotated[str, Meta(min_length=2, max_length=30)]
IdValue = Annotated[str, Meta(max_length=255)]
Content = Annotated[str, Meta(min_length=1, max_length=4096)]
Source = Annotated[str, Meta(max_length=100, pattern=r"^[A-Za-z0-9 ._/-]+$")]
Limit = Annotated[int, Meta(ge=0, le=100)]
ConversationId = Annotated[str, Meta(pattern=r"^conv_conversation_")]
Moment = Annotated[datetime, Meta(tz=True)]
Traits = dict[NotEmpty, dict[NotEmpty, Any]]


class LookUp(Body):
    id_type: IdType
    value: IdValue


class CreateProfile(Body):
    traits: Traits


class PatchProfile(Body):
    traits: Traits


class RecallMemories(Body):
    conversation_id: ConversationId | UnsetType = UNSET
    query: Annotated[str, Meta(max_length=1024)] | UnsetType = UNSET
    begin_date: Moment | UnsetType = UNSET
    end_date: Moment | UnsetType = UNSET
    communications_limit: Limit = 0
    observations_limit: Limit = 20
    summaries_limit: Limit = 5
    relevance_threshold: Annotated[float, Meta(ge=0, le=1)] = 0.0


class OneObservation(Body):
    content: Content
    source: Source
    occurred_at: Moment
    conversation_ids: Annotated[list[ConversationId], Meta(max_length=10)] | UnsetType = UNSET


class CreateObservations(Body):
    observations: Annotated[list[OneObservation], Meta(min_length=1, max_length=10)]


class OneSummary(Body):
    content: Content
    conversation_id: ConversationId
    occurred_at: Moment
    source: Source | UnsetType = UNSET


class CreateSummaries(Body):
    summaries: Annotated[list[OneSummary], Meta(min_length=1, max_length=10)]
