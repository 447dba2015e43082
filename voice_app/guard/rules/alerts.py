"""ERR1xx: what Twilio itself reported as gone wrong.

Source: `voice_app.twilio.alerts`, which explains the codes.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from voice_app.findings import NOTE, WARNING, Hit, counted, rule
from voice_app.guard.snapshot import Part, Snapshot, same_origin
from voice_app.twilio.alerts import ERRORS, Alert, meaning, shown_url


@rule(
    "ERR101",
    WARNING,
    "Twilio reported an error",
    "Twilio's Debugger has it of the last day: a caller of ours has most likely noticed.",
    fix="Read https://www.twilio.com/docs/api/errors.",
)
def reported(snapshot: Snapshot) -> Iterator[Hit]:
    """ERR101. One finding for each code; what is known to be about somebody else's call is left out."""
    by_code: defaultdict[str, list[Alert]] = defaultdict(list)
    for alert in snapshot.alerts or ():
        if _may_be_ours(snapshot, alert):
            by_code[alert.code].append(alert)
    for code, alerts in sorted(by_code.items()):
        means = meaning(code)
        grave = any(alert.level == ERRORS for alert in alerts)
        yield Hit(
            where=code or "without a code",
            message=f"Twilio reported {code} {counted(len(alerts), 'time')} in the last day, last at "
            f"{alerts[0].at or 'an unknown time'}: {means.what}",
            evidence=[_evidence(alert) for alert in alerts],
            fix=means.fix,
            severity=WARNING if grave else NOTE,
        )


@rule(
    "ERR102",
    NOTE,
    "Twilio's alerts could not be read",
    "What Twilio itself saw go wrong on the last day's calls is not known.",
    fix="Give the credentials access to alerts (Monitor), or look into the Console's Debugger.",
)
def alerts_unread(snapshot: Snapshot) -> Iterator[Hit]:
    """ERR102. A check needs them for nothing else, and goes on."""
    for unread in snapshot.missed(Part.ALERTS):
        yield Hit(
            where="alerts",
            message=f"The alerts of the last day could not be read: {unread.error.answer}",
            fix=unread.error.advice,
        )


def _may_be_ours(snapshot: Snapshot, alert: Alert) -> bool:
    """By the call that it is about; else by what Twilio had asked. What tells neither may be ours."""
    ends = snapshot.alerted_calls.get(alert.resource_sid)
    if ends is not None and snapshot.numbers:
        return not ends.isdisjoint(snapshot.numbers)
    asked = alert.request_url.replace("wss://", "https://", 1)
    return not asked or not snapshot.scope.origin or same_origin(asked, snapshot.scope.origin)


def _evidence(alert: Alert) -> str:
    parts = [alert.at, alert.resource_sid, shown_url(alert.request_url), alert.text]
    return " ".join(filter(None, parts)) or alert.sid
