"""NUM1xx: which numbers are ours, and whether Twilio knows the way to us.

The account's numbers say where their calls go; those whose voice URL is on our origin are ours.
"""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlsplit

from voice_app.findings import Severity
from voice_app.guard.matcher import call_type_of, normalised
from voice_app.guard.reading import Reading, leads_to
from voice_app.guard.rule import Hit
from voice_app.twilio.numbers import IncomingNumber


def nothing_leads_here(reading: Reading) -> Iterator[Hit]:
    """NUM101. A number of the settings that does not lead here says it itself."""
    if reading.incoming is not None and not reading.leading_here and not reading.scope.numbers:
        yield Hit(
            where="our numbers",
            message=f"None of the account's {len(reading.incoming)} numbers leads to {reading.scope.origin}",
            fix=f"Set the voice URL of a number to {_voice(reading)}.",
        )


def leads_elsewhere(reading: Reading) -> Iterator[Hit]:
    """NUM102"""
    if reading.incoming is None:
        return
    known = {normalised(item.phone_number): item for item in reading.incoming}
    for number in reading.scope.numbers:
        item = known.get(normalised(number))
        if item is not None and leads_to(item, reading.scope.origin):
            continue
        if item is None and call_type_of(number) != "PSTN":
            continue
        yield Hit(
            where=number,
            message=f"The settings call {number} ours, but {_way(item)}",
            fix=f"Set its voice URL to {_voice(reading)}, or take it out of the settings.",
        )


def set_up_in_part(reading: Reading) -> Iterator[Hit]:
    """NUM103: a wrong path is a warning, what is missing a note."""
    for item in reading.leading_here:
        path = urlsplit(item.voice_url).path
        if path != reading.scope.voice_path:
            yield Hit(
                where=item.phone_number,
                message=f"Calls to {item.phone_number} come to {path or '/'}, where nothing answers",
                fix=f"Set its voice URL to {_voice(reading)}.",
                severity=Severity.WARNING,
            )
        missing = [
            word
            for word, value in (
                ("fallback URL", item.voice_fallback_url),
                ("status callback", item.status_callback),
            )
            if not value
        ]
        if missing:
            yield Hit(
                where=item.phone_number,
                message=f"{item.phone_number} has no {' and no '.join(missing)}",
                fix=f"Set them to {_voice(reading)}/fallback and {_voice(reading)}/status.",
                severity=Severity.NOTE,
            )


def _way(item: IncomingNumber | None) -> str:
    if item is None:
        return "the account does not have it"
    if item.trunk_sid:
        return f"its calls go to the SIP trunk {item.trunk_sid}"
    if item.voice_application_sid:
        return f"its calls go to the application {item.voice_application_sid}, which may lead here or not"
    return f"its calls go to {item.voice_url}" if item.voice_url else "its calls go nowhere"


def _voice(reading: Reading) -> str:
    return reading.scope.origin + reading.scope.voice_path
