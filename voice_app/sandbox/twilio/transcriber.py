"""What Twilio does for a call that names a configuration or a conversation: it writes down what is said.

The sandbox's phone talks to this, in the same process or, over HTTP under ``/_sandbox``, from another one.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterator
from typing import Any, Literal, Protocol

import aiohttp
import msgspec

from voice_app.sandbox.twilio.account import SandboxAccount
from voice_app.sandbox.twilio.conversation_store import (
    create_conversation,
    grouping_key,
    join,
    new_participant,
    open_conversation,
    say,
    set_status,
    settle,
)
from voice_app.sandbox.twilio.middleware import CONTROL_PATH
from voice_app.sandbox.twilio.records import CallCapture, Json, SandboxCall, StoredConversation

Side = Literal["caller", "agent"]
CallDirection = Literal["inbound", "outbound"]

RELAY_ENGINE = "deepgram:nova-3-general"
PASSIVE_ENGINE = "google:telephony"


class CallStart(msgspec.Struct, forbid_unknown_fields=True, rename="camel", frozen=True):
    """An engine begins to listen to a call, and writes to a conversation if one of the ids is given."""

    call_sid: str
    caller: str
    number: str
    configuration_id: str | None = None
    conversation_id: str | None = None
    direction: CallDirection = "inbound"
    engine: str = RELAY_ENGINE


class Transcriber(Protocol):
    """Where a phone reports what happens on its calls."""

    async def call_started(self, start: CallStart) -> str | None:
        """TwiML runs that writes to a conversation; returns the conversation's id.

        None if neither id is given, or if the one that is given does not exist: Twilio says nothing then, and
        there is no conversation. Called again for a later part of the same call.
        """
        ...

    async def spoken(self, call_sid: str, side: Side, text: str, *, passively: bool = False) -> None:
        """Somebody has said something. A reply of the agent is written in several fragments.

        ``passively``: only capture rules listen just now.
        """
        ...

    async def call_ended(self, call_sid: str) -> None:
        """The call was hung up. Unknown calls are fine."""
        ...


class LocalTranscriber:
    """Writes into an account in this process."""

    def __init__(self, account: SandboxAccount) -> None:
        self._account = account

    async def call_started(self, start: CallStart) -> str | None:
        account = self._account
        settle(account)
        call = account.calls.get(start.call_sid)
        if call is None:
            call = SandboxCall(start.call_sid, start.caller, start.number)
            account.calls[call.sid] = call
            call.passive = list(_passive(account, call, start.direction))
        conversation = _named(account, call, start.configuration_id, start.conversation_id)
        call.active = _capture(conversation, start.engine) if conversation is not None else None
        return conversation.id if conversation is not None else None

    async def spoken(self, call_sid: str, side: Side, text: str, *, passively: bool = False) -> None:
        call = self._account.calls.get(call_sid)
        if call is None:
            return
        for capture in call.passive if passively else call.captures:
            for fragment in fragments(text) if side == "agent" else [text]:
                if capture.conversation.open:
                    _write(self._account, call, capture, side, fragment)

    async def call_ended(self, call_sid: str) -> None:
        account = self._account
        call = account.calls.pop(call_sid, None)
        if call is None:
            return
        account.finished[call_sid] = call
        busy = {capture.conversation.id for other in account.calls.values() for capture in other.captures}
        for capture in call.captures:
            if capture.conversation.id not in busy and not _voice_timeouts(capture.conversation):
                set_status(account, capture.conversation, "CLOSED")


class RemoteTranscriber:
    """Writes into the account of a double that is served at ``base_url``. The session stays the caller's."""

    def __init__(self, session: aiohttp.ClientSession, base_url: str) -> None:
        self._session = session
        self._base = f"{base_url.rstrip('/')}{CONTROL_PATH}/calls"

    async def call_started(self, start: CallStart) -> str | None:
        answer = await self._post("", msgspec.to_builtins(start))
        conversation: str | None = answer["conversationId"]
        return conversation

    async def spoken(self, call_sid: str, side: Side, text: str, *, passively: bool = False) -> None:
        await self._post(f"/{call_sid}/speech", {"side": side, "text": text, "passively": passively})

    async def call_ended(self, call_sid: str) -> None:
        await self._post(f"/{call_sid}/end", {})

    async def _post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        async with self._session.post(self._base + path, json=body) as response:
            response.raise_for_status()
            answer: dict[str, Any] = await response.json()
            return answer


def fragments(text: str) -> list[str]:
    """The pieces in which ConversationRelay speaks a reply, and writes it down: about one per clause."""
    return [piece for piece in re.split(r"(?<=[.!?;:,])\s+", text.strip()) if piece]


