"""``<Dial><Conference>``: the caller waits in a room until somebody joins.

Source: reference ``conversationrelay.md`` §6.2. Who comes in is simulated; the TwiML of their side is not.
"""

from __future__ import annotations

import secrets
from datetime import UTC, datetime
from email.utils import format_datetime

from voice_app.sandbox.bridge import Bridge
from voice_app.sandbox.document import Verb
from voice_app.sandbox.race import first_of
from voice_app.sandbox.station import Station
from voice_app.sandbox.waiting import Waiting

JOIN_SECONDS = 5.0
"""When somebody joins who was asked to, in seconds of the call."""
WAIT_VERBS = ("Say", "Play", "Pause", "Redirect")


class Conference:
    """The room of a noun, as the caller comes into it."""

    def __init__(self, station: Station, noun: Verb, url: str) -> None:
        self._station = station
        self._noun = noun
        self._document_url = url
        self._sid = "CF" + secrets.token_hex(16)
        self._told = 0

    async def run(self, seconds: float) -> None:
        """Stay until somebody who joined has left, or so many seconds of the call have passed.

        Raises `HungUpError` or `RedirectedError` when the caller is gone.
        """
        station = self._station
        person = station.people.next()
        self._tell("participant-join")
        try:
            comes = person.kind == "answers"
            leg, url = station.leg, self._noun.get("waitUrl")
            method = self._noun.get("waitMethod", "POST")
            waiting = Waiting(leg, url and leg.absolute(url, self._document_url), method, WAIT_VERBS)
            await first_of(waiting.run(leg.form), leg.pass_time(JOIN_SECONDS if comes else seconds))
            if comes:
                self._tell("conference-start")
                await Bridge(station, person).run(seconds)
        finally:
            self._tell("participant-leave")
            self._tell("conference-end")

    def _tell(self, event: str) -> None:
        """``statusCallbackEvent`` has the short names."""
        url = self._noun.get("statusCallback")
        if not url or event.rpartition("-")[2] not in self._noun.get("statusCallbackEvent").split():
            return
        self._told += 1
        leg = self._station.leg
        form = {
            "AccountSid": leg.exchange.account_sid,
            "CallSid": leg.sid,
            "ConferenceSid": self._sid,
            "FriendlyName": self._noun.text,
            "StatusCallbackEvent": event,
            "SequenceNumber": str(self._told),
            "Timestamp": format_datetime(datetime.now(UTC)),
        }
        url = leg.absolute(url, self._document_url)
        leg.exchange.callbacks.send(url, form, self._noun.get("statusCallbackMethod", "POST"))
