"""Who asks: by an API key, a cookie that was signed at the sign-in, or the header of a trusted proxy."""

from __future__ import annotations

import hmac
import logging
import re
import secrets
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from ipaddress import ip_address, ip_network
from typing import Final

from itsdangerous import BadSignature, Signer, URLSafeTimedSerializer
from starlette.requests import HTTPConnection

from voice_app.console.headers import is_loopback
from voice_app.settings import Role, Settings, SettingsError, Users, read_users

COOKIE: Final = "voice_app_console"
MAX_COOKIE: Final = 512
"""Characters. It is looked into before its signature is checked."""
RELOAD_SECONDS: Final = 1.0
"""How often the file of users is looked at: who is removed from it is out."""
_NUMBER: Final = re.compile(r"\+[1-9]\d{6,14}")

log = logging.getLogger(__name__)


@dataclass(slots=True, frozen=True)
class Visitor:
    """Who asks."""

    name: str
    """As acts are journaled: a user's name, ``key NAME``, ``api token``, ``sandbox``."""
    role: Role
    csrf: str = ""
    """What writes bring along: the field ``csrf`` of a form, or ``X-CSRF-Token``. Empty: none is needed."""
    signed_in: bool = False
    """Whether there is anything to sign out of."""

    def may(self, role: Role | str) -> bool:
        """Whether this is one of this role: ``visitor.may("act")``."""
        return self.role.includes(Role(role))

    def shown(self, text: str) -> str:
        """Addresses, or text with numbers in it, as this visitor may see them."""
        return text if self.may(Role.ACT) else masked(text)


class AccessRefusedError(Exception):
    """A request is refused. The text says why, and what to do."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


def masked(text: str) -> str:
    """The text with every phone number in it, and the user of a SIP or client address, made unreadable.

    ``+15550100001`` is ``+1•••01``.
    """
    text = _NUMBER.sub(lambda found: f"{found[0][:2]}•••{found[0][-2:]}", text)
    return re.sub(r"\b(client:|sips?:)[^\s\"\\@;,]+", r"\1•••", text)


class Visitors:
    """Tells visitors by what they bring along.

    Raises:
        SettingsError: the file of users cannot be used.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._networks = [ip_network(item) for item in settings.proxy_addresses]
        self._keys = [token.encode() for token in reversed(settings.signing_tokens)] or [
            secrets.token_bytes()
        ]
        self._users = Users() if settings.users is None else read_users(settings.users)
        self._looked_at = time.monotonic()
        self._written_at = self._time_of_file()

    @property
    def open(self) -> bool:
        """Whether nobody has to sign in; pages say so."""
        return self._settings.console_is_open

    @property
    def users(self) -> Users:
        """Who may, as the file is now. A file that cannot be used any more leaves it as it was."""
        path = self._settings.users
        if path is not None and time.monotonic() - self._looked_at >= RELOAD_SECONDS:
            self._looked_at = time.monotonic()
            if (written_at := self._time_of_file()) != self._written_at:
                self._written_at = written_at
                try:
                    self._users = read_users(path)
                except SettingsError as error:
                    log.error("users and keys stay as they were: %s", "; ".join(error.problems))
        return self._users

    def of(self, request: HTTPConnection) -> Visitor | None:
        """Who asks; `None` if that is not known. Raises `AccessRefusedError` for what pretends to know."""
        if (given := request.headers.get("authorization")) is not None and not self.open:
            return self._by_token(given)
        if self.open:
            if not is_loopback(request):
                raise AccessRefusedError(403, "in the sandbox ask under 127.0.0.1 or localhost")
            return Visitor("sandbox", Role.ADMIN)
        return self._by_cookie(request) or self._by_proxy(request)

    def cookie_for(self, name: str) -> str:
        """The value of a new cookie of this user, who has proved to be it."""
        return self._serializer(name).dumps([name, secrets.token_urlsafe(9)])

    @property
    def how_to_enter(self) -> str:
        """What somebody is told of whom nothing is known."""
        if self._settings.users is None and self._settings.api_token is None:
            return (
                "it is closed: set VOICE_APP_USERS, and add somebody with `voice-app user add NAME`, "
                "or set VOICE_APP_API_TOKEN"
            )
        return "sign in, or send an API key as `Authorization: Bearer …`"

    def _by_token(self, given: str) -> Visitor:
        scheme, _, token = given.partition(" ")
        token, api_token = token.strip(), self._settings.api_token
        if scheme.lower() == "bearer" and token:
            if api_token is not None and hmac.compare_digest(
                token.encode(errors="replace"), api_token.get_secret_value().encode()
            ):
                return Visitor("api token", Role.ADMIN)
            if (found := self.users.key(token)) is not None:
                name, key = found
                if key.valid(datetime.now(UTC)):
                    return Visitor(f"key {name}", key.role)
                raise AccessRefusedError(401, f"the key {name} has expired on {key.expires}")
        raise AccessRefusedError(401, "the bearer token is missing or wrong")

    def _by_cookie(self, request: HTTPConnection) -> Visitor | None:
        cookie = request.cookies.get(COOKIE)
        if not cookie or len(cookie) > MAX_COOKIE or cookie.startswith("."):  # what is packed is none of ours
            return None
        # Whose it is said to be tells what it has to be signed with: a new password ends old sign-ins.
        _, said = URLSafeTimedSerializer(b"").loads_unsafe(cookie)
        name = said[0] if isinstance(said, list) and said and isinstance(said[0], str) else ""
        user = self.users.users.get(name)
        if user is None:
            return None
        try:
            self._serializer(name).loads(cookie, max_age=int(self._settings.sign_in_hours * 3600))
        except BadSignature:
            return None
        return Visitor(name, user.role, self._csrf(cookie), signed_in=True)

    def _by_proxy(self, request: HTTPConnection) -> Visitor | None:
        header, peer = self._settings.proxy_user_header, request.client
        name = request.headers.get(header or "", "")
        if not name or peer is None or not any(ip_address(peer.host) in net for net in self._networks):
            return None
        user = self.users.users.get(name)
        if user is None:
            raise AccessRefusedError(403, "the proxy names a user whom VOICE_APP_USERS does not have")
        return Visitor(name, user.role, self._csrf(f"proxy {name}"))

    def _serializer(self, name: str) -> URLSafeTimedSerializer:
        return URLSafeTimedSerializer(self._keys, salt=f"console {self.users.users[name].password}")

    def _csrf(self, of: str) -> str:
        return Signer(self._keys, salt="csrf").get_signature(of).decode()

    def _time_of_file(self) -> int:
        try:
            return self._settings.users.stat().st_mtime_ns if self._settings.users is not None else 0
        except OSError:
            return 0
