"""What the double takes in: every documented field with its limits, and nothing else."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal, TypeVar

import msgspec
from msgspec import UNSET, Meta, UnsetType

from voice_app.sandbox.twilio.errors import RefusedRequestError, invalid

GroupingName = Literal[
    "GROUP_BY_PROFILE", "GROUP_BY_PARTICIPANT_ADDRESSES", "GROUP_BY_PARTICIPANT_ADDRESSES_AND_CHANNEL_TYPE"
]
ChannelName = Literal["VOICE", "SMS", "RCS", "WHATSAPP", "CHAT"]
ConversationStatus = Literal["ACTIVE", "INACTIVE", "CLOSED"]
ParticipantType = Literal["HUMAN_AGENT", "CUSTOMER", "AI_AGENT", "AGENT", "UNKNOWN"]

DisplayName = Annotated[str, Meta(min_length=1, max_length=32, pattern=r"^[a-zA-Z0-9-_ ]+$")]
DescriptionText = Annotated[str, Meta(max_length=512)]
MemoryStoreId = Annotated[str, Meta(pattern=r"^mem_(store|service)_[0-7][0-9a-z]{25}$")]
NotEmpty = Annotated[str, Meta(min_length=1)]
Minutes = Annotated[int, Meta(ge=1)]
MetadataKey = Annotated[str, Meta(min_length=1, max_length=128, pattern=r"^[A-Za-z0-9._-]+$")]
MetadataValue = Annotated[str, Meta(max_length=512)]

MAX_METADATA = 8


class Body(msgspec.Struct, forbid_unknown_fields=True, rename="camel", kw_only=True):
    """Refuses what it does not know, as a stand-in that hides no mistake should."""


class TimeoutsBody(Body):
    inactive: Minutes | UnsetType = UNSET
    closed: Minutes | UnsetType = UNSET


class CaptureRuleBody(Body):
    from_: NotEmpty = msgspec.field(name="from")
    to: NotEmpty
    metadata: dict[str, str] | UnsetType | None = UNSET


class ChannelSettingBody(Body):
    status_timeouts: TimeoutsBody | UnsetType | None = UNSET
    capture_rules: Annotated[list[CaptureRuleBody], Meta(max_length=100)] | UnsetType | None = UNSET


class StatusCallbackBody(Body):
    url: Annotated[str, Meta(pattern=r"^https?://")]
    method: Literal["POST", "GET"] = "POST"


class ClassicBridgeBody(Body):
    service_id: Annotated[str, Meta(pattern=r"^IS[0-9a-f]{32}$")]


CallbackBodies = Annotated[list[StatusCallbackBody], Meta(max_length=2)]
IntelligenceIdBodies = Annotated[list[NotEmpty], Meta(max_length=5)]


class CreateConfiguration(Body):
    display_name: DisplayName
    description: DescriptionText
    conversation_grouping_type: GroupingName
    memory_store_id: MemoryStoreId
    channel_settings: dict[ChannelName, ChannelSettingBody] | UnsetType = UNSET
    status_callbacks: CallbackBodies | UnsetType = UNSET
    intelligence_configuration_ids: IntelligenceIdBodies | UnsetType = UNSET
    memory_extraction_enabled: bool | UnsetType = UNSET
    conversations_v1_bridge: ClassicBridgeBody | UnsetType = UNSET


class ReplaceConfiguration(Body):
    description: DescriptionText
    conversation_grouping_type: GroupingName
    memory_store_id: MemoryStoreId
    channel_settings: dict[ChannelName, ChannelSettingBody]
    display_name: DisplayName | UnsetType = UNSET
    status_callbacks: CallbackBodies | UnsetType = UNSET
    intelligence_configuration_ids: IntelligenceIdBodies | UnsetType = UNSET
    memory_extraction_enabled: bool | UnsetType = UNSET
    conversations_v1_bridge: ClassicBridgeBody | UnsetType = UNSET


class PatchConfiguration(Body):
    """A field that is left out stays; one that is null goes."""

    display_name: DisplayName | UnsetType = UNSET
    description: DescriptionText | UnsetType | None = UNSET
    conversation_grouping_type: GroupingName | UnsetType = UNSET
    memory_store_id: MemoryStoreId | UnsetType = UNSET
    channel_settings: dict[ChannelName, ChannelSettingBody | None] | UnsetType = UNSET
    status_callbacks: CallbackBodies | UnsetType | None = UNSET
    intelligence_configuration_ids: IntelligenceIdBodies | UnsetType | None = UNSET
    memory_extraction_enabled: bool | UnsetType | None = UNSET
    conversations_v1_bridge: ClassicBridgeBody | UnsetType | None = UNSET


class AddressBody(Body):
    channel: NotEmpty
    address: NotEmpty
    channel_id: str | UnsetType = UNSET


class InlineParticipant(Body):
    name: str | UnsetType = UNSET
    type: ParticipantType | UnsetType = UNSET
    profile_id: str | UnsetType = UNSET
    addresses: list[AddressBody] | UnsetType = UNSET


class SaveParticipant(InlineParticipant, kw_only=True):
    """For POST, and for PUT, which replaces the whole participant."""

    addresses: Annotated[list[AddressBody], Meta(min_length=1)]


class InlineChannelSetting(Body):
    """Capture rules can only stand on a configuration."""

    status_timeouts: TimeoutsBody | UnsetType | None = UNSET


class InlineConfiguration(Body):
    conversation_grouping_type: GroupingName | UnsetType = UNSET
    memory_store_id: MemoryStoreId | UnsetType = UNSET
    channel_settings: dict[ChannelName, InlineChannelSetting] | UnsetType = UNSET
    memory_extraction_enabled: bool | UnsetType = UNSET
    intelligence_configuration_ids: IntelligenceIdBodies | UnsetType = UNSET
    status_callbacks: CallbackBodies | UnsetType = UNSET


Metadata = Annotated[dict[MetadataKey, MetadataValue], Meta(max_length=MAX_METADATA)]


class CreateConversation(Body):
    configuration_id: str | UnsetType = UNSET
    name: str | UnsetType = UNSET
    participants: Annotated[list[InlineParticipant], Meta(max_length=50)] | UnsetType = UNSET
    configuration: InlineConfiguration | UnsetType = UNSET
    metadata: Metadata | UnsetType = UNSET


class ReplaceConversation(Body):
    status: ConversationStatus
    name: str | UnsetType = UNSET
    metadata: Metadata | UnsetType = UNSET


class PatchedConfiguration(Body):
    """Of a conversation's configuration, only the callbacks can be changed."""

    status_callbacks: Annotated[list[StatusCallbackBody], Meta(max_length=20)] | UnsetType = UNSET


