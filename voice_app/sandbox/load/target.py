"""Where load goes: a server's voice webhook, and who seems to phone."""

from __future__ import annotations

import secrets
from dataclasses import dataclass

from voice_app.sandbox.network import Network


class LoadError(Exception):
    """The server cannot be put under load. The text says what it did, and what to do."""


def new_call_sid() -> str:
    """A CallSid that no other call has."""
    return "CA" + secrets.token_hex(16)


@dataclass(slots=True, frozen=True, kw_only=True)
class Target:
    """A voice webhook of a server, and the account whose calls it takes."""

    network: Network
    webhook: str
    """The webhook's public URL, e.g. ``https://voice.example.com/voice``."""
    account_sid: str
    number: str = "+15550100001"
    caller: str = "+15550199999"

    def form(self, call_sid: str, status: str = "ringing") -> dict[str, str]:
        """The fields of a voice webhook, with the geography that Twilio adds to them."""
        places = {
            f"{who}{what}": value
            for who in ("From", "Caller", "To", "Called")
            for what, value in (("City", "SPRINGFIELD"), ("State", "OR"), ("Zip", "97477"), ("Country", "US"))
        }
        return {
            "AccountSid": self.account_sid,
            "ApiVersion": "2010-04-01",
            "CallSid": call_sid,
            "CallStatus": status,
            "CallerName": "",
            "Direction": "inbound",
            "From": self.caller,
            "Caller": self.caller,
            "To": self.number,
            "Called": self.number,
            **places,
        }
