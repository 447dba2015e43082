"""Read what the rules need, and apply them."""

from __future__ import annotations

from enum import IntEnum

from voice_app.findings import Finding, Severity
from voice_app.guard import rules
from voice_app.orchestrator import ApiError, Configurations, TwilioApi


class Verdict(IntEnum):
    """What the findings amount to; the value is the exit code of a command."""

    FINE = 0
    REFUSED = 1
    UNKNOWN = 3
    """Nothing is known to be wrong, and not everything could be read."""


async def check(api: TwilioApi, configuration_id: str | None, *, strict: bool = True) -> list[Finding]:
    """Check the configuration that our TwiML names. Without one there is nothing that Twilio would write to.

    Never raises for what Twilio answers: what cannot be read is a finding (STT106), an error if ``strict``.
    """
    if not configuration_id:
        return []
    wrong = rules.configuration_id(configuration_id)
    if wrong:
        return wrong
    try:
        configuration = await Configurations(api).fetch(configuration_id)
    except ApiError as error:
        return [rules.unread(configuration_id, error, strict=strict)]
    found = rules.voice_capture(configuration, strict=strict)
    if not found and configuration.id != configuration_id:
        told = f"the answer is about {configuration.id or 'something without an id'}"
        found = [rules.unverified(configuration_id, told, strict=strict)]
    return found


def verdict(findings: list[Finding]) -> Verdict:
    """Whether to go on."""
    errors = {finding.rule for finding in findings if finding.severity is Severity.ERROR}
    if not errors:
        return Verdict.FINE
    return Verdict.UNKNOWN if errors == {"STT106"} else Verdict.REFUSED
