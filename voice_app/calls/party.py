"""Who calls whom: the caller and our number follow from the direction, here and nowhere else.

What a caller's address is good for is decided here, too: whether it can be shown as a ``callerId``, how it is
written where people read it, and how it is read aloud.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal, Protocol, Self, TypeAlias

import msgspec

from voice_app.settings import E164, plain_address

AddressKind: TypeAlias = Literal["number", "whatsapp", "client", "sip", "withheld", "unknown"]

WITHHELD: Final = "a withheld number"
UNKNOWN: Final = "an unknown number"
WITHHELD_WORDS: Final = frozenset(
    {"anonymous", "blocked", "outofarea", "private", "restricted", "unavailable", "unknown", "withheld"}
)
"""What stands in the place of a number that the caller, or a network on the way, does not show."""
_KEYPAD: Final = str.maketrans("abcdefghijklmnopqrstuvwxyz", "22233344455566677778889999")
_SPELT: Final = frozenset(word.translate(_KEYPAD) for word in WITHHELD_WORDS)
"""The same words typed on a keypad, as Twilio shows them: ``+266696687`` is ``anonymous``."""
_NORTH_AMERICAN: Final = re.compile(r"\+1[2-9]\d{9}", re.ASCII)
_SIP_USER: Final = re.compile(r"sips?:(?:([^@;?]*)@)?([^;?:]*)", re.IGNORECASE)
MAX_SPOKEN: Final = 80
"""Characters of a name or an address that are read aloud."""


def attestation_failed(webhook: Mapping[str, str]) -> bool:
    """Whether the caller's number was signed on its way, and the signature is wrong (STIR/SHAKEN).

    ``webhook`` is what Twilio told of the call. Without any signature nothing failed.
    """
    return webhook.get("StirVerstat", "").startswith("TN-Validation-Failed")


@dataclass(slots=True, frozen=True)
class CallerAddress:
    """An address from which somebody calls, and what it is good for."""

    text: str
    """As Twilio names it: E.164, ``client:…``, ``sip:…``, ``whatsapp:+…``, or a word (``anonymous``)."""
    kind: AddressKind
    phone: str | None = None
    """The number by which the caller may be known and called: E.164, of the kind ``number`` only.

    Who withholds the number shares one with everybody who does, and would get their memories.
    """

    @classmethod
    def read(cls, text: str) -> Self:
        """Tell what an address is. Anything may be one."""
        if _NORTH_AMERICAN.fullmatch(text):
            return cls(text, "number", text)
        scheme, colon, rest = text.partition(":")
        match scheme.lower() if colon else "":
            case "client":
                return cls(text, "withheld" if _is_withheld(rest) else "client")
            case "sip" | "sips":
                user, _ = _sip_parts(text)
                return cls(text, "withheld" if _is_withheld(user) else "sip")
            case "whatsapp":
                return cls(text, "whatsapp" if _is_number(rest) else "unknown")
        if _is_withheld(text):
            return cls(text, "withheld")
        return cls(text, "number", text) if _is_number(text) else cls(text, "unknown")

    @property
    def shown(self) -> str:
        """How it is written where people, or a model, read who calls."""
        match self.kind:
            case "withheld":
                return WITHHELD
            case "unknown":
                return self.text or UNKNOWN
            case _:
                return self.text

    @property
    def spoken(self) -> str:
        """How it is read aloud: a number digit by digit, so that it is not read as millions."""
        return self._spoken() or UNKNOWN

    def _spoken(self) -> str:
        match self.kind:
            case "number" | "whatsapp":
                return _digits(plain_address(self.text))
            case "client":
                return self.text.partition(":")[2][:MAX_SPOKEN]
            case "sip":
                user, host = _sip_parts(self.text)
                return _digits(user) if _is_number(user) else (user or host)[:MAX_SPOKEN]
            case "withheld":
                return WITHHELD
            case "unknown":
                return UNKNOWN

    def caller_id(self, ours: str | None) -> str | None:
        """The ``callerId`` of a ``<Dial>`` on their call: the caller's number if it is a real one, else ours.

        ``ours`` is a number of the account (`Parties.own_number`); None: Twilio's default has to do.
        """
        return self.phone or ours


class _Addressed(Protocol):
    """What names the two ends of a call: `Opened`, `CallRecord`."""

    @property
    def from_(self) -> str: ...
    @property
    def to(self) -> str: ...
    @property
    def direction(self) -> str: ...


class Parties(msgspec.Struct, frozen=True):
    """The two ends of a call, as Twilio names them.

    A call is ours to have placed where Twilio's ``Direction`` begins with ``outbound`` (``outbound-api``,
    ``outbound-dial``); every other call came in.
    """

    from_: str = ""
    """E.164, ``client:…``, ``sip:…``, ``whatsapp:…``, or a word that stands for a withheld number."""
    to: str = ""
    direction: str = ""

    @classmethod
    def of(cls, told: _Addressed) -> Self:
        """The parties that an event or a record names."""
        return cls(told.from_, told.to, told.direction)

    @property
    def outbound(self) -> bool:
        """Whether we placed the call."""
        return self.direction.startswith("outbound")

    @property
    def number(self) -> str:
        """Our own address on this call, a number as a rule."""
        return self.from_ if self.outbound else self.to

    @property
    def caller(self) -> str:
        """The other person's address, whoever placed the call. Never proof of identity."""
        return self.to if self.outbound else self.from_

    @property
    def caller_address(self) -> CallerAddress:
        """The same, with what it is good for."""
        return CallerAddress.read(self.caller)

    def own_number(self, account_number: str | None) -> str | None:
        """The phone number of ours from which people are rung for this call.

        A call may have come to ``sip:…`` or ``whatsapp:…`` or an application: then it is ``account_number``
        (``TWILIO_PHONE_NUMBER``).
        """
        return CallerAddress.read(self.number).phone or account_number

    def whatsapp_sender(self, sender: str | None, account_number: str | None) -> str | None:
        """The ``callerId`` of a ``<Dial>`` to WhatsApp: always a sender of ours, never the caller.

        It is the one of the settings (``sender``), or the one that was called, or our number.
        """
        called = plain_address(self.number) if self.number.startswith("whatsapp:") else None
        number = sender or called or self.own_number(account_number)
        return None if number is None else f"whatsapp:{number}"


def _is_withheld(text: str) -> bool:
    if not text.strip():
        return False
    word = re.sub(r"[^a-z]", "", text.casefold())
    if word in WITHHELD_WORDS and not re.search(r"\d", text):
        return True
    digits = text.strip().removeprefix("+")
    if not digits.isascii() or not digits.isdecimal() or _NORTH_AMERICAN.fullmatch(f"+{digits}"):
        return False
    return digits in _SPELT or digits.removeprefix("1") in _SPELT


def _is_number(text: str) -> bool:
    """Whether it is a phone number that somebody may have: where ``+1`` is dialled, all have ten digits."""
    if E164.fullmatch(text) is None:
        return False
    return not text.startswith("+1") or _NORTH_AMERICAN.fullmatch(text) is not None


def _sip_parts(text: str) -> tuple[str, str]:
    """User and host of a SIP address."""
    found = _SIP_USER.match(text)
    return ("", "") if found is None else (found[1] or "", found[2] or "")


def _digits(number: str) -> str:
    return " ".join(number.removeprefix("+"))
