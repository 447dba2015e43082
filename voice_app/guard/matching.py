"""Capture rules, and which calls they catch.

A rule has a ``from`` and a ``to``; only the bare ``*`` is a wildcard, and both sides have to match. Any other
value with a ``*`` in it is documented nowhere, so it may match anything. A rule without a ``callType``
catches calls over the telephone network (PSTN). Source: ``docs/orchestrator.md`` §8.6.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum, IntEnum, auto
from typing import Any, Final
from urllib.parse import unquote

import msgspec

from voice_app.twilio import Configuration
from voice_app.twilio.models import CaptureRule, capture_rule

VOICE: Final = "VOICE"


@dataclass(frozen=True, slots=True)
class Capture:
    """One capture rule in its place."""

    configuration: Configuration
    channel: str
    """In upper case."""
    number: int
    """Counted from 1 in its channel."""
    item: Any
    """As it was read."""
    rule: CaptureRule | None
    """None if it has no ``from`` and ``to``."""

    def __str__(self) -> str:
        told = str(self.rule) if self.rule is not None else msgspec.json.encode(self.item).decode()
        return f"{self.channel} capture rule {self.number}: {told}"


def captures(configuration: Configuration, channel: str | None = None) -> list[Capture]:
    """The rules of one channel, or of all."""
    return [
        Capture(configuration, name.upper(), number, item, capture_rule(item))
        for name, settings in configuration.channel_settings.items()
        if channel in (None, name.upper()) and isinstance(settings, dict)
        for number, item in enumerate(_rules(settings), 1)
    ]


def oddities(configuration: Configuration) -> list[str]:
    """What stands where VOICE capture rules can stand, and has a type that no documentation knows."""
    settings = configuration.raw.get("channelSettings")
    if settings is None:
        return []
    if not isinstance(settings, dict):
        return [_odd("channelSettings", settings)]
    found = []
    for name, channel in settings.items():
        if name.upper() != VOICE or channel is None:
            continue
        place = f"channelSettings.{name}"
        if not isinstance(channel, dict):
            found.append(_odd(place, channel))
        elif not isinstance(channel.get("captureRules"), list | None):
            found.append(_odd(f"{place}.captureRules", channel["captureRules"]))
    return found


def without_voice(configuration: Configuration) -> dict[str, Any]:
    """The change that removes the VOICE capture rules and nothing else."""
    channels = {
        name: {**settings, "captureRules": []}
        for name, settings in configuration.channel_settings.items()
        if name.upper() == VOICE and isinstance(settings, dict) and _rules(settings)
    }
    return {"channelSettings": channels}


def _rules(settings: dict[str, Any]) -> list[Any]:
    rules = settings.get("captureRules")
    return rules if isinstance(rules, list) else []


def _odd(place: str, value: Any) -> str:
    return f"{place} is {_json_kind(value)}, which Twilio does not document"


def _json_kind(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dict):
        return f"an object with the fields {', '.join(value)}" if value else "an empty object"
    if isinstance(value, list):
        return f"a list of {len(value)}"
    return f"the text {value!r}" if isinstance(value, str) else f"the number {value!r}"


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
    sides = [_side(rule.from_, line.from_, line.call_type), _side(rule.to, line.to, line.call_type)]
    kind = _kind(rule.call_type, line.call_type)
    if _Side.NO in sides or kind is _Side.NO:
        return Match.NO
    if _Side.SOMEONE in sides and _Side.NAMED not in sides:
        return Match.ELSEWHERE
    if _Side.MAYBE in (*sides, kind):
        return Match.POSSIBLE
    return Match.EXACT if _Side.NAMED in sides else Match.ACCOUNT


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
    address = unicodedata.normalize("NFKC", address).strip()
    kind = call_type_of(address)
    if kind == "CLIENT":
        return address.partition(":")[2]
    if kind == "PUBLIC_SIP":
        user, at, host = address.partition(":")[2].partition("@")
        if not at:
            user, host = "", user
        user = unquote(user.partition(";")[0])
        return f"sip:{e164(user) or user}{at}{re.split('[:;?]', host)[0].lower()}"
    return e164(address) or address


def e164(text: str) -> str:
    """The number that a text is another spelling of: ornaments, ``tel:`` and a leading 00; empty if none."""
    text = re.sub(r"^(tel|whatsapp|rcs):", "", text.strip(), flags=re.IGNORECASE)
    compact = re.sub(r"[\s().\-/\u2010-\u2015\u200b-\u200f\u2060\ufeff]", "", text)
    found = re.fullmatch(r"(?:\+|00)([1-9]\d{1,14})", compact, flags=re.ASCII)
    return f"+{found[1]}" if found else ""


def _side(wanted: str, address: str | None, call_type: str) -> _Side:
    wanted = wanted.strip()
    if wanted == WILDCARD:
        return _Side.ANY
    if WILDCARD in wanted:
        return _Side.MAYBE
    if address is ANYONE:
        return _Side.SOMEONE
    if normalised(wanted) == normalised(address):
        return _Side.NAMED
    if call_type == "PUBLIC_SIP":
        return _sip_side(normalised(wanted), normalised(address))
    # Without the +, a number is none to Twilio; who relies on that is not known.
    digits = {item.removeprefix("+") for item in (normalised(wanted), normalised(address))}
    return _Side.MAYBE if len(digits) == 1 and digits.pop().isdecimal() else _Side.NO


def _sip_side(wanted: str, address: str) -> _Side:
    """A call over SIP may show the number that stands before the @, or the whole address."""
    numbers = [e164(item.removeprefix("sip:").partition("@")[0]) for item in (wanted, address)]
    if not numbers[0] or numbers[0] != numbers[1]:
        return _Side.NO
    # Two hosts are two addresses; one that says its number alone is at whichever host.
    return _Side.NO if "@" in wanted and "@" in address else _Side.NAMED


def _kind(wanted: str | None, call_type: str) -> _Side:
    if wanted is None:
        return _Side.ANY if call_type == "PSTN" else _Side.MAYBE
    wanted = _OLDER_TYPES.get(wanted, wanted)
    if wanted == call_type:
        return _Side.ANY
    return _Side.NO if wanted in CALL_TYPES else _Side.MAYBE


class OurCalls:
    """The calls of our numbers, in both directions."""

    def __init__(self, numbers: Sequence[str], *, known: bool = True) -> None:
        """Without ``known`` there may be more numbers than these."""
        self._known = known
        self._by_address: dict[str, str] = {}
        self._examples: dict[str, str] = {}
        for number in numbers:
            self._by_address.setdefault(_key(number), number)
            # What catches one number by a wildcard catches all of its kind.
            self._examples.setdefault(call_type_of(number), number)

    def match(self, capture: Capture) -> tuple[Match, str]:
        """How surely a rule catches a call of ours, and which."""
        rule = capture.rule
        if rule is None:
            return Match.POSSIBLE, f"{capture} cannot be read"
        if not self._known:
            return self._unknown(capture, rule)
        best, proof = Match.NO, ""
        for number in self._candidates(rule):
            for line, words in _lines(number):
                found = match(rule, line)
                if line.call_type != call_type_of(number):
                    # Nobody but the caller decides over what a number is called.
                    found = Match.POSSIBLE if found >= Match.POSSIBLE else Match.NO
                if found > best:
                    best, proof = found, f"{capture} catches {words}"
        return best, proof

    def _unknown(self, capture: Capture, rule: CaptureRule) -> tuple[Match, str]:
        everybody = match(rule, Line(ANYONE, ANYONE, rule.call_type or "PSTN"))
        if everybody is Match.ACCOUNT:
            return everybody, f"{capture} catches every call"
        return Match.POSSIBLE, f"{capture}; which numbers are ours is not known"

    def _candidates(self, rule: CaptureRule) -> Iterable[str]:
        """The numbers that the rule names, and one of each kind for what it catches without naming it."""
        named = (self._by_address.get(_key(side)) for side in (rule.from_, rule.to))
        return dict.fromkeys([*filter(None, named), *self._examples.values()])


def _key(address: str) -> str:
    """Equal for all addresses that `match` may take for the same: the digits of a number, wherever it is."""
    bare = normalised(address)
    digits = bare.removeprefix("sip:").partition("@")[0].removeprefix("+")
    return digits if digits.isdecimal() else bare


def leg_match(capture: Capture, target: str) -> Match:
    """How surely a rule catches the leg from a caller, or from our number, to a person."""
    if capture.rule is None:
        return Match.NO
    return match(capture.rule, Line(ANYONE, target, call_type_of(target)))


def _lines(number: str) -> Iterator[tuple[Line, str]]:
    """The calls of one of our numbers, the surest first."""
    usual = call_type_of(number)
    for call_type in (usual, *(item for item in CALL_TYPES if item != usual)):
        over = "" if call_type == usual else f" over {call_type}"
        yield Line(ANYONE, number, call_type), f"calls to {number}{over}"
        yield Line(number, ANYONE, call_type), f"calls from {number}{over}"
