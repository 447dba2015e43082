"""NUM1xx and CFG13x: where Twilio sends calls, and where Orchestrator sends what happens.

The account's numbers say where their calls go; those whose voice URL is on our origin are ours. Source of the
callbacks: ``docs/orchestrator.md`` §5 and §8.3 (32).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final
from urllib.parse import urlsplit

from voice_app.findings import NOTE, WARNING, Hit, rule
from voice_app.guard.matching import call_type_of, normalised
from voice_app.guard.snapshot import Snapshot, called, same_origin
from voice_app.twilio import Configuration
from voice_app.twilio.classic_api import IncomingNumber

MOST_CALLBACKS: Final = 2
"""That can be written; more are read."""


@rule(
    "NUM101",
    WARNING,
    "no number leads here",
    "Nobody can call us, and which calls are ours is not known.",
    fix="Set the voice URL of a number to the address at which this server answers calls.",
)
def nothing_leads_here(snapshot: Snapshot) -> Iterator[Hit]:
    """NUM101. A number of the settings that does not lead here says it itself."""
    if snapshot.incoming is not None and not snapshot.leading_here and not snapshot.scope.numbers:
        yield Hit(
            where="our numbers",
            message=f"None of the account's {len(snapshot.incoming)} numbers leads to "
            f"{snapshot.scope.origin}",
            fix=f"Set the voice URL of a number to {_voice(snapshot)}.",
        )


@rule(
    "NUM102",
    WARNING,
    "a number of ours that leads elsewhere",
    "Calls to it do not come here.",
    fix="Set its voice URL to this server, or take it out of the settings.",
)
def leads_elsewhere(snapshot: Snapshot) -> Iterator[Hit]:
    if snapshot.incoming is None:
        return
    known = {normalised(item.phone_number): item for item in snapshot.incoming}
    for number in snapshot.scope.numbers:
        item = known.get(normalised(number))
        if item is not None and snapshot.leads_here(item):
            continue
        if item is None and call_type_of(number) != "PSTN":
            continue
        yield Hit(
            where=number,
            message=f"The settings call {number} ours, but {_way(snapshot, item)}",
            fix=f"Set its voice URL to {_voice(snapshot)}, or take it out of the settings.",
        )


@rule(
    "NUM103",
    NOTE,
    "a number that is set up in part",
    "The voice URL, the fallback and the status callback have addresses of their own.",
    fix="Set the voice URL, the fallback URL and the status callback as the README shows.",
)
def set_up_in_part(snapshot: Snapshot) -> Iterator[Hit]:
    """NUM103: a wrong path is a warning, what is missing a note."""
    for item in snapshot.leading_here:
        way = snapshot.way(item) or item
        path = urlsplit(way.voice_url.strip()).path
        if path != snapshot.scope.voice_path:
            yield Hit(
                where=item.phone_number,
                message=f"Calls to {item.phone_number} come to {path or '/'}, where nothing answers",
                fix=f"Set its voice URL to {_voice(snapshot)}.",
                severity=WARNING,
            )
        missing = [
            word
            for word, value in (
                ("fallback URL", way.voice_fallback_url),
                ("status callback", way.status_callback),
            )
            if not value
        ]
        if missing:
            yield Hit(
                where=item.phone_number,
                message=f"{item.phone_number} has no {' and no '.join(missing)}",
                fix=f"Set them to {_voice(snapshot)}/fallback and {_voice(snapshot)}/status.",
                severity=NOTE,
            )


def _way(snapshot: Snapshot, item: IncomingNumber | None) -> str:
    if item is None:
        return "the account does not have it"
    if item.trunk_sid:
        return f"its calls go to the SIP trunk {item.trunk_sid}"
    way, sid = snapshot.way(item), item.voice_application_sid
    if way is None:
        state = "does not exist" if sid in snapshot.applications else "was not read"
        return f"its calls go to the application {sid}, which {state}"
    by = f" by the application {sid}" if sid else ""
    return f"its calls go{by} to {way.voice_url}" if way.voice_url else f"its calls go{by} nowhere"


def _voice(snapshot: Snapshot) -> str:
    return snapshot.scope.origin + snapshot.scope.voice_path


@rule(
    "CFG130",
    WARNING,
    "a status callback that Twilio cannot reach",
    "Twilio sends to https:// and public hosts only.",
    fix="Set the callback to an https:// address of this server, or remove it.",
)
def not_public(snapshot: Snapshot) -> Iterator[Hit]:
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
    for configuration in snapshot.in_use:
        number = len(configuration.status_callbacks)
        if number > MOST_CALLBACKS:
            yield Hit(
                where=configuration.id,
                message=f"{called(configuration)} has {number} status callbacks; {MOST_CALLBACKS} can be "
                "written, so the next change of it will be refused",
            )


@rule(
    "CFG132",
    WARNING,
    "a status callback by GET",
    "What happened is in the body, and so is what the signature covers: a GET has none.",
    fix='Set its method to "POST".',
)
def by_get(snapshot: Snapshot) -> Iterator[Hit]:
    for configuration, url, method in _callbacks(snapshot):
        if method.upper() != "POST":
            yield Hit(
                where=configuration.id,
                message=f"The status callback {url!r} of {called(configuration)} is sent by {method}",
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
