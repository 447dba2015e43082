"""What the double's Intelligence takes in: every documented field with its limits, and nothing else."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from voice_app.sandbox.twilio.bodies import Body, NotEmpty

Name = Annotated[str, Meta(min_length=1, max_length=128)]
Url = Annotated[str, Meta(pattern=r"^https?://")]


class RuleOperator(Body):
    id: Annotated[str, Meta(pattern=r"^intelligence_operator_")]
    version: int | UnsetType = UNSET
    parameters: dict[str, Any] | UnsetType = UNSET


class TriggerParameters(Body):
    count: Annotated[int, Meta(ge=1, le=20)] | UnsetType = UNSET


class RuleTrigger(Body):
    on: Literal["COMMUNICATION", "CONVERSATION_END", "CONVERSATION_INACTIVE"]
    parameters: TriggerParameters | UnsetType = UNSET


class RuleAction(Body):
    type: Literal["WEBHOOK"]
    method: Literal["POST"]
    url: Url


class ContextMemory(Body):
    enabled: bool


class ContextKnowledge(Body):
    bases: list[Any]


class RuleContext(Body):
    memory: ContextMemory | UnsetType = UNSET
    knowledge: ContextKnowledge | UnsetType = UNSET


class NewRule(Body):
    operators: Annotated[list[RuleOperator], Meta(min_length=1, max_length=5)]
    triggers: Annotated[list[RuleTrigger], Meta(max_length=1)] = msgspec.field(default_factory=list)
    actions: Annotated[list[RuleAction], Meta(max_length=2)] = msgspec.field(default_factory=list)
    context: RuleContext | UnsetType = UNSET


class ChangedRule(NewRule, kw_only=True):
    """With the id of a rule that is there it changes that one, without it is a new one."""

    id: str | UnsetType = UNSET


class CreateIntelligence(Body):
    display_name: Name
    rules: Annotated[list[NewRule], Meta(max_length=5)]
    description: str | UnsetType = UNSET


class ReplaceIntelligence(Body):
    display_name: Name
    rules: Annotated[list[ChangedRule], Meta(max_length=5)]
    description: str | UnsetType = UNSET


class CreateOperator(Body):
    display_name: Name
    output_format: Literal["TEXT", "JSON", "CLASSIFICATION"]
    prompt: NotEmpty
    description: str | UnsetType = UNSET
    output_schema: dict[str, Any] | UnsetType = UNSET
    training_examples: list[dict[str, Any]] | UnsetType = UNSET
    context: dict[str, Any] | UnsetType = UNSET
    parameters: dict[str, Any] | UnsetType = UNSET
