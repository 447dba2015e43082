"""NUM1xx: which numbers are ours, and whether Twilio knows the way to us.

The account's numbers say where their calls go; those whose voice URL is on our origin are ours.
"""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlsplit

from voice_app.findings import NOTE, WARNING, Hit, rule
from voice_app.guard.matching import call_type_of, normalised
from voice_app.guard.snapshot import Snapshot
from voice_app.twilio.classic_api import IncomingNumber


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
    """NUM102"""
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
