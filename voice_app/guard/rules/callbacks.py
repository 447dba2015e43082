"""CFG13x: where Orchestrator sends what happens. Source: ``docs/orchestrator.md`` §5 and §8.3 (32)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final
from urllib.parse import urlsplit

from voice_app.findings import WARNING, Hit, rule
from voice_app.guard.snapshot import Snapshot, called, same_origin
from voice_app.twilio import Configuration

MOST_CALLBACKS: Final = 2
"""That can be written; more are read."""


@rule(
    "CFG130",
    WARNING,
    "a status callback that Twilio cannot reach",
    "Twilio sends to https:// and public hosts only.",
    fix="Set the callback to an https:// address of this server, or remove it.",
)
def not_public(snapshot: Snapshot) -> Iterator[Hit]:
    """CFG130"""
    for configuration, url, _ in _callbacks(snapshot):
        host = _host(url)
        if snapshot.scope.origin and same_origin(url, snapshot.scope.origin):
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
            fix=_ours(snapshot),
        )


@rule(
    "CFG131",
    WARNING,
    "too many status callbacks",
    "Twilio shows more of them than it takes in.",
    fix="Remove those that nobody reads.",
)
def too_many(snapshot: Snapshot) -> Iterator[Hit]:
    """CFG131"""
    for configuration in snapshot.in_use:
        number = len(configuration.status_callbacks)
        if number > MOST_CALLBACKS:
            yield Hit(
                where=configuration.id,
                message=f"{called(configuration)} has {number} status callbacks; {MOST_CALLBACKS} can be "
                "written, so the next change of it will be refused",
                fix="Remove those that nobody reads.",
            )


@rule(
    "CFG132",
    WARNING,
    "a status callback by GET",
    "What happened is in the body, and so is what the signature covers: a GET has none.",
    fix="Set its method to POST.",
)
def by_get(snapshot: Snapshot) -> Iterator[Hit]:
    """CFG132"""
    for configuration, url, method in _callbacks(snapshot):
        if method.upper() != "POST":
            yield Hit(
                where=configuration.id,
                message=f"The status callback {url!r} of {called(configuration)} is sent by {method}",
                fix='Set its method to "POST".',
            )


@rule(
    "CFG133",
    WARNING,
    "a status callback that leads elsewhere",
    "The events of our conversations go somewhere else, or nowhere.",
    fix="Set it to an address of this server, or remove it.",
)
def stale(snapshot: Snapshot) -> Iterator[Hit]:
    """CFG133: another host is a warning, another path of ours too."""
    scope = snapshot.scope
    for configuration, url, _ in _callbacks(snapshot):
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
            fix=_ours(snapshot),
            severity=WARNING,
        )


def _callbacks(snapshot: Snapshot) -> Iterator[tuple[Configuration, str, str]]:
    for configuration in snapshot.in_use:
        for item in configuration.status_callbacks:
            yield configuration, str(item.get("url", "")), str(item.get("method") or "POST")


def _ours(snapshot: Snapshot) -> str:
    paths = sorted(snapshot.scope.callback_paths)
    if not paths or not snapshot.scope.origin:
        return "Set it to an address of this server, or remove it."
    return f"Set it to {' or '.join(snapshot.scope.origin + path for path in paths)}, or remove it."


def _host(url: str) -> str | None:
    try:
        return urlsplit(url).hostname
    except ValueError:
        return None
