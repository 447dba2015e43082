"""What the double's Memory takes in: every documented field with its limits, and nothing else."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from msgspec import UNSET, Meta, UnsetType

from voice_app.sandbox.twilio.bodies import Body, NotEmpty

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
