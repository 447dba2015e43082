"""STT1xx: the rules that keep speech-to-text billed once.

Source: ``docs/orchestrator.md`` §8.1 and §8.6.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

import msgspec

from voice_app.findings import ERROR, NOTE, WARNING, Hit, Severity, counted, rule
from voice_app.guard.matching import VOICE, Match, OurCalls, captures, leg_match, oddities, without_voice
from voice_app.guard.snapshot import SETTING, Outage, Part, Snapshot, Unread, called
from voice_app.twilio import Configuration, Trouble

TWICE: Final = (
    "ConversationRelay and <Transcription> run a speech-to-text engine of their own. A VOICE capture rule "
    "runs Real-Time Transcription beside it on every call that it matches, and both are billed."
)
LENIENT: Final = "Set VOICE_APP_GUARD=lenient to start all the same, with a warning."


@rule(
    "STT101",
    ERROR,
    "the named configuration captures voice by itself",
    f"{TWICE} Twilio does not prevent it.",
    fix="Remove the VOICE capture rules: voice-app check --fix.",
    binding="every call that a rule matches would be billed twice for certain",
)
def named_captures_voice(snapshot: Snapshot) -> Iterator[Hit]:
    """STT101. No capture rules are: the list empty, null or absent, ``VOICE`` null, empty or absent."""
    for configuration in () if snapshot.engineless else snapshot.in_use:
        found = captures(configuration, VOICE)
        if found:
            count = counted(len(found), "capture rule")
            yield Hit(
                where=configuration.id or "the configuration",
                message=f"{called(configuration)} has {count} for VOICE: speech-to-text would be billed "
                "twice on every call that matches",
                evidence=[*map(str, found), *_named_by(snapshot, configuration)],
                fix=_removal(configuration),
            )


@rule(
    "STT102",
    ERROR,
    "another configuration captures voice on our calls",
    f"{TWICE} Capture rules watch the whole account: nothing ties them to the configuration that TwiML "
    "names.",
    fix="Take the rule out of that configuration, or narrow it to numbers that no AI agent answers.",
)
def other_captures_ours(snapshot: Snapshot) -> Iterator[Hit]:
    """STT102: by how sure the match is, an error or a warning.

    Rules that would catch us only on calls with their own other party are everybody else's daily work.
    """
    ours = snapshot.our_calls
    for configuration in _others(snapshot):
        surely: list[str] = []
        perhaps: list[str] = []
        for capture in captures(configuration, VOICE):
            found, told = ours.match(capture)
            if found is Match.EXACT:
                surely.append(told)
            elif found is Match.POSSIBLE:
                perhaps.append(told)
        for severity, what, evidence in (
            (ERROR, "captures voice on our calls: speech-to-text would be billed twice", surely),
            (WARNING, "may capture voice on our calls", perhaps),
        ):
            if evidence:
                yield Hit(
                    where=configuration.id,
                    message=f"{called(configuration)}, which our TwiML does not name, {what}",
                    evidence=evidence,
                    fix=_narrowing("STT102", configuration),
                    severity=severity,
                )


@rule(
    "STT103",
    ERROR,
    "another configuration captures voice on all calls of the account",
    f"{TWICE} From * to * is every call of the account.",
    fix="Replace the rule by one for each number that no AI agent answers.",
)
def other_captures_all(snapshot: Snapshot) -> Iterator[Hit]:
    ours = snapshot.our_calls
    for configuration in _others(snapshot):
        evidence = [
            f"{capture} is every call of the account"
            for capture in captures(configuration, VOICE)
            if ours.match(capture)[0] is Match.ACCOUNT
        ]
        if evidence:
            yield Hit(
                where=configuration.id,
                message=f"{called(configuration)}, which our TwiML does not name, captures voice on every "
                "call of the account, ours among them",
                evidence=evidence,
                fix=_narrowing("STT103", configuration),
            )


@rule(
    "STT105",
    ERROR,
    "another configuration captures voice on the legs to our people",
    "After a handoff <Transcription> goes on writing. A rule that matches the leg to the person runs "
    "a second engine, is billed too, and writes everything down twice.",
    fix="Take the rule out of that configuration, or hand callers to an address that it does not match.",
)
def handoff_captured(snapshot: Snapshot) -> Iterator[Hit]:
    """STT105: the leg to a person, from the caller or from our number."""
    ours = snapshot.our_calls
    for configuration in _others(snapshot):
        evidence = [
            f"{capture} catches the leg to {target}"
            for capture in captures(configuration, VOICE)
            if ours.match(capture)[0] < Match.ACCOUNT
            for target in snapshot.scope.handoff_to
            if leg_match(capture, target) >= Match.ACCOUNT
        ]
        if evidence:
            yield Hit(
                where=configuration.id,
                message=f"{called(configuration)} captures voice on the legs to our people, while our "
                "<Transcription> writes down the same words",
                evidence=evidence,
                fix=_narrowing("STT105", configuration),
            )


@rule(
    "STT106",
    ERROR,
    "it could not be verified that speech-to-text is billed once",
    "What could not be read may have capture rules in it.",
    fix="Give the credentials access to what could not be read, and check again. VOICE_APP_GUARD=lenient "
    "turns this finding, and no other, into a warning.",
)
def unverified(snapshot: Snapshot) -> Iterator[Hit]:
    """STT106: what could not be read or understood, and bears on the question."""
    for outage in snapshot.outages:
        yield _outage(snapshot, outage)
    if snapshot.engineless:
        return
    strict = ERROR if snapshot.scope.strict else WARNING
    for unread in snapshot.missed(Part.CONFIGURATION, Part.CONVERSATION):
        if unread.where not in {item.id for item in snapshot.configurations or ()}:
            yield _doubt(unread.where, _why(unread), strict, unread.error.advice)
    yield from _other_id(snapshot, strict)
    for configuration in snapshot.everything:
        severity = strict if configuration in snapshot.in_use else WARNING
        if not captures(configuration, VOICE):  # else there is proof, and proof outweighs a doubt
            for told in oddities(configuration):
                yield _doubt(configuration.id or "the configuration", told, severity)
    for unread in snapshot.missed(Part.CONFIGURATIONS):
        yield _doubt("all configurations", _why(unread), _of_the_list(snapshot, unread), unread.error.advice)
    yield from _unknown_numbers(snapshot, strict)


def _outage(snapshot: Snapshot, outage: Outage) -> Hit:
    """Everything that could not be read for one cause."""
    severity = ERROR if snapshot.scope.named and snapshot.scope.strict else WARNING
    error = outage.unread[0].error
    # To be lenient is no cure for wrong credentials.
    advice = "" if error.trouble is Trouble.UNAUTHENTICATED or severity is not ERROR else LENIENT
    return Hit(
        where=outage.where,
        message=(
            f"It could not be verified that speech-to-text is billed once: {outage.told} ({error.answer})"
        ),
        evidence=[f"{item.part} {item.where}".strip() + " could not be read" for item in outage.unread],
        fix=" ".join(filter(None, (error.advice, advice))),
        severity=NOTE if snapshot.engineless else severity,
    )


def _others(snapshot: Snapshot) -> Sequence[Configuration]:
    """The configurations whose rules bill beside an engine of ours, if we run one at all."""
    return () if snapshot.engineless else snapshot.others


def _of_the_list(snapshot: Snapshot, unread: Unread) -> Severity:
    """How bad it is not to know all configurations. An account may have no Orchestrator: that is a 404."""
    if snapshot.scope.named:
        return ERROR if snapshot.scope.strict else WARNING
    return NOTE if unread.error.trouble is Trouble.NOT_FOUND else WARNING


def _unknown_numbers(snapshot: Snapshot, strict: Severity) -> Iterator[Hit]:
    """Which numbers are ours matters where somebody captures voice on one that may be."""
    foreign = [item for other in snapshot.others for item in captures(other, VOICE)]
    for unread in snapshot.missed(Part.NUMBERS):
        # With numbers in the settings most likely all are known, and a rule for another is none of ours.
        severity = NOTE if not foreign else WARNING if snapshot.scope.numbers else strict
        yield _doubt("our numbers", _why(unread), severity, unread.error.advice)
    for unread in snapshot.missed(Part.APPLICATION):
        numbers = [
            item.phone_number
            for item in snapshot.incoming or ()
            if item.voice_application_sid == unread.where and not item.trunk_sid
        ]
        perhaps = OurCalls([number for number in numbers if not snapshot.scope.for_people(number)])
        caught = any(perhaps.match(item)[0] >= Match.POSSIBLE for item in foreign)
        told = f"{_why(unread)}; calls to {', '.join(numbers)} go there, perhaps to us"
        yield _doubt(unread.where, told, strict if caught else NOTE, unread.error.advice)


def _named_by(snapshot: Snapshot, configuration: Configuration) -> Iterable[str]:
    """How TwiML leads to a configuration, if not by the setting."""
    for named in snapshot.named:
        if named.id == configuration.id and (named.by != SETTING or named.asked):
            yield f"named by {named.by}{f' as {named.asked}' if named.asked else ''}"


def _other_id(snapshot: Snapshot, severity: Severity) -> Iterator[Hit]:
    for named in snapshot.named:
        configuration = named.configuration
        if configuration is None or configuration.id == named.id or captures(configuration, VOICE):
            continue
        told = f"the answer is about {configuration.id or 'something without an id'}"
        yield _doubt(named.id, told, severity)


def _doubt(where: str, why: str, severity: Severity, advice: str = "") -> Hit:
    lenient = LENIENT if severity is ERROR else ""
    return Hit(
        where=where or "the configuration",
        message=f"It could not be verified that speech-to-text is billed once: {why}",
        fix=" ".join(filter(None, (advice, lenient))),
        severity=severity,
    )


def _why(unread: Unread) -> str:
    error = unread.error
    asked = f"{error.method} {error.url}: " if error.url else ""
    return f"{unread.part} could not be read: {asked}{error.answer}"


def _removal(configuration: Configuration) -> str:
    """The one request that removes the rules and leaves everything else as it is."""
    body = msgspec.json.encode(without_voice(configuration)).decode()
    return (
        "Remove the rules and keep the rest: `voice-app check --fix`, or PATCH "
        f"https://conversations.twilio.com/v2/ControlPlane/Configurations/{configuration.id} with {body}; or "
        "name a configuration without VOICE capture rules. If human agents' calls need the rules, give them "
        "a configuration of their own that matches other numbers. The setup wizard of Twilio Agent Connect "
        "creates such a rule (from * to your number, callType PSTN)."
    )


def _narrowing(rule: str, configuration: Configuration) -> str:
    return (
        "Take the rule out of that configuration, or narrow it to numbers that no AI agent answers. If both "
        f'transcriptions are wanted, say so: VOICE_APP_GUARD_ALLOW="{rule}:{configuration.id}".'
    )
