"""A conversation as a vCon, the IETF's container for conversations, in its unsigned form.

Sources: draft-ietf-vcon-vcon-core-04 (https://datatracker.ietf.org/doc/draft-ietf-vcon-vcon-core/), and
draft-ietf-vcon-cc-extension-02 for ``role`` and ``interaction_id``.
"""

from __future__ import annotations

import hashlib
import re
import uuid
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from voice_app.twilio.identifiers import IdKind
from voice_app.twilio.intelligence import OperatorResult
from voice_app.twilio.models import Communication, Conversation, Participant, moment
from voice_app.twilio.utterances import ConversationUtterance, utterances

SYNTAX: Final = "0.4.0"
"""Deprecated since the fourth draft, and still asked for by older readers."""

_CONTACT_CENTER: Final = "CC"
_VENDOR: Final = "Twilio"
_ROLES: Final = {"CUSTOMER": "customer", "HUMAN_AGENT": "agent", "AI_AGENT": "agent", "AGENT": "agent"}
_ANALYSES: Final = ("summary", "sentiment", "transcript", "translation")
_TWILIOS: Final = {
    IdKind.OPERATOR + "01kcrvw16kfa88qvgrfmr7y151": "sentiment",
    IdKind.OPERATOR + "01kcv35pnkeysaf6z6cqtbpegn": "summary",
}
"""Twilio's own operators, whose results often come without a name."""


def vcon(
    conversation: Conversation,
    participants: Iterable[Participant],
    communications: Sequence[Communication],
    results: Iterable[OperatorResult] = (),
    *,
    exported_at: datetime,
) -> dict[str, Any]:
    """The whole conversation: who took part, what was said, and what operators made of it.

    What one side says without a break is one dialog of type ``text``, be it speech or a message. The same
    conversation always gets the same ``uuid``.
    """
    people = list(participants)
    said = utterances(communications, people)
    parties = _Parties(people)
    by_id = {item.id: item for item in communications}
    began = moment(conversation.created_at) or exported_at
    dialog = [_dialog(item, by_id, parties, began) for item in said]
    return {
        "vcon": SYNTAX,
        "uuid": _stable_uuid(conversation.id),
        "extensions": [_CONTACT_CENTER],
        "created_at": _date(began),
        "updated_at": _date(exported_at),
        "subject": conversation.name or f"Conversation {conversation.id}",
        "parties": parties.found,
        "dialog": dialog,
        "analysis": [_analysis(item, said) for item in results],
        "attachments": [],
    }


class _Parties:
    """The participants, and other addresses that say something; each keeps its index."""

    def __init__(self, people: Sequence[Participant]) -> None:
        self.found: list[dict[str, Any]] = []
        self._by_id: dict[str, int] = {}
        self._by_address: dict[str, int] = {}
        for person in people:
            index = len(self.found)
            self.found.append(_party(person))
            self._by_id[person.id] = index
            for address in person.addresses:
                self._by_address.setdefault(address.address, index)

    def index(self, address: str, participant_id: str | None) -> int:
        known = self._by_id.get(participant_id or "", self._by_address.get(address))
        if known is not None:
            return known
        self._by_address[address] = len(self.found)
        self.found.append(_reached_at(address))
        return self._by_address[address]


def _party(person: Participant) -> dict[str, Any]:
    party: dict[str, Any] = {}
    for address in person.addresses:
        for name, value in _reached_at(address.address).items():
            party.setdefault(name, value)
    if person.name:
        party["name"] = person.name
    if "name" in party:
        party["validation"] = "none"
    if person.profile_id:
        party["uuid"] = _stable_uuid(person.profile_id)
    if person.type in _ROLES:
        party["role"] = _ROLES[person.type]
    return party


def _reached_at(address: str) -> dict[str, Any]:
    bare = re.sub(r"^(whatsapp|rcs|client):", "", address)
    if re.fullmatch(r"\+\d+", bare):
        return {"tel": f"tel:{bare}"}
    return {"sip": bare} if bare.lower().startswith(("sip:", "sips:")) else {"name": bare}


def _dialog(
    utterance: ConversationUtterance, by_id: Mapping[str, Communication], parties: _Parties, began: datetime
) -> dict[str, Any]:
    first = by_id[utterance.communications[0]]
    sender = parties.index(utterance.address, first.author.participant_id)
    recipients = [parties.index(item.address, item.participant_id) for item in first.recipients]
    dialog: dict[str, Any] = {
        "type": "text",
        "start": _date(moment(utterance.at) or began),
        "parties": list(dict.fromkeys([sender, *recipients])),
        "mediatype": "text/plain",
        "encoding": "none",
        "body": utterance.text,
        "application": utterance.channel,
        "message_id": first.resource_id or first.id,
    }
    if first.channel_id:
        dialog["interaction_id"] = first.channel_id
    return dialog


def _analysis(result: OperatorResult, said: Sequence[ConversationUtterance]) -> dict[str, Any]:
    name = result.operator.display_name or _TWILIOS.get(result.operator.id, "")
    analysis: dict[str, Any] = {
        "type": next((kind for kind in _ANALYSES if kind in name.lower()), "report"),
        "dialog": _based_on(result, said),
        "vendor": _VENDOR,
        "product": name or result.operator.id,
        "schema": result.output_format,
    }
    if isinstance(result.result, dict) and result.result.keys() == {"text"}:
        return analysis | {"mediatype": "text/plain", "encoding": "none", "body": result.text}
    return analysis | {"mediatype": "application/json", "encoding": "json", "body": result.result}


def _based_on(result: OperatorResult, said: Sequence[ConversationUtterance]) -> list[int]:
    """The utterances that the operator read; all of them where it does not tell."""
    read = (result.execution_details or {}).get("communications")
    ends = (read.get("first"), read.get("last")) if isinstance(read, dict) else (None, None)
    places = [
        next((index for index, item in enumerate(said) if end in item.communications), None) for end in ends
    ]
    first, last = places
    if first is None or last is None:
        return list(range(len(said)))
    return list(range(min(first, last), max(first, last) + 1))


def _date(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="milliseconds")


def _stable_uuid(name: str) -> str:
    """A UUID of version 8 out of a name (RFC 9562, appendix B.2)."""
    digest = bytearray(hashlib.sha256(name.encode()).digest()[:16])
    digest[6] = digest[6] & 0x0F | 0x80
    digest[8] = digest[8] & 0x3F | 0x80
    return str(uuid.UUID(bytes=bytes(digest)))
