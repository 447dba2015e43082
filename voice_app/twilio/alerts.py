"""What Twilio reports as gone wrong: the alerts of its Debugger, and what the error codes of calls mean.

https://www.twilio.com/docs/usage/monitor-alert: lists leave the request and the response of an alert out, and
are kept for 30 days at least. https://www.twilio.com/docs/api/errors has a page for each code.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple, Self
from urllib.parse import parse_qs, urlsplit

from voice_app.twilio.errors import ApiError, Trouble
from voice_app.twilio.http import TwilioApi

PRODUCT: Final = "monitor"
PATH: Final = "/v1/Alerts"
MOST_ALERTS: Final = 1000
"""The newest ones that are read: one page, the longest that the API gives."""
ERRORS: Final = "error"
"""The level of an alert that hurt somebody; the others are ``warning``, ``notice`` and ``debug``."""
_LONG_SEGMENT: Final = re.compile(r"(?<=/)[^/]{25,}")
MAX_TEXT: Final = 500
"""Characters that are kept of what Twilio says."""


class AlertMeaning(NamedTuple):
    """What an error code means for a line like ours."""

    what: str
    fix: str


_PAGE: Final = "Read https://www.twilio.com/docs/api/errors/{}."
_SOCKET: Final = "See that the server was not killed, and that no proxy before it closes sockets."
_MEMORY_LINK: Final = "Look at the memory store that the configuration names: voice-app check reads it, too."
MEANINGS: Final[Mapping[str, AlertMeaning]] = {
    "11200": AlertMeaning(
        "Twilio asked a webhook of ours and got no answer that it could use: callers were cut off, or heard "
        "the fallback",
        "See that the server was up and reachable, and that the fallback URL of the number leads to it.",
    ),
    "11205": AlertMeaning("Twilio could not connect to a webhook", "See that the server can be reached."),
    "11750": AlertMeaning("a TwiML answer was longer than 64 kB", "Make the template shorter."),
    "12100": AlertMeaning("a TwiML answer was no well-formed XML", "Run voice-app lint on the templates."),
    "12200": AlertMeaning(
        "TwiML held what its schema does not know, and Twilio ignored that part",
        "Run voice-app lint on the templates; it names file and line.",
    ),
    "12300": AlertMeaning(
        "a webhook answered with something other than XML", "See what stands between Twilio and the server."
    ),
    "13214": AlertMeaning(
        "a dial had no callerId that Twilio takes: the person was not rung",
        "Set TWILIO_PHONE_NUMBER to a number of the account.",
    ),
    "13617": AlertMeaning(
        "a message was too long to be transcribed: Twilio writes down the first 120 seconds at most",
        "Let the template's <Record> end after 120 seconds, or have recordings transcribed elsewhere.",
    ),
    "64101": AlertMeaning(
        "<ConversationRelay> had a value that Twilio does not take, and the session never began",
        "Run voice-app lint; check that voice and provider go together, and that the account has both.",
    ),
    "64102": AlertMeaning(
        "Twilio could not open the agent's socket; the caller may have heard a busy tone",
        "See that TWILIO_VOICE_PUBLIC_DOMAIN leads here with WebSockets, and that TWILIO_AUTH_TOKEN is the "
        "account's: a refused signature looks like this.",
    ),
    "64103": AlertMeaning("Twilio had an error of its own in a session", "Tell Twilio if it comes again."),
    "64104": AlertMeaning("a session reached the longest time that a call may have", "Nothing to be done."),
    "64105": AlertMeaning("the agent's socket was closed in the middle of a call", _SOCKET),
    "64106": AlertMeaning(
        "a provider does not have the language or voice that was asked for",
        "Change VOICE_APP_LANGUAGE, or voice and provider in the template.",
    ),
    "64107": AlertMeaning(
        "Twilio got a frame that is none of its protocol", "See whether a proxy writes into the socket."
    ),
    "64108": AlertMeaning("the caller's audio stopped arriving", "A matter of the line: nothing to be done."),
    "64109": AlertMeaning(
        "the account has as many sessions at once as it may, and calls were rejected",
        "Ask Twilio for a higher limit, or set VOICE_APP_MAX_CALLS below it so that others hear busy.xml.",
    ),
    "64114": AlertMeaning(
        "the speech-to-text of a session could not be reached, or was lost",
        "If it comes again, choose another transcriptionProvider.",
    ),
    "530001": AlertMeaning(
        "Orchestrator did not look for a participant's profile: nobody is recognised", _MEMORY_LINK
    ),
    "530002": AlertMeaning("Orchestrator had trouble with a participant's profile", _MEMORY_LINK),
    "530003": AlertMeaning("Orchestrator could not look up a participant's profile", _MEMORY_LINK),
    "530004": AlertMeaning(
        "Orchestrator could not make a profile: the participant has none, and nothing is remembered",
        _MEMORY_LINK,
    ),
}
"""By code. Source: ``docs/protocol.md`` §3.2 and ``docs/orchestrator.md`` §6."""


def meaning(code: str) -> AlertMeaning:
    """What an error code means, also one that nobody has explained here."""
    found = MEANINGS.get(code) or AlertMeaning(_family(code), "")
    return AlertMeaning(found.what, f"{found.fix} {_PAGE.format(code)}".strip())


def _family(code: str) -> str:
    if re.fullmatch(r"641\d\d", code):
        return "ConversationRelay could not go on with a session"
    if re.fullmatch(r"530\d\d\d", code):
        return "Orchestrator could not do something for a conversation"
    if re.fullmatch(r"11\d\d\d", code):
        return "Twilio had no use for the answer of a webhook, or got none"
    return "Twilio's Debugger has an entry"


def code_label(code: str) -> str:
    """The code as the label of a metric: those that are explained here, and ``other``."""
    return code if code in MEANINGS else "other"


def shown_url(url: str) -> str:
    """A URL fit to be shown: without its query, and without what may be a ticket or an id in its path."""
    try:
        parts = urlsplit(url.strip())
    except ValueError:
        return ""
    if not parts.scheme or not parts.hostname:
        return ""
    return parts._replace(
        netloc=parts.netloc.rpartition("@")[2], path=_LONG_SEGMENT.sub("…", parts.path), query="", fragment=""
    ).geturl()[:MAX_TEXT]


@dataclass(frozen=True, slots=True)
class Alert:
    """One entry of the Debugger's list."""

    sid: str
    """``NO…``."""
    code: str
    level: str
    at: str
    """When it happened, as Twilio writes it (ISO 8601, UTC)."""
    resource_sid: str = ""
    """What it is about: a call (``CA…``) or something else."""
    request_url: str = ""
    """What Twilio had asked."""
    text: str = ""

    @classmethod
    def read(cls, raw: Mapping[str, Any]) -> Self:
        """What the API lists. What is missing, or of another type, is empty."""
        return cls(
            sid=_text(raw.get("sid")),
            code=_text(raw.get("error_code")),
            level=_text(raw.get("log_level")).lower(),
            at=_text(raw.get("date_generated") or raw.get("date_created")),
            resource_sid=_text(raw.get("resource_sid")),
            request_url=_text(raw.get("request_url")),
            text=_told(_text(raw.get("alert_text"))),
        )


