"""Phone numbers as people write them, and as capture rules want them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import phonenumbers

PREFIXES: Final = {"WHATSAPP": "whatsapp:", "RCS": "rcs:"}
"""How the addresses of a channel begin."""


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
