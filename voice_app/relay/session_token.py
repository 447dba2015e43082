"""The token in a session's address: short-lived, bound to one call, good for one socket.

The signature on the upgrade is the same for every call to the same address, so it could be replayed;
the ticket makes the address new each time. It needs no shared state: any machine with the account's
token can check it. What a ticket has opened stands in the journal (``SocketOpened``), so that another
machine refuses it as well. Only where Twilio may come back to a lost socket (``applicationReconnect``)
a ticket opens a second one; that is for whoever has read the journal to decide.
"""

from __future__ import annotations

import time
from collections.abc import Container, Sequence
from dataclasses import dataclass
from secrets import token_urlsafe

from itsdangerous import BadData, TimestampSigner


class TicketError(Exception):
    """The token does not open a session. The text says why, without repeating the token."""


@dataclass(slots=True, frozen=True)
class Ticket:
    """What a token says. It was issued by a machine of ours."""

    call_sid: str
    nonce: str
    """Makes it unique."""
    issued_at: float
    """Seconds since the epoch."""


class Tickets:
    """Issues, reads and redeems tickets.

    ``secrets`` are the account's auth tokens, the primary one first; ``seconds`` is how long a ticket
    may be redeemed.
    """

    def __init__(self, secrets: Sequence[str], seconds: int) -> None:
        self._signer = TimestampSigner(list(reversed(secrets)), salt="voice-app.relay")
        self._seconds = seconds
        self._used: dict[str, None] = {}

    def issue(self, call_sid: str) -> str:
        """A token for one session of this call."""
        return self._signer.sign(f"{call_sid}.{token_urlsafe(6)}").decode()

    def read(self, token: str) -> Ticket:
        """What a token says, used or not. Raises `TicketError` if it was not issued here."""
        try:
            signed, issued_at = self._signer.unsign(token, return_timestamp=True)
        except (BadData, UnicodeEncodeError):
            raise TicketError("the token was not issued here") from None
        call_sid, _, nonce = signed.decode().partition(".")
        return Ticket(call_sid, nonce, issued_at.timestamp())

    def is_used(self, ticket: Ticket) -> bool:
        """Whether it has opened a session on this machine."""
        return ticket.nonce in self._used

    def redeem(self, ticket: Ticket, used: Container[str] = ()) -> None:
        """Open a session with it. Raises `TicketError`; a ticket is good once.

        ``used`` are the nonces that have opened sessions elsewhere.
        """
        if self.is_used(ticket) or ticket.nonce in used:
            raise TicketError("the token has opened a session before")
        if time.time() - ticket.issued_at > self._seconds:
            raise TicketError(f"the token is older than {self._seconds} seconds")
        if len(self._used) >= 100_000:
            del self._used[next(iter(self._used))]  # the oldest one has expired long ago
        self._used[ticket.nonce] = None
