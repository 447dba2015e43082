"""Whether a capture rule catches a call.

Source: reference ``orchestrator.md`` §8.6. A rule has a ``from`` and a ``to``; only the bare ``*`` is a
wildcard, and both sides have to match. Any other value with a ``*`` in it is documented nowhere, so it may
match anything. A rule without a ``callType`` catches calls over the telephone network (PSTN).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum, IntEnum, auto
from typing import Final

from voice_app.twilio.models import CaptureRule

WILDCARD: Final = "*"
ANYONE: Final = None
"""A side of a call that can be anybody."""

CALL_TYPES: Final = ("PSTN", "CLIENT", "PUBLIC_SIP")
_OLDER_TYPES: Final = {"SIP": "PUBLIC_SIP"}


@dataclass(frozen=True, slots=True)
class Line:
    """Calls of one kind: from whom, to whom, over what. A side that is `ANYONE` stands for everybody."""

    from_: str | None
    to: str | None
    call_type: str = "PSTN"


class Match(IntEnum):
    """How surely a rule catches the calls of a line, from not at all to certain."""

    NO = 0
    ELSEWHERE = 1
    """Only calls with one certain other party, which has nothing to do with us otherwise."""
    POSSIBLE = 2
    """Nobody documents it, so it has to be reckoned with."""
    ACCOUNT = 3
    """It catches every call of the account, and so ours."""
    EXACT = 4
    """It names our side of the call."""


class _Side(Enum):
    NO = auto()
    SOMEONE = auto()
    MAYBE = auto()
    ANY = auto()
    NAMED = auto()


def match(rule: CaptureRule, line: Line) -> Match:
    """Whether a rule catches calls of a line."""
    sides = [_side(rule.from_, line.from_), _side(rule.to, line.to)]
    kind = _kind(rule.call_type, line.call_type)
    if _Side.NO in sides or kind is _Side.NO:
        return Match.NO
    if _Side.MAYBE in (*sides, kind):
        return Match.POSSIBLE
    if _Side.NAMED in sides:
        return Match.EXACT
    return Match.ELSEWHERE if _Side.SOMEONE in sides else Match.ACCOUNT


def call_type_of(address: str) -> str:
    """Over what a party is called, as far as its address tells."""
    lowered = address.strip().lower()
    if lowered.startswith("client:"):
        return "CLIENT"
    return "PUBLIC_SIP" if lowered.startswith(("sip:", "sips:")) else "PSTN"


def normalised(address: str) -> str:
    """The form in which addresses are compared: E.164 without ornaments, the identity of a client, the SIP
    address with its host in lower case and without port and parameters.
    """
    address = address.strip()
    kind = call_type_of(address)
    if kind == "CLIENT":
        return address.partition(":")[2]
    if kind == "PUBLIC_SIP":
        user, at, host = address.partition(":")[2].partition("@")
        if not at:
            user, host = "", user
        return f"sip:{user}{at}{re.split('[:;?]', host)[0].lower()}"
    compact = re.sub(r"[\s().-]", "", address)
    return compact if re.fullmatch(r"\+\d+", compact) else address


def _side(wanted: str, address: str | None) -> _Side:
    wanted = wanted.strip()
    if wanted == WILDCARD:
        return _Side.ANY
    if WILDCARD in wanted:
        return _Side.MAYBE
    if address is ANYONE:
        return _Side.SOMEONE
    return _Side.NAMED if normalised(wanted) == normalised(address) else _Side.NO


def _kind(wanted: str | None, call_type: str) -> _Side:
    if wanted is None:
        return _Side.ANY if call_type == "PSTN" else _Side.MAYBE
    wanted = _OLDER_TYPES.get(wanted, wanted)
    if wanted == call_type:
        return _Side.ANY
    return _Side.NO if wanted in CALL_TYPES else _Side.MAYBE
