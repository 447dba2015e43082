"""Configurations as they are to be: drafts of new ones, and changes of those that exist.

Everything here works on values and touches no network. Changes are what `Configurations.update` takes; one
that cannot be meant is a `DraftError`.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

import msgspec

from voice_app.twilio.identifiers import address
from voice_app.twilio.limits import CHANNELS, GROUPINGS, MAX_INTELLIGENCE, MAX_RULES
from voice_app.twilio.models import Configuration, capture_rule

GROUPING: Final = "conversationGroupingType"
READ_ONLY: Final = frozenset({"id", "accountId", "createdAt", "updatedAt", "version"})
Changes = dict[str, Any]
Timeouts = tuple[int, int] | None
"""Minutes until a quiet conversation is INACTIVE and CLOSED; None leaves the channel without timers."""

TIMEOUTS: Final[Mapping[str, Timeouts]] = {
    "VOICE": (5, 30),
    "SMS": (10, 60),
    "RCS": (10, 60),
    "WHATSAPP": (10, 60),
    "CHAT": (15, 60),
}
"""What Twilio recommends for messages and chats, and a pause in which a caller may phone again."""

ANYBODY: Final = "*"

_ABSENT: Any = object()


class Difference(msgspec.Struct, frozen=True):
    """One place where two configurations are not the same. None stands for "not there" as well."""

    path: str
    """E.g. ``channelSettings.VOICE.captureRules``."""
    old: Any
    new: Any

    def __str__(self) -> str:
        return f"{self.path}: {_json(self.old)} -> {_json(self.new)}"


def writable(raw: Mapping[str, Any]) -> dict[str, Any]:
    """Everything that a PUT has to carry. A field that is left out is deleted, be it known to us or not."""
    return {
        name: copy.deepcopy(value)
        for name, value in raw.items()
        if name not in READ_ONLY and value is not None
    }


def merged(raw: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """The writable fields after a PATCH: what is left out stays, null removes, a channel is replaced."""
    result = writable(raw)
    for name, value in changes.items():
        if name == "channelSettings" and isinstance(value, Mapping):
            channels = {**(result.get(name) or {}), **copy.deepcopy(dict(value))}
            result[name] = {key: setting for key, setting in channels.items() if setting is not None}
        elif value is None:
            result.pop(name, None)
        else:
            result[name] = copy.deepcopy(value)
    return result


def differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[Difference]:
    """Where two configurations differ, in what can be written. Null and absent are the same."""
    return list(_walk("", writable(old), writable(new)))


def lost(before: Mapping[str, Any], body: Mapping[str, Any], changes: Mapping[str, Any]) -> list[str]:
    """The fields that a PUT of ``body`` would delete although nobody asked for it."""
    return sorted(set(writable(before)) - set(body) - set(changes))


class DraftError(Exception):
    """The change cannot be meant. The text says why, and what to do instead."""


def rule(from_: str, to: str, call_type: str | None = None) -> dict[str, Any]:
    """A capture rule. ``call_type`` is for VOICE only: ``PSTN``, ``CLIENT`` or ``PUBLIC_SIP``."""
    return {"from": from_, "to": to, "metadata": {"callType": call_type} if call_type else {}}


def rules_of(channel: str, number: str) -> list[dict[str, Any]]:
    """The rules that capture the traffic of a number. Raises `ValueError` for what is no number.

    Messages are captured in both directions. A call that comes in to a number is captured by one rule.
    """
    own = address(channel, number)
    if channel == "VOICE":
        return [rule(ANYBODY, own, "PSTN")]
    return [rule(own, ANYBODY), rule(ANYBODY, own)]


def channel_setting(channel: str, numbers: Iterable[str] = (), *, timeouts: Timeouts) -> dict[str, Any]:
    """The settings of one channel with the rules for our numbers. Raises `ValueError` like `rules_of`.

    VOICE gets no rules unless numbers are given: a call whose TwiML names the configuration writes to it
    anyway, and a rule would have its speech recognised, and billed, a second time.
    """
    limits = None if timeouts is None else {"inactive": timeouts[0], "closed": timeouts[1]}
    return {
        "statusTimeouts": limits,
        "captureRules": [item for number in numbers for item in rules_of(channel, number)],
    }


def completed(fields: Mapping[str, Any]) -> Changes:
    """The fields of a new configuration, with what need not be said."""
    usual: Changes = {GROUPING: GROUPINGS[0]}
    if isinstance(fields.get("displayName"), str):
        usual["description"] = f"Conversations of {fields['displayName']}"
    return usual | dict(fields)


def set_up(
    settings: Mapping[str, Any] | None,
    channels: Iterable[str] = (),
    *,
    numbers: Mapping[str, Sequence[str]] | None = None,
    timeouts: Mapping[str, Timeouts] | None = None,
) -> dict[str, Any]:
    """Channel settings in which these channels are set up; what exists keeps what is not given.

    VOICE is among them where there were none at all. Raises `ValueError` for what is no number.
    """
    numbers, timeouts = numbers or {}, timeouts or {}
    result = copy.deepcopy(dict(settings or {}))
    first = ["VOICE"] if settings is None else []
    for name in dict.fromkeys([*first, *channels, *numbers, *timeouts]):
        fresh = channel_setting(name, numbers.get(name, ()), timeouts=timeouts.get(name, TIMEOUTS[name]))
        present = result.get(name)
        if isinstance(present, dict):
            present["captureRules"] = [*(present.get("captureRules") or []), *fresh["captureRules"]]
            if name in timeouts:
                present["statusTimeouts"] = fresh["statusTimeouts"]
        else:
            result[name] = fresh
    return result


def without(changes: Mapping[str, Any], path: str) -> Changes:
    """The changes, and the removal of a field, or of a channel as ``channelSettings.SMS``."""
    name, dot, channel = path.partition(".")
    if not dot:
        return {**changes, name: None}
    if name != "channelSettings" or channel not in CHANNELS:
        raise DraftError(f"{path} cannot be removed: only whole fields and whole channels can")
    return {**changes, name: {**(changes.get(name) or {}), channel: None}}


def same_version(fields: Mapping[str, Any], configuration: Configuration) -> None:
    """Fields that were read from a configuration tell which. Raises `DraftError` if it has changed since."""
    if fields.get("id") not in (None, configuration.id):
        raise DraftError(f"The file is about {fields['id']}, not about {configuration.id}")
    version = fields.get("version")
    if version is not None and version != configuration.version:
        raise DraftError(
            f"The file was made from version {version}, and {configuration.id} is at version "
            f"{configuration.version} now: start again with `voice-app config show {configuration.id} "
            "--json`, or take version out of the file"
        )


def another(configuration: Configuration, **fields: Any) -> Changes:
    """The fields of a new configuration that is like an existing one.

    The bridge and the unique name stay behind: each is that of one configuration only.
    """
    own = ("conversationsV1Bridge", "uniqueName")
    return {name: value for name, value in writable(configuration.raw).items() if name not in own} | fields


def with_rules(configuration: Configuration, channel: str, rules: Sequence[Mapping[str, Any]]) -> Changes:
    """Add capture rules. Those that exist already are not added again."""
    setting: dict[str, Any] = channel_setting(channel, timeouts=TIMEOUTS[channel])
    if isinstance(configuration.channel_settings.get(channel), dict):
        setting = copy.deepcopy(configuration.channel(channel))
    present = _rules(configuration, channel)
    known = {_key(item) for item in present}
    added = []
    for item in rules:
        if _key(item) not in known:
            known.add(_key(item))
            added.append(dict(item))
    if len(present) + len(added) > MAX_RULES:
        raise DraftError(
            f"{configuration.id} would have {len(present) + len(added)} capture rules for {channel}, and "
            f"{MAX_RULES} is the limit: spread the numbers over more configurations (`voice-app config plan`)"
        )
    setting["captureRules"] = [*present, *added]
    return {"channelSettings": {channel: setting}} if added else {}


def without_rules(configuration: Configuration, channel: str, rules: Sequence[Mapping[str, Any]]) -> Changes:
    """Remove capture rules by what they say. A call type that is not given stands for every one."""
    present = _rules(configuration, channel)
    left = list(present)
    for wanted in rules:
        matching = [item for item in left if _matches(item, wanted)]
        if not matching:
            raise DraftError(
                f"{configuration.id} has no {channel} rule {_told(wanted)}. {_list(channel, present)}"
            )
        left = [item for item in left if item not in matching]
    return {"channelSettings": {channel: {**configuration.channel(channel), "captureRules": left}}}


def linked(configuration: Configuration, ids: Iterable[str]) -> Changes:
    """Have these Intelligence configurations analyse the conversations, too."""
    present = configuration.intelligence_configuration_ids
    wanted = list(dict.fromkeys([*present, *ids]))
    if len(wanted) > MAX_INTELLIGENCE:
        raise DraftError(
            f"{configuration.id} would have {len(wanted)} Intelligence configurations, and "
            f"{MAX_INTELLIGENCE} is the limit: unlink one of {', '.join(present)} first"
        )
    return {} if wanted == present else {"intelligenceConfigurationIds": wanted}


def unlinked(configuration: Configuration, ids: Iterable[str]) -> Changes:
    """Stop these Intelligence configurations from analysing the conversations."""
    present, gone = configuration.intelligence_configuration_ids, set(ids)
    strange = sorted(gone - set(present))
    if strange:
        there = ", ".join(present) or "none"
        raise DraftError(f"{', '.join(strange)} is not linked to {configuration.id}; linked: {there}")
    return {"intelligenceConfigurationIds": [item for item in present if item not in gone]}


def changed(configuration: Configuration, changes: Mapping[str, Any]) -> Configuration:
    """The configuration as it would be after the changes."""
    fixed = {name: value for name, value in configuration.raw.items() if name in READ_ONLY}
    return Configuration(fixed | merged(configuration.raw, changes))


def regrouped(configuration: Configuration, changes: Mapping[str, Any]) -> bool:
    """Whether the changes want another grouping, which never changes after creation."""
    wanted: object = changes.get(GROUPING, configuration.grouping)
    return wanted != configuration.grouping


def _rules(configuration: Configuration, channel: str) -> list[Any]:
    """As they were read, so that nothing in them is lost."""
    found = configuration.channel(channel).get("captureRules")
    return found if isinstance(found, list) else []


def _key(item: Any) -> tuple[object, ...]:
    read = capture_rule(item)
    return (repr(item),) if read is None else (read.from_, read.to, *sorted(read.metadata.items()))


def _matches(item: Any, wanted: Mapping[str, Any]) -> bool:
    read = capture_rule(item)
    if read is None or (read.from_, read.to) != (wanted["from"], wanted["to"]):
        return False
    call_type: str | None = (wanted.get("metadata") or {}).get("callType")
    return call_type in (None, read.call_type or "PSTN")


def _told(item: Mapping[str, Any]) -> str:
    call_type = (item.get("metadata") or {}).get("callType")
    return f"from {item['from']} to {item['to']}" + (f" (callType {call_type})" if call_type else "")


def _list(channel: str, rules: Sequence[Any]) -> str:
    if not rules:
        return f"It has no capture rules for {channel}"
    told = "; ".join(_told(item) if capture_rule(item) else repr(item) for item in rules)
    return f"Its {channel} rules are: {told}"


def _walk(path: str, old: Any, new: Any) -> Iterator[Difference]:
    if isinstance(old, dict) and isinstance(new, dict):
        for name in [*old, *(name for name in new if name not in old)]:
            below = f"{path}.{name}" if path else name
            yield from _walk(below, old.get(name, _ABSENT), new.get(name, _ABSENT))
    elif old != new:
        pair = [None if value is _ABSENT else value for value in (old, new)]
        if pair[0] is not None or pair[1] is not None:
            yield Difference(path, *pair)


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()
