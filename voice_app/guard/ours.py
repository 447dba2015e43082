"""Which of our calls a capture rule catches, and how sure that is."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from voice_app.guard.captures import Capture
from voice_app.guard.matcher import ANYONE, CALL_TYPES, Line, Match, call_type_of, match, normalised
from voice_app.guard.reading import Reading
from voice_app.twilio.models import CaptureRule


class OurCalls:
    """The calls of our numbers, in both directions."""

    def __init__(self, numbers: Sequence[str]) -> None:
        self._by_address: dict[str, str] = {}
        self._examples: dict[str, str] = {}
        for number in numbers:
            self._by_address.setdefault(normalised(number), number)
            # What catches one number by a wildcard catches all of its kind.
            self._examples.setdefault(call_type_of(number), number)

    @classmethod
    def of(cls, reading: Reading) -> OurCalls:
        return cls([number for number in reading.numbers if not reading.scope.for_people(number)])

    def match(self, capture: Capture) -> tuple[Match, str]:
        """How surely a rule catches a call of ours, and which."""
        rule = capture.rule
        if rule is None:
            return Match.POSSIBLE, f"{capture} cannot be read"
        if not self._examples:
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
        named = (self._by_address.get(normalised(side)) for side in (rule.from_, rule.to))
        return dict.fromkeys([*filter(None, named), *self._examples.values()])


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
