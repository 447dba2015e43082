"""How things are named: the ids of Conversation Orchestrator, and the addresses of capture rules.

An id is a prefix that tells the kind, then letters and digits. The prefix is held strictly and the rest
leniently: Twilio documents 26 characters of ``[0-9a-z]``, and shows other suffixes in its own samples.
An address is a phone number as people write it, a SIP address or the identity of a client.
"""

from __future__ import annotations

import re
from enum import StrEnum
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import phonenumbers


CALL_SID: Final = re.compile(r"CA[0-9a-fA-F]{32}")
PREFIXES: Final = {"WHATSAPP": "whatsapp:", "RCS": "rcs:"}
"""How the addresses of a channel begin."""


class IdKind(StrEnum):
    """What an id stands for; the value is its prefix."""

    CONFIGURATION = "conv_configuration_"
    CONVERSATION = "conv_conversation_"
    PARTICIPANT = "conv_participant_"
    COMMUNICATION = "conv_communication_"
    ACTION = "conv_action_"
    OPERATION = "proc_job_"
    MEMORY_STORE = "mem_store_"
    PROFILE = "mem_profile_"
    OBSERVATION = "mem_observation_"
    SUMMARY = "mem_summary_"
    INTELLIGENCE_CONFIGURATION = "intelligence_configuration_"
    OPERATOR = "intelligence_operator_"
    OPERATOR_RESULT = "intelligence_operatorresult_"

    @property
    def noun(self) -> str:
        """In a sentence, e.g. ``memory store``."""
        return self.name.lower().replace("_", " ")


_OLDER: Final = {IdKind.MEMORY_STORE: "mem_service_"}
"""Prefixes that older accounts still have."""


def problem(value: str, kind: IdKind) -> str | None:
    """Why a value cannot be the id of a thing of this kind; None if it can."""
    if re.fullmatch(rf"(?:{kind.value}|{_OLDER.get(kind, kind.value)})[0-9A-Za-z_-]+", value):
        return None
    for other in IdKind:
        if other is not kind and value.startswith(other.value):
            return f"it is the id of a {other.noun}; the id of a {kind.noun} begins with {kind.value}"
    if value.startswith(kind.value):
        return f"after {kind.value} come letters and digits only"
    return f"the id of a {kind.noun} begins with {kind.value}"


def checked(value: str, kind: IdKind) -> str:
    """The value, fit to stand in a path. Raises `ValueError` if it is not an id of this kind."""
    trouble = problem(value, kind)
    if trouble is not None:
        raise ValueError(f"{value!r} is not the id of a {kind.noun}: {trouble}")
    return value


def e164(text: str, region: str | None = None) -> str:
    """A phone number in E.164, e.g. of ``+1 (555) 010-0001``.

    ``region`` is a country such as ``US``, for numbers that are written without their country's code.
    Raises `ValueError` with the reason for what cannot be a phone number.
    """
    import phonenumbers  # its metadata take a tenth of a second to load

    try:
        number = phonenumbers.parse(text, region)
    except phonenumbers.NumberParseException as error:
        raise ValueError(f"{text!r} is not a phone number: {_reason(error)}") from None
    verdict = phonenumbers.is_possible_number_with_reason(number)
    if verdict != phonenumbers.ValidationResult.IS_POSSIBLE:
        raise ValueError(f"{text!r} is not a phone number: {_verdict(verdict)}")
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)


def address(channel: str, text: str, region: str | None = None) -> str:
    """What stands for a number in the rules of a channel, e.g. ``whatsapp:+15550100001``.

    ``*``, SIP addresses, RCS senders and the bare identities of clients are taken as they are. Raises
    `ValueError` like `e164`.
    """
    prefix = PREFIXES.get(channel, "")
    bare = text.strip().removeprefix(prefix)
    if bare == "*":
        return bare
    if channel in ("VOICE", "RCS") and not re.fullmatch(r"[+()\d\s./-]*", bare):
        return prefix + bare.removeprefix("client:")
    return prefix + e164(bare, region)


def _reason(error: phonenumbers.NumberParseException) -> str:
    if error.error_type == error.INVALID_COUNTRY_CODE:
        return "write it with its country's code, like +15550100001, or name the country"
    return "it should look like +15550100001"


def _verdict(result: int) -> str:
    from phonenumbers import ValidationResult

    return {
        ValidationResult.TOO_SHORT: "it is too short",
        ValidationResult.TOO_LONG: "it is too long",
        ValidationResult.INVALID_COUNTRY_CODE: "no country has this code",
        ValidationResult.IS_POSSIBLE_LOCAL_ONLY: "the area code is missing",
    }.get(result, "it has a wrong length")
