"""Twilio's Conversation Intelligence: what operators make of a conversation.

https://www.twilio.com/docs/conversations/intelligence, and ``docs/orchestrator.md`` §7.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from voice_app.twilio.http import TwilioApi
from voice_app.twilio.identifiers import IdKind, checked
from voice_app.twilio.models import Resource

PRODUCT: Final = "intelligence"
CONFIGURATIONS: Final = "/v3/ControlPlane/Configurations"
OPERATORS: Final = "/v3/ControlPlane/Operators"
RESULTS: Final = "/v3/OperatorResults"


class _Part(msgspec.Struct, rename="camel", kw_only=True, omit_defaults=True):
    pass


class OperatorReference(_Part):
    """Which operator."""

    id: str = ""
    display_name: str | None = None
    version: int | str | None = None
    parameters: dict[str, Any] | None = None


class Trigger(_Part):
    """When a rule runs."""

    on: str = ""
    """``COMMUNICATION``, ``CONVERSATION_INACTIVE`` or ``CONVERSATION_END``."""
    parameters: dict[str, Any] | None = None

    @property
    def count(self) -> int:
        """For ``COMMUNICATION``: it runs once for this many of them."""
        count = (self.parameters or {}).get("count", 1)
        return count if isinstance(count, int) else 1


class Webhook(_Part):
    """Where results are sent."""

    type: str = ""
    method: str = ""
    url: str = ""


class IntelligenceRule(_Part):
    """Which operators run when."""

    id: str = ""
    operators: list[OperatorReference] = msgspec.field(default_factory=list)
    triggers: list[Trigger] = msgspec.field(default_factory=list)
    actions: list[Webhook] = msgspec.field(default_factory=list)
    context: dict[str, Any] | None = None


class IntelligenceConfiguration(Resource):
    """A set of rules. They run on the conversations of the configurations that it is linked to."""

    display_name: str = ""
    description: str = ""
    version: int | str | None = None
    rules: list[IntelligenceRule] = msgspec.field(default_factory=list)
    date_created: str = ""


class Operator(Resource):
    """Something that reads a conversation and says one thing about it."""

    display_name: str = ""
    description: str = ""
    version: int | str | None = None
    author: str = ""
    """``TWILIO`` or ``SELF``."""
    output_format: str = ""
    """``TEXT``, ``JSON``, ``CLASSIFICATION``; ``EXTRACTION`` can be read only."""
    prompt: str | None = None
    """Of our own operators only."""


class OperatorResult(Resource):
    """What an operator said. It was made from what people said: untrusted input."""

    conversation_id: str = ""
    operator: OperatorReference = msgspec.field(default_factory=OperatorReference)
    output_format: str = ""
    result: Any = None
    """By format: ``{text}``, ``{label}``, ``{entities}``, or an object of the operator's own schema."""
    date_created: str = ""
    execution_details: dict[str, Any] | None = None

    @property
    def text(self) -> str:
        """The result as one text: what was written, the label, or JSON."""
        if isinstance(self.result, dict):
            for name in ("text", "label"):
                if isinstance(self.result.get(name), str) and len(self.result) == 1:
                    return str(self.result[name])
        return "" if self.result is None else msgspec.json.encode(self.result).decode()


class Intelligence:
    """Read what operators do and have said.

    Every method raises `ApiError`, and `ValueError` for something that cannot be the id of what is asked for.
    """

    def __init__(self, api: TwilioApi) -> None:
        self._api = api

    async def configuration(self, intelligence_id: str) -> IntelligenceConfiguration:
        """Read an intelligence configuration."""
        path = f"{CONFIGURATIONS}/{checked(intelligence_id, IdKind.INTELLIGENCE_CONFIGURATION)}"
        return IntelligenceConfiguration.read(await self._api.get(PRODUCT, path))

    async def operator(self, operator_id: str) -> Operator:
        """Read an operator, Twilio's or our own."""
        path = f"{OPERATORS}/{checked(operator_id, IdKind.OPERATOR)}"
        return Operator.read(await self._api.get(PRODUCT, path))

    async def results(self, *, conversation_id: str) -> Sequence[OperatorResult]:
        """Read all results about a conversation, on all pages."""
        query = {"conversationId": checked(conversation_id, IdKind.CONVERSATION)}
        return [OperatorResult.read(item) async for item in self._api.items(PRODUCT, RESULTS, query=query)]

    async def delete_result(self, result_id: str) -> None:
        """Erase one result, if it is there."""
        await self._api.delete(PRODUCT, f"{RESULTS}/{checked(result_id, IdKind.OPERATOR_RESULT)}")