class Alerts:
    """Read what Twilio's Debugger has."""

    def __init__(self, api: TwilioApi) -> None:
        self._api = api

    async def since(self, since: float) -> Sequence[Alert]:
        """The newest alerts since then (seconds since the epoch), `MOST_ALERTS` at most.

        Raises `ApiError`.
        """
        begin = f"{datetime.fromtimestamp(since, UTC):%Y-%m-%dT%H:%M:%SZ}"
        query: dict[str, str | int] = {"StartDate": begin, "PageSize": MOST_ALERTS}
        page = await self._api.get(PRODUCT, PATH, query=query)
        rows = page.get("alerts")
        if not isinstance(rows, list):
            raise ApiError(
                Trouble.UNREADABLE,
                method="GET",
                url=self._api.url(PRODUCT, PATH),
                message="a list without `alerts`",
                status=200,
            )
        found = [Alert.read(row) for row in rows if isinstance(row, dict)]
        return sorted(found, key=lambda alert: alert.at, reverse=True)


def _told(text: str) -> str:
    """What an ``alert_text`` says: Twilio writes it as a sentence, or as a form with ``Msg`` in it."""
    if "=" in text:
        told = parse_qs(text)
        for name in ("Msg", "msg", "parserMessage", "ErrorMessage"):
            if name in told:
                return told[name][-1][:MAX_TEXT]
    return text[:MAX_TEXT]


def _text(value: object) -> str:
    return str(value) if isinstance(value, str | int) else ""
