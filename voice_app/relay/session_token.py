"""The token in a session's address: short-lived, bound to one call, good for one socket.

The signature on the upgrade is the same for every call to the same address, so it could be replayed;
the ticket makes the address new each time. It needs no shared state: any machine with the account's
token can check it. What a ticket has opened stands in the journal (``SocketOpened``), so that another
machine refuses it as well. A ticket opens a second socket where the machine that opened the first died before
a session began on it, and where Twilio may come back to a lost socket (``applicationReconnect``); that is for
whoever has read the journal to decide.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import time
from base64 import urlsafe_b64decode
from binascii import b2a_base64
from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

_URL_SAFE: Final = bytes.maketrans(b"+/", b"-_")
_UNIQUE: Final = 8
"""Characters at the beginning of a nonce that are random."""


class TicketError(Exception):
    """The token does not open a session. The text says why, without repeating the token."""


@dataclass(slots=True, frozen=True)
class Ticket:
    """What a token says. It was issued by a machine of ours."""

    call_sid: str
    nonce: str
    """Makes it unique. Servers of an older version ask no more of it, so it holds `after`, too."""
    issued_at: float
    """Seconds since the epoch."""
    after: int = 0
    """What that machine wrote of the call with its answer has ids of this time at the latest: milliseconds
    since the epoch, by a clock that may be ahead of ours. 0: no other machine writes of the call.
    """


class SigningKey:
    """A secret to sign with: HMAC (RFC 2104) whose two hashes have taken the key in already.

    `hmac.digest` does so for each message, and needs twice as long for it as for the message.
    """

    def __init__(self, secret: bytes, digest: str = "sha1") -> None:
        hashed = hashlib.new(digest)
        block = (secret if len(secret) <= hashed.block_size else _hashed(hashed, secret)).ljust(
            hashed.block_size, b"\0"
        )
        self._inner, self._outer = hashed.copy(), hashed.copy()
        self._inner.update(bytes(byte ^ 0x36 for byte in block))
        self._outer.update(bytes(byte ^ 0x5C for byte in block))

    def sign(self, message: bytes) -> bytes:
        """The code that proves that a message is of somebody who has the key."""
        return _hashed(self._outer, _hashed(self._inner, message))


def _hashed(begun: hashlib._Hash, data: bytes) -> bytes:
    hashed = begun.copy()
    hashed.update(data)
    return hashed.digest()


class Tickets:
    """Issues, reads and redeems tickets: ``CallSid.nonce.time.signature``.

    ``secrets`` are the account's auth tokens, the primary one first; ``seconds`` is how long a ticket
    may be redeemed.
    """

    def __init__(self, secrets: Sequence[str], seconds: int) -> None:
        self._keys = [_key(secret) for secret in secrets]
        self._seconds = seconds
        self._used: dict[str, None] = {}
        self._nonces = _nonces()

    def issue(self, call_sid: str, after: int = 0) -> str:
        """A token for one session of this call; ``after`` as in `Ticket`."""
        nonce = _base64(next(self._nonces)) + _packed(after)
        signed = f"{call_sid}.{nonce}.{_packed(int(time.time()))}"
        return f"{signed}.{_signature(self._keys[0], signed)}"

    def read(self, token: str) -> Ticket:
        """What a token says, used or not. Raises `TicketError` if it was not issued here."""
        signed, _, signature = token.rpartition(".")
        if not (token.isascii() and any(_matches(key, signed, signature) for key in self._keys)):
            raise TicketError("the token was not issued here")
        call_sid, nonce, issued_at = signed.split(".")
        return Ticket(call_sid, nonce, _unpacked(issued_at), _unpacked(nonce[_UNIQUE:]))

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


def _nonces() -> Iterator[bytes]:
    """Six random bytes each, of which the system is asked for many at once: each question to it is dear."""
    while True:
        pool = os.urandom(6 * 256)
        yield from (pool[start : start + 6] for start in range(0, len(pool), 6))


def _key(secret: str) -> SigningKey:
    derived = hashlib.sha1(b"voice-app.relaysigner" + secret.encode()).digest()  # noqa: S324 - only for HMAC
    return SigningKey(derived)


def _signature(key: SigningKey, signed: str) -> str:
    return _base64(key.sign(signed.encode()))


def _matches(key: SigningKey, signed: str, signature: str) -> bool:
    return hmac.compare_digest(_signature(key, signed), signature)


def _packed(seconds: int) -> str:
    return _base64(seconds.to_bytes((seconds.bit_length() + 7) // 8))


def _unpacked(packed: str) -> int:
    return int.from_bytes(urlsafe_b64decode(packed + "=" * (-len(packed) % 4)))


def _base64(data: bytes) -> str:
    """As `urlsafe_b64encode` has it, without what it is filled up with."""
    return b2a_base64(data).translate(_URL_SAFE, b"=\n").decode()
