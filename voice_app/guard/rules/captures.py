"""CFG11x: capture rules that do not do what they seem to. Source: ``docs/orchestrator.md`` §8.2.

In a configuration that our TwiML does not name each of them is a note: it is none of our calls'.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Final

from voice_app.findings import WARNING, Hit, Severity, counted, rule
from voice_app.guard.matching import CALL_TYPES, VOICE, WILDCARD, Capture, call_type_of, captures, normalised
from voice_app.guard.snapshot import Snapshot, called
from voice_app.settings import E164

MOST_RULES: Final = 100
"""Capture rules of one channel of one configuration."""
MANY_RULES: Final = 90

_SHORT_CODE: Final = re.compile(r"\d{3,8}")
_PREFIXES: Final = {"WHATSAPP": "whatsapp:", "RCS": "rcs:"}


@rule(
    "CFG110",
    WARNING,
    "a rule for a client or SIP without its call type",
    "A rule without a callType catches telephone calls only; those of browsers and of SIP need theirs.",
    fix='Give the rule "metadata": {"callType": "CLIENT"} or {"callType": "PUBLIC_SIP"}.',
)
def needs_call_type(snapshot: Snapshot) -> Iterator[Hit]:
    yield from _each(
        snapshot,
        VOICE,
        lambda capture: _call_type(capture) in (None, "PSTN") and any(map(_identity, _sides(capture))),
        "for a client or a SIP address, without its callType: telephone calls only are caught",
    )


@rule(
    "CFG111",
    WARNING,
    "a call type that Twilio does not document",
    "The types are PSTN, CLIENT and PUBLIC_SIP. What another one catches is anybody's guess.",
    fix="Write PSTN, CLIENT or PUBLIC_SIP; some of Twilio's texts say SIP for the last.",
)
def odd_call_type(snapshot: Snapshot) -> Iterator[Hit]:
    yield from _each(
        snapshot,
        VOICE,
        lambda capture: _call_type(capture) not in (None, *CALL_TYPES),
        "with a callType that Twilio does not document",
        WARNING,
    )


@rule(
    "CFG112",
    WARNING,
    "a wildcard for the identities of clients",
    "Twilio advises against it: the rule catches every browser call of the account.",
    fix="Name the identity; for many or changing identities, name the configuration in TwiML instead.",
)
def wildcard_identity(snapshot: Snapshot) -> Iterator[Hit]:
    yield from _each(
        snapshot,
        VOICE,
        lambda capture: (
            _call_type(capture) == "CLIENT"
            and WILDCARD in _sides(capture)
            and not any(map(_identity, _sides(capture)))
        ),
        "for every client of the account",
    )


@rule(
    "CFG113",
    WARNING,
    "a capture rule for the whole account",
    "From * to * matches every call of its type in the account, not only those of some numbers.",
    fix="Name a number in from or in to.",
)
def whole_account(snapshot: Snapshot) -> Iterator[Hit]:
    yield from _each(
        snapshot,
        VOICE,
        lambda capture: _sides(capture) == (WILDCARD, WILDCARD),
        "for every call of the account over its call type",
    )


@rule(
    "CFG117",
    WARNING,
    "not a capture rule",
    "From, to and the values of metadata are texts; what Twilio makes of anything else is not known.",
    fix="A rule has from and to, both texts, and metadata whose values are texts.",
)
def not_a_rule(snapshot: Snapshot) -> Iterator[Hit]:
    yield from _each(
        snapshot,
        None,
        _malformed,
        "of a shape that Twilio does not document",
    )


@rule(
    "CFG118",
    WARNING,
    "an address that Twilio does not document",
    "Addresses are E.164, or what their channel has instead. Only * alone is a wildcard: a part of "
    "one may match nothing, or anything.",
    fix=(
        "Write numbers as +15550100001, WhatsApp addresses as whatsapp:+15550100001, RCS as "
        "they are or with rcs:, and * alone for anybody."
    ),
)
def bad_address(snapshot: Snapshot) -> Iterator[Hit]:
    for configuration in snapshot.everything:
        found = [item for item in captures(configuration) if item.rule is not None]
        for what, evidence in (
            ("a * in the middle of an address", [str(item) for item in found if _half_wildcard(item)]),
            (
                "an address in a form that Twilio does not document",
                [f"{item}: {why}" for item in found for why in _formats(item)],
            ),
        ):
            if evidence:
                yield Hit(
                    where=configuration.id,
                    message=f"{called(configuration)} has {counted(len(evidence), 'capture rule')} with "
                    f"{what}, that may never match",
                    evidence=evidence,
                    severity=snapshot.weighed(configuration, WARNING),
                )


@rule(
    "CFG114",
    WARNING,
    "two rules for the same traffic",
    "A call or message that several rules match is grouped in ways that nobody expects.",
    fix="Keep one rule for each number and direction.",
)
def overlapping(snapshot: Snapshot) -> Iterator[Hit]:
    """CFG114: a rule all of whose traffic another rule catches too."""
    rules: dict[tuple[str, str, str, str], Capture] = {}
    doubles: dict[int, list[str]] = {}
    for capture in (item for configuration in snapshot.everything for item in captures(configuration)):
        if capture.rule is None:
            continue
        first = rules.setdefault(_key(capture), capture)
        if first is not capture:
            doubles.setdefault(id(capture.configuration), []).append(_both(capture, first))
    for key, capture in rules.items():
        for wider in _wider(key):
            if wider in rules:
                doubles.setdefault(id(capture.configuration), []).append(_both(capture, rules[wider]))
                break
    for configuration in snapshot.everything:
        evidence = doubles.get(id(configuration))
        if evidence:
            yield Hit(
                where=configuration.id,
                message=f"{called(configuration)} catches traffic that another rule catches too: which "
                "conversation it goes to is anybody's guess",
                evidence=evidence,
                severity=snapshot.weighed(configuration, WARNING),
            )


@rule(
    "CFG115",
    WARNING,
    "text messages captured in one direction only",
    "Orchestrator needs a rule for each direction; half of the messages are missing otherwise.",
    fix=(
        "Add the rule with from and to exchanged; a message is known by its resourceId, so none "
        "is counted twice."
    ),
)
def one_direction(snapshot: Snapshot) -> Iterator[Hit]:
    for configuration in snapshot.everything:
        sides = {_sides(item) for item in captures(configuration, "SMS") if item.rule is not None}
        lonely = [
            f"from {from_} to {to}, but not from {to} to {from_}"
            for from_, to in sorted(sides)
            if (to, from_) not in sides
        ]
        if lonely:
            yield Hit(
                where=configuration.id,
                message=f"{called(configuration)} captures text messages in one direction only",
                evidence=lonely,
                severity=snapshot.weighed(configuration, WARNING),
            )


@rule(
    "CFG116",
    WARNING,
    "close to the limit of capture rules",
    "A channel of a configuration can have 100 rules, one number needs one or two.",
    fix="Divide the numbers over several configurations.",
)
def many_rules(snapshot: Snapshot) -> Iterator[Hit]:
    for configuration in snapshot.everything:
        channels: dict[str, int] = {}
        for capture in captures(configuration):
            channels[capture.channel] = channels.get(capture.channel, 0) + 1
        for channel, number in channels.items():
            if number >= MANY_RULES:
                yield Hit(
                    where=configuration.id,
                    message=f"{called(configuration)} has {number} capture rules for {channel}, of "
                    f"{MOST_RULES} that it can have",
                    severity=snapshot.weighed(configuration, WARNING),
                )


def _each(
    snapshot: Snapshot,
    channel: str | None,
    wrong: Callable[[Capture], bool],
    what: str,
    severity: Severity = WARNING,
) -> Iterator[Hit]:
    """One hit for each configuration that has such rules."""
    for configuration in snapshot.everything:
        evidence = [str(item) for item in captures(configuration, channel) if wrong(item)]
        if evidence:
            yield Hit(
                where=configuration.id,
                message=f"{called(configuration)} has {counted(len(evidence), 'capture rule')} {what}",
                evidence=evidence,
                severity=snapshot.weighed(configuration, severity),
            )


def _sides(capture: Capture) -> tuple[str, ...]:
    rule = capture.rule
    return (rule.from_.strip(), rule.to.strip()) if rule is not None else ()


def _call_type(capture: Capture) -> str | None:
    return capture.rule.call_type if capture.rule is not None else None


def _identity(address: str) -> bool:
    """Whether it can only be a client or a SIP address."""
    return WILDCARD not in address and not _telephone(address)


def _telephone(address: str) -> bool:
    return bool(E164.fullmatch(normalised(address)) or _SHORT_CODE.fullmatch(address))


def _half_wildcard(capture: Capture) -> bool:
    return any(WILDCARD in address and address != WILDCARD for address in _sides(capture))


def _malformed(capture: Capture) -> bool:
    """Whether ``from`` or ``to`` is missing, or ``metadata`` holds anything but texts."""
    if capture.rule is None:
        return True
    metadata = capture.item.get("metadata")
    if metadata is None:
        return False
    return not isinstance(metadata, Mapping) or not all(isinstance(item, str) for item in metadata.values())


def _formats(capture: Capture) -> Iterator[str]:
    """What is wrong with the format of the addresses, wildcards aside."""
    for address in _sides(capture):
        if WILDCARD in address:
            continue
        prefix = _PREFIXES.get(capture.channel)
        bare = address.removeprefix(prefix) if prefix else address
        if capture.channel == "WHATSAPP" and bare == address:
            yield f"{address} does not begin with whatsapp:"
        elif capture.channel in ("SMS", "RCS", "WHATSAPP"):
            if not (E164.fullmatch(bare) or (capture.channel == "SMS" and _SHORT_CODE.fullmatch(bare))):
                yield f"{address} is not E.164"
        elif capture.channel == VOICE:
            if call_type_of(address) == "CLIENT":
                yield f"{address}: rules have the bare identity, without client:"
            elif _telephone(address) and not E164.fullmatch(address):
                yield f"{address} is not E.164"


def _key(capture: Capture) -> tuple[str, str, str, str]:
    from_, to = _sides(capture)
    kind = {"SIP": "PUBLIC_SIP"}.get(_call_type(capture) or "PSTN", _call_type(capture) or "PSTN")
    return capture.channel, kind, normalised(from_), normalised(to)


def _wider(key: tuple[str, str, str, str]) -> Iterable[tuple[str, str, str, str]]:
    """The rules that catch everything that this one catches, and more."""
    channel, kind, from_, to = key
    candidates = ((from_, WILDCARD), (WILDCARD, to), (WILDCARD, WILDCARD))
    return ((channel, kind, *sides) for sides in candidates if sides != (from_, to))


def _both(capture: Capture, other: Capture) -> str:
    if capture.configuration is other.configuration:
        return f"{capture}; and {other}"
    return f"{capture}; and {other} of {called(other.configuration)}"