class PatchConversation(Body):
    status: ConversationStatus | UnsetType = UNSET
    name: str | UnsetType | None = UNSET
    configuration: PatchedConfiguration | UnsetType = UNSET
    metadata: dict[MetadataKey, MetadataValue | None] | UnsetType = UNSET


class CommunicationAuthor(Body):
    address: NotEmpty
    channel: NotEmpty
    participant_id: str | UnsetType = UNSET
    delivery_status: str | UnsetType = UNSET


class TranscriptionWordBody(Body):
    text: str
    start_time: str | UnsetType = UNSET
    end_time: str | UnsetType = UNSET


class TranscriptionBody(Body):
    channel: Literal[0, 1] | UnsetType = UNSET
    confidence: Annotated[float, Meta(ge=0, le=1)] | UnsetType = UNSET
    engine: str | UnsetType = UNSET
    words: list[TranscriptionWordBody] | UnsetType = UNSET


class CommunicationContent(Body):
    type: Literal["TEXT", "TRANSCRIPTION"]
    text: str
    transcription: TranscriptionBody | UnsetType = UNSET


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
    """Check a body. Raises `RefusedRequestError` (400) with the place of the mistake.

    ``beside`` names fields that are taken in without being looked at.
    """
    if not isinstance(raw, dict):
        raise invalid("The request body must be a JSON object")
    known = {name: value for name, value in raw.items() if name not in beside}
    try:
        return msgspec.convert(known, kind)
    except msgspec.ValidationError as error:
        raise _refusal(str(error), known) from None


def _refusal(message: str, raw: dict[str, Any]) -> RefusedRequestError:
    read_only = [name for name in _READ_ONLY if name in raw]
    if "unknown field" in message and read_only:
        return invalid(f"{', '.join(read_only)}: read-only", fields=read_only)
    return invalid(message)


IdType = Annotated[str, Meta(min_length=2, max_length=30)]
IdValue = Annotated[str, Meta(max_length=255)]
ContentText = Annotated[str, Meta(min_length=1, max_length=4096)]
Source = Annotated[str, Meta(max_length=100, pattern=r"^[A-Za-z0-9 ._/-]+$")]
RecallLimit = Annotated[int, Meta(ge=0, le=100)]
ConversationIdText = Annotated[str, Meta(pattern=r"^conv_conversation_")]
Moment = Annotated[datetime, Meta(tz=True)]
TraitGroups = dict[NotEmpty, dict[NotEmpty, Any]]


class LookUp(Body):
    id_type: IdType
    value: IdValue


class CreateProfile(Body):
    traits: TraitGroups


class PatchProfile(Body):
    traits: TraitGroups


class RecallMemories(Body):
    conversation_id: ConversationIdText | UnsetType = UNSET
    query: Annotated[str, Meta(max_length=1024)] | UnsetType = UNSET
    begin_date: Moment | UnsetType = UNSET
    end_date: Moment | UnsetType = UNSET
    communications_limit: RecallLimit = 0
    observations_limit: RecallLimit = 20
    summaries_limit: RecallLimit = 5
    relevance_threshold: Annotated[float, Meta(ge=0, le=1)] = 0.0


class OneObservation(Body):
    content: ContentText
    source: Source
    occurred_at: Moment
    conversation_ids: Annotated[list[ConversationIdText], Meta(max_length=10)] | UnsetType = UNSET


class CreateObservations(Body):
    observations: Annotated[list[OneObservation], Meta(min_length=1, max_length=10)]


class OneSummary(Body):
    content: ContentText
    conversation_id: ConversationIdText
    occurred_at: Moment
    source: Source | UnsetType = UNSET


class CreateSummaries(Body):
    summaries: Annotated[list[OneSummary], Meta(min_length=1, max_length=10)]
