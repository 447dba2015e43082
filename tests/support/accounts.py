"""Facts as the guard reads them, made by hand."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from voice_app.findings import Finding
from voice_app.guard import Named, Scope, Snapshot, judge
from voice_app.twilio import (
    ApiError,
    Configuration,
    Conversation,
    IntelligenceConfiguration,
    Operator,
    Trouble,
)
from voice_app.twilio.classic_api import IncomingNumber
from voice_app.twilio.memory import MemoryStore

ORIGIN = "https://voice.example.com"
NUMBER = "+15550100001"
OTHER_NUMBER = "+15550100002"
PERSON = "+15550100099"
NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)

OURS = "conv_configuration_00000000000000000000000001"
THEIRS = "conv_configuration_00000000000000000000000002"
STORE = "mem_store_00000000000000000000000001"
LINK = "intelligence_configuration_00000000000000000000000001"
OPERATOR = "intelligence_operator_00000000000000000000000001"

VOICE: dict[str, Any] = {"statusTimeouts": {"inactive": 5, "closed": 30}, "captureRules": []}


def rule(from_: str, to: str, call_type: str | None = "PSTN") -> dict[str, Any]:
    """A capture rule."""
    return {"from": from_, "to": to, "metadata": {} if call_type is None else {"callType": call_type}}


def configuration(configuration_id: str = OURS, **fields: Any) -> Configuration:
    """A configuration with which nothing is wrong, but for ``fields``."""
    return Configuration(
        {
            "id": configuration_id,
            "displayName": "acme-voice",
            "description": "",
            "conversationGroupingType": "GROUP_BY_PARTICIPANT_ADDRESSES_AND_CHANNEL_TYPE",
            "memoryStoreId": STORE,
            "memoryExtractionEnabled": True,
            "channelSettings": {"VOICE": VOICE},
            "statusCallbacks": [{"url": f"{ORIGIN}/orchestrator/events", "method": "POST"}],
            "createdAt": "2026-01-01T00:00:00Z",
            "updatedAt": "2026-01-01T00:00:00Z",
            "version": 7,
            **fields,
        }
    )


def capturing(*rules: Any, channel: str = "VOICE", configuration_id: str = OURS) -> Configuration:
    """A configuration with capture rules."""
    channels = {"VOICE": VOICE, channel: {**VOICE, "captureRules": list(rules)}}
    return configuration(configuration_id, channelSettings=channels)


def others(*rules: Any) -> tuple[Configuration, ...]:
    """All configurations of an account where somebody else's has these VOICE capture rules."""
    return configuration(), capturing(*rules, configuration_id=THEIRS)


def number(address: str = NUMBER, **fields: str) -> IncomingNumber:
    """A number that is set up as README.md tells."""
    webhook = f"{ORIGIN}/voice"
    given = {
        "voice_url": webhook,
        "voice_fallback_url": f"{webhook}/fallback",
        "status_callback": f"{webhook}/status",
    }
    return IncomingNumber.read({"phone_number": address, **given, **fields})


def conversation(number_: int = 1, **fields: Any) -> Conversation:
    """An open conversation of our configuration."""
    return Conversation.read(
        {
            "id": f"conv_conversation_{number_:026}",
            "configurationId": OURS,
            "status": "ACTIVE",
            "createdAt": "2026-01-01T11:59:00Z",
            "updatedAt": "2026-01-01T11:59:00Z",
            **fields,
        }
    )


def customer(profile_id: str | None) -> dict[str, Any]:
    """Somebody who called, known or not."""
    place = {"channel": "VOICE", "address": OTHER_NUMBER, "channelId": "CA" + "1" * 32}
    return {
        "id": "conv_participant_1",
        "type": "CUSTOMER",
        "addresses": [place],
        **({"profileId": profile_id} if profile_id else {}),
    }


def linked(**fields: Any) -> dict[str, IntelligenceConfiguration | None]:
    """The intelligence configuration, as it is read."""
    at_the_end = {"operators": [{"id": OPERATOR}], "triggers": [{"on": "CONVERSATION_END"}]}
    given = {"id": LINK, "displayName": "acme", "rules": [at_the_end], **fields}
    return {LINK: IntelligenceConfiguration.read(given)}


def operator(prompt: str) -> dict[str, Operator]:
    """Our own operator, as it is read."""
    return {OPERATOR: Operator.read({"id": OPERATOR, "displayName": "mood", "prompt": prompt})}


def stores(status: str | None = "ACTIVE") -> dict[str, MemoryStore | None]:
    """The memory store; None: it does not exist."""
    return {STORE: None if status is None else MemoryStore.read({"id": STORE, "status": status})}


def trouble(kind: Trouble = Trouble.SERVER) -> ApiError:
    """Something that Twilio did not let us read."""
    return ApiError(kind, method="GET", url="https://x.twilio.com/y", message="no", status=503)


def snapshot(
    ours: Configuration | None = None, *, scope: dict[str, Any] | None = None, **parts: Any
) -> Snapshot:
    """An account with which nothing is wrong, but for what is given."""
    ours = ours or configuration()
    told = {
        "configuration_id": OURS,
        "origin": ORIGIN,
        "account_sid": "AC" + "1" * 32,
        "numbers": (NUMBER,),
        "callback_paths": frozenset({"/orchestrator/events"}),
        **(scope or {}),
    }
    given: dict[str, Any] = {
        "scope": Scope(**told),
        "at": NOW,
        "named": (Named(OURS, "TWILIO_CONVERSATION_CONFIGURATION_ID", ours),),
        "configurations": (ours,),
        "incoming": (number(),),
        "stores": stores(),
        "conversations": (conversation(),),
        **parts,
    }
    return Snapshot(**given)


def judged(ours: Configuration | None = None, **parts: Any) -> list[Finding]:
    """What the guard says about it."""
    return judge(snapshot(ours, **parts))