def rule_matches(rule: Json, from_: str, to: str) -> bool:
    """Whether a VOICE capture rule catches a call. A bare ``*`` is a wildcard; no callType means PSTN."""
    call_type = (rule.get("metadata") or {}).get("callType", "PSTN")
    kinds = {_call_type(from_), _call_type(to)} - {"PSTN"} or {"PSTN"}
    sides = ((rule["from"], from_), (rule["to"], to))
    same = all(wanted == "*" or wanted == address.removeprefix("client:") for wanted, address in sides)
    return same and {"SIP": "PUBLIC_SIP"}.get(call_type, call_type) in kinds


def _call_type(address: str) -> str:
    if address.startswith("client:"):
        return "CLIENT"
    return "PUBLIC_SIP" if address.startswith("sip:") else "PSTN"


def _passive(account: SandboxAccount, call: SandboxCall, direction: CallDirection) -> Iterator[CallCapture]:
    """The captures that nobody asked for in TwiML: at most one for each configuration."""
    from_, to = (call.caller, call.number) if direction == "inbound" else (call.number, call.caller)
    for configuration_id, configuration in list(account.configurations.items()):
        rules = ((configuration.get("channelSettings") or {}).get("VOICE") or {}).get("captureRules") or []
        if any(rule_matches(rule, from_, to) for rule in rules):
            conversation = _grouped(account, configuration_id, call, "HUMAN_AGENT")
            yield _capture(conversation, PASSIVE_ENGINE)


def _named(
    account: SandboxAccount, call: SandboxCall, configuration_id: str | None, conversation_id: str | None
) -> StoredConversation | None:
    """Of both ids the conversation's wins, as it is documented for ``<Transcription>``."""
    if conversation_id is not None:
        conversation = account.conversations.get(conversation_id)
        if conversation is None or not conversation.open:
            return None
        for person in _people(call, "AI_AGENT"):
            join(account, conversation, person)
        set_status(account, conversation, "ACTIVE")
        return conversation
    known = account.configurations.items()
    names = ("id", "uniqueName", "displayName")
    ids = (key for key, item in known if configuration_id in [item.get(name) for name in names])
    found = None if configuration_id is None else next(ids, None)
    return None if found is None else _grouped(account, found, call, "AI_AGENT")


def _grouped(
    account: SandboxAccount, configuration_id: str, call: SandboxCall, agent: str
) -> StoredConversation:
    """The conversation that the configuration's grouping leads to, opened if need be."""
    people = _people(call, agent)
    configuration = account.configurations[configuration_id]
    grouping = configuration["conversationGroupingType"]
    known = [new_participant(account, "", configuration["memoryStoreId"], person) for person in people]
    conversation = open_conversation(account, grouping_key(account, configuration_id, grouping, known))
    if conversation is None:
        return create_conversation(account, configuration_id, people)
    for person in people:
        join(account, conversation, person)
    set_status(account, conversation, "ACTIVE")
    return conversation


def _people(call: SandboxCall, agent: str) -> list[Json]:
    return [
        {"type": kind, "addresses": [{"channel": "VOICE", "address": address, "channelId": call.sid}]}
        for kind, address in (("CUSTOMER", call.caller), (agent, call.number))
    ]


def _capture(conversation: StoredConversation, engine: str) -> CallCapture:
    return CallCapture(conversation, engine, "GT" + secrets.token_hex(16))


def _write(account: SandboxAccount, call: SandboxCall, capture: CallCapture, side: Side, text: str) -> None:
    parties = [_party(capture.conversation, address) for address in (call.caller, call.number)]
    author, recipient = parties if side == "caller" else parties[::-1]
    capture.fragments += 1
    details = {
        "channel": 0 if side == "caller" else 1,
        "confidence": 0.95,
        "engine": capture.engine,
        "words": [{"text": word} for word in text.split()],
    }
    communication: Json = {
        "author": author,
        "recipients": [recipient],
        "content": {"type": "TRANSCRIPTION", "text": text, "transcription": details},
        "channelId": call.sid,
        "resourceId": f"{capture.stem}-{capture.fragments}",
    }
    say(account, capture.conversation, communication)


def _party(conversation: StoredConversation, address: str) -> Json:
    party: Json = {"address": address, "channel": "VOICE"}
    for participant in conversation.participants.values():
        if address in [item["address"] for item in participant["addresses"]]:
            return party | {"participantId": participant["id"]}
    return party


def _voice_timeouts(conversation: StoredConversation) -> Json | None:
    """Without timeouts the voice side closes by itself when the call is over."""
    settings = (conversation.resource.get("configuration") or {}).get("channelSettings") or {}
    timeouts: Json | None = (settings.get("VOICE") or {}).get("statusTimeouts")
    return timeouts
