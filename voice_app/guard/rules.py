"""The rules that keep speech-to-text billed once. Each is a pure function over what was read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from voice_app.findings import Finding, Severity
from voice_app.orchestrator import ApiError, Configuration
from voice_app.orchestrator.identifiers import Kind, problem
from voice_app.orchestrator.models import capture_rule
from voice_app.twiml.rules import Rule

SETTING: Final = "TWILIO_CONVERSATION_CONFIGURATION_ID"


_TABLE = (
    Rule(
        "STT101",
        Severity.ERROR,
        "the named configuration captures voice by itself",
        "A VOICE capture rule starts Real-Time Transcription on every call that it matches. A call whose "
        "TwiML names a configuration or a conversation already has an engine of its own, so speech-to-text "
        "is billed twice. Twilio does not prevent it. This rule cannot be overridden.",
    ),
    Rule(
        "STT106",
        Severity.ERROR,
        "it could not be verified that speech-to-text is billed once",
        "The configuration could not be read, or not understood. VOICE_APP_GUARD=lenient turns this finding, "
        "and no other, into a warning.",
    ),
    Rule(
        "CFG101",
        Severity.ERROR,
        "not the id of a configuration",
        "Twilio takes any text for conversationConfiguration, and writes no conversation when it is the "
        "wrong one.",
    ),
)
RULES: Final[Mapping[str, Rule]] = {rule.id: rule for rule in _TABLE}

_WHY_TWICE: Final = (
    "ConversationRelay and <Transcription> run a speech-to-text engine of their own. A VOICE capture rule "
    "runs Real-Time Transcription beside it on every call that it matches, and both are billed."
)


def voice_capture(configuration: Configuration, *, strict: bool = True) -> list[Finding]:
    """STT101: the configuration must not capture voice by itself.

    No capture rules are: the list empty, null or absent, ``VOICE`` null, empty or absent, ``channelSettings``
    null or absent. Whatever has a type that is not documented cannot be judged, and is STT106.
    """
    captured: list[Any] = []
    odd: list[str] = []
    for place, rules in _voice_rules(configuration.raw):
        if isinstance(rules, _Odd):
            odd.append(f"{place} is {rules.found}, which Twilio does not document")
        else:
            captured += rules
    if not captured:
        return [unverified(configuration.id, told, strict=strict) for told in odd]
    named = f"{configuration.id} ({configuration.display_name or 'no name'}, {_version(configuration)})"
    count = "a capture rule" if len(captured) == 1 else f"{len(captured)} capture rules"
    return [
        Finding(
            rule="STT101",
            severity=Severity.ERROR,
            where=configuration.id or "the configuration",
            message=f"{named} has {count} for VOICE: speech-to-text would be billed twice on every call "
            "that matches",
            reason=_WHY_TWICE,
            evidence=tuple(f"VOICE capture rule {n}: {_told(rule)}" for n, rule in enumerate(captured, 1)),
            fix=_fix(configuration),
        )
    ]


def configuration_id(value: str) -> list[Finding]:
    """CFG101: what the TwiML names must be the id of a configuration."""
    trouble = problem(value, Kind.CONFIGURATION)
    if trouble is None:
        return []
    return [
        Finding(
            rule="CFG101",
            severity=Severity.ERROR,
            where=SETTING,
            message=f"{value!r} is not the id of a configuration: {trouble}",
            reason="Twilio would say nothing, and no conversation would be written.",
            fix=f"Set {SETTING} to an id that begins with {Kind.CONFIGURATION}.",
        )
    ]


def unverified(where: str, why: str, *, advice: str = "", strict: bool = True) -> Finding:
    """STT106: we cannot tell. In strict mode a doubt is an error."""
    lenient = "" if not strict else "Set VOICE_APP_GUARD=lenient to start all the same, with a warning."
    return Finding(
        rule="STT106",
        severity=Severity.ERROR if strict else Severity.WARNING,
        where=where or "the configuration",
        message=f"It could not be verified that speech-to-text is billed once: {why}",
        reason=_WHY_TWICE,
        fix=" ".join(filter(None, (advice, lenient))),
    )


def unread(where: str, error: ApiError, *, strict: bool = True) -> Finding:
    """STT106 for something that Twilio did not let us read."""
    why = f"{error.method} {error.url}: {error.answer}"
    return unverified(where, why, advice=error.advice, strict=strict)


class _Odd(msgspec.Struct, frozen=True):
    """A value of a type that no documentation knows."""

    found: str


def _voice_rules(raw: Mapping[str, Any]) -> list[tuple[str, list[Any] | _Odd]]:
    """Every place where VOICE capture rules can stand, with what stands there."""
    settings = raw.get("channelSettings")
    if settings is None:
        return []
    if not isinstance(settings, dict):
        return [("channelSettings", _Odd(_kind(settings)))]
    found: list[tuple[str, list[Any] | _Odd]] = []
    for name, channel in settings.items():
        if name.upper() != "VOICE" or channel is None:
            continue
        place = f"channelSettings.{name}"
        if not isinstance(channel, dict):
            found.append((place, _Odd(_kind(channel))))
            continue
        rules = channel.get("captureRules")
        if rules is None or isinstance(rules, list):
            found.append((f"{place}.captureRules", rules or []))
        else:
            found.append((f"{place}.captureRules", _Odd(_kind(rules))))
    return found


def _kind(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dict):
        return f"an object with the fields {', '.join(value)}" if value else "an empty object"
    if isinstance(value, list):
        return f"a list of {len(value)}"
    return f"the text {value!r}" if isinstance(value, str) else f"the number {value!r}"


def _told(item: Any) -> str:
    rule = capture_rule(item)
    return str(rule) if rule is not None else msgspec.json.encode(item).decode()


def _version(configuration: Configuration) -> str:
    return "version unknown" if configuration.version is None else f"version {configuration.version}"


def _fix(configuration: Configuration) -> str:
    """The one request that removes the rules and leaves everything else as it is."""
    voice = {**configuration.channel("VOICE"), "captureRules": []}
    body = msgspec.json.encode({"channelSettings": {"VOICE": voice}}).decode()
    return (
        "Remove the rules and keep the rest: PATCH "
        f"https://conversations.twilio.com/v2/ControlPlane/Configurations/{configuration.id} with {body}; or "
        "name a configuration without VOICE capture rules. If human agents' calls need the rules, give them "
        "a configuration of their own that matches other numbers. The setup wizard of Twilio Agent Connect "
        "creates such a rule (from * to your number, callType PSTN)."
    )
