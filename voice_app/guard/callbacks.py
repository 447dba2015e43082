"""CFG13x: where Orchestrator sends what happens. Source: reference ``orchestrator.md`` §5 and §8.3 (32)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final
from urllib.parse import urlsplit

from voice_app.findings import Severity
from voice_app.guard.reading import Reading, same_origin
from voice_app.guard.rule import Hit, called
from voice_app.twilio import Configuration

MOST_CALLBACKS: Final = 2
"""That can be written; more are read."""


def not_public(reading: Reading) -> Iterator[Hit]:
    """CFG130"""
    for configuration, url, _ in _callbacks(reading):
        host = _host(url)
        if reading.scope.origin and same_origin(url, reading.scope.origin):
            continue  # what the settings call our public origin is public
        if not url.startswith("https://"):
            why = "is not https://"
        elif host is None or "." not in host or host.endswith((".local", ".localhost", ".internal")):
            why = "has no host that Twilio can reach"
        else:
            continue
        yield Hit(
            where=configuration.id,
            message=f"The status callback {url!r} of {called(configuration)} {why}",
            fix=_ours(reading),
        )


def too_many(reading: Reading) -> Iterator[Hit]:
    """CFG131"""
    for configuration in reading.in_use:
        number = len(configuration.status_callbacks)
        if number > MOST_CALLBACKS:
            yield Hit(
                where=configuration.id,
                message=f"{called(configuration)} has {number} status callbacks; {MOST_CALLBACKS} can be "
                "written, so the next change of it will be refused",
                fix="Remove those that nobody reads.",
            )


def by_get(reading: Reading) -> Iterator[Hit]:
    """CFG132"""
    for configuration, url, method in _callbacks(reading):
        if method.upper() != "POST":
            yield Hit(
                where=configuration.id,
                message=f"The status callback {url!r} of {called(configuration)} is sent by {method}",
                fix='Set its method to "POST".',
            )


def stale(reading: Reading) -> Iterator[Hit]:
    """CFG133: another host is a warning, another path of ours too."""
    scope = reading.scope
    for configuration, url, _ in _callbacks(reading):
        if not scope.origin or not url.startswith("https://"):
            continue
        path = urlsplit(url).path
        if not same_origin(url, scope.origin):
            why = f"does not lead to us ({scope.origin}): perhaps the host of a tunnel that is gone"
        elif scope.callback_paths and path not in scope.callback_paths:
            why = f"leads to us, where nothing answers at {path or '/'}"
        else:
            continue
        yield Hit(
            where=configuration.id,
            message=f"The status callback {url!r} of {called(configuration)} {why}",
            fix=_ours(reading),
            severity=Severity.WARNING,
        )


def _callbacks(reading: Reading) -> Iterator[tuple[Configuration, str, str]]:
    for configuration in reading.in_use:
        for item in configuration.status_callbacks:
            yield configuration, str(item.get("url", "")), str(item.get("method") or "POST")


def _ours(reading: Reading) -> str:
    paths = sorted(reading.scope.callback_paths)
    if not paths or not reading.scope.origin:
        return "Set it to an address of this server, or remove it."
    return f"Set it to {' or '.join(reading.scope.origin + path for path in paths)}, or remove it."


def _host(url: str) -> str | None:
    try:
        return urlsplit(url).hostname
    except ValueError:
        return None
