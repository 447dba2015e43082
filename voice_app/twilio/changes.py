"""What a change to a configuration does to it, worked out before anything is written."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec

READ_ONLY: Final = frozenset({"id", "accountId", "createdAt", "updatedAt", "version"})

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
