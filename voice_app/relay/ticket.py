"""The token in a session's address: short-lived, bound to one call, good for one socket.

The signature on the upgrade is the same for every call to the same address, so it could be replayed;
the ticket makes the address new each time. It needs no shared state: any machine with the account's
token can check it.
"""

from __future__ import annotations

from collections.abc import Sequence
from secrets import token_urlsafe

from itsdangerous import BadData, SignatureExpired, URLSafeTimedSerializer


class TicketError(Exception):
    """The token does not open a session. The text says why, without repeating the token."""


class Tickets:
    """Issues and redeems tickets.

    ``secrets`` are the account's auth tokens, the primary one first; ``seconds`` is how long a ticket
    may be redeemed.
    """

    def __init__(self, secrets: Sequence[str], seconds: int) -> None:
        self._serializer = URLSafeTimedSerializer(list(reversed(secrets)), salt="voice-app.relay")
        self._seconds = seconds
        self._used: dict[str, None] = {}

    def issue(self, call_sid: str) -> str:
        """A token for one session of this call."""
        return str(self._serializer.dumps([call_sid, token_urlsafe(6)]))

    def redeem(self, token: str) -> str:
        """The CallSid that the token was issued for. Raises `TicketError`; a token is good once."""
        try:
            call_sid, _nonce = self._serializer.loads(token, max_age=self._seconds)
        except SignatureExpired:
            raise TicketError(f"the token is older than {self._seconds} seconds") from None
        except BadData:
            raise TicketError("the token was not issued here") from None
        if token in self._used:
            raise TicketError("the token has opened a session before")
        self._remember(token)
        return str(call_sid)

    def _remember(self, token: str) -> None:
        if len(self._used) >= 100_000:
            del self._used[next(iter(self._used))]  # the oldest one has expired long ago
        self._used[token] = None
