"""Who asks, and whether they may: API keys, signed cookies, a trusted proxy's header.

A route says which role it is for, and its handler is given the `Visitor`:

    access = Access(settings)
    Route("/console/calls", access.page(Role.WATCH, calls_page))
    Route("/api/v1/status", access.api(Role.WATCH, status))

Closed unless users or a key exist. In the sandbox, which listens on loopback only, it is open to whoever asks
under a name of loopback: a page of the world that the browser also shows does not (DNS rebinding).
"""

from __future__ import annotations

import hmac
import logging
import re
import secrets
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from ipaddress import ip_address, ip_network
from typing import Final
from urllib.parse import parse_qsl, quote, urlsplit

from itsdangerous import BadSignature, Signer, URLSafeTimedSerializer
from starlette.datastructures import MutableHeaders
from starlette.requests import HTTPConnection, Request
from starlette.responses import JSONResponse, PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from voice_app.runtime import Refusals
from voice_app.settings import SANDBOX_DOMAIN, Role, Settings, SettingsError, Users, read_users
from voice_app.webhooks import read_body

COOKIE: Final = "voice_app_console"
SIGN_IN: Final = "/console/sign-in"
CSRF_FIELD: Final = "csrf"
CSRF_HEADER: Final = "X-CSRF-Token"
WRONG_A_MINUTE: Final = 20
"""So many wrong tokens are told apart from right ones; who tries more is asked to wait."""
MAX_FORM: Final = 64 * 1024
"""Bytes."""
MAX_COOKIE: Final = 512
"""Characters. It is looked into before its signature is checked."""
RELOAD_SECONDS: Final = 1.0
"""How often the file of users is looked at: who is removed from it is out."""
SECURITY_HEADERS: Final[Mapping[str, str]] = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "img-src 'self' data:; media-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'none'",
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
_OF_PROXIES: Final = (
    "forwarded",
    "via",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-proto",
    "x-real-ip",
)
_SAFE: Final = frozenset({"GET", "HEAD"})
_LOOPBACK: Final = frozenset({"127.0.0.1", "localhost", "::1", SANDBOX_DOMAIN})
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


Handler = Callable[[Request, Visitor], Awaitable[Response]]
Endpoint = Callable[[Request], Awaitable[Response]]


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


class Access:
    """The gate of console and API.

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
        somebody = settings.users is not None or settings.api_token is not None
        self._wrong = _WrongTokens() if somebody else None

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

    # --- routes ----------------------------------------------------------------------------------

    def api(self, role: Role, handler: Handler) -> Endpoint:
        """An endpoint for programs: what is refused is told as JSON."""

        async def endpoint(request: Request) -> Response:
            try:
                visitor = await self.admit(request, role)
            except AccessRefusedError as error:
                return await self._refusal(request, error)
            response = await handler(request, visitor)
            response.headers.setdefault("Cache-Control", "no-store")
            return response

        return endpoint

    def page(
        self,
        role: Role,
        handler: Handler,
        refused: Callable[[Request, AccessRefusedError], Response] | None = None,
    ) -> Endpoint:
        """An endpoint for people: who has not signed in is sent to do so. ``refused`` shows a refusal."""

        async def endpoint(request: Request) -> Response:
            try:
                visitor = await self.admit(request, role)
            except AccessRefusedError as error:
                if error.status == 401:
                    return RedirectResponse(f"{SIGN_IN}?next={quote(_target(request))}", 303)
                return (
                    PlainTextResponse(f"{error}\n", error.status)
                    if refused is None
                    else refused(request, error)
                )
            response = await handler(request, visitor)
            response.headers.setdefault("Cache-Control", "no-store")
            return response

        return endpoint

    def near(self, role: Role, handler: Handler) -> Endpoint:
        """An endpoint that our own network asks without more, and everybody else as `api` has it."""
        from_afar = self.api(role, handler)

        async def endpoint(request: Request) -> Response:
            if _is_near(request):
                return await handler(request, Visitor("our network", role))
            return await from_afar(request)

        return endpoint

    async def admit(self, request: Request, role: Role) -> Visitor:
        """Who asks, if they may. Raises `AccessRefusedError`."""
        visitor = self.visitor(request)
        if visitor is None:
            raise AccessRefusedError(401, self._how_to_enter)
        if not visitor.may(role):
            raise AccessRefusedError(403, f"{visitor.name} has the role {visitor.role}: this needs {role}")
        if request.method not in _SAFE:
            await self._check_origin(request, visitor)
        return visitor

    def visitor(self, request: HTTPConnection) -> Visitor | None:
        """Who asks; `None` if that is not known. Raises `AccessRefusedError` for what pretends to know."""
        if (given := request.headers.get("authorization")) is not None and not self.open:
            return self._by_token(given)
        if self.open:
            if _host(request) not in _LOOPBACK:
                raise AccessRefusedError(403, "in the sandbox ask under 127.0.0.1 or localhost")
            return Visitor("sandbox", Role.ADMIN)
        return self._by_cookie(request) or self._by_proxy(request)

    async def _refusal(self, request: Request, error: AccessRefusedError) -> Response:
        if error.status == 401 and self._wrong is not None:
            return await self._wrong.answer(request, error)
        return api_error(error.status, str(error))

    # --- signing in ------------------------------------------------------------------------------

    def cookie_for(self, name: str) -> str:
        """The value of a new cookie of this user, who has proved to be it."""
        return self._serializer(name).dumps([name, secrets.token_urlsafe(9)])

    @property
    def _how_to_enter(self) -> str:
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

    async def _check_origin(self, request: Request, visitor: Visitor) -> None:
        """That a write was meant: no page of somebody else's has a browser send it."""
        if not visitor.csrf and "authorization" in request.headers and not self.open:
            return
        if not same_origin(request):
            raise AccessRefusedError(403, "it was sent by a page of another site")
        if visitor.csrf:
            given = request.headers.get(CSRF_HEADER) or (await form_of(request)).get(CSRF_FIELD, "")
            if not hmac.compare_digest(given.encode(errors="replace"), visitor.csrf.encode()):
                raise AccessRefusedError(
                    403, f"the CSRF token is missing or wrong: load the page again (or send {CSRF_HEADER})"
                )

    def _time_of_file(self) -> int:
        try:
            return self._settings.users.stat().st_mtime_ns if self._settings.users is not None else 0
        except OSError:
            return 0


class _WrongTokens:
    """Counts them, all together: proxies hide who sends them, and the right one is always taken."""

    def __init__(self) -> None:
        from limits import RateLimitItemPerMinute  # slow to import, and most servers have no token
        from limits.storage import MemoryStorage
        from limits.strategies import FixedWindowRateLimiter

        self._limit = RateLimitItemPerMinute(WRONG_A_MINUTE)
        self._limiter = FixedWindowRateLimiter(MemoryStorage())
        self._refusals = Refusals("token", log, "requests without the right bearer token")

    async def answer(self, request: Request, error: AccessRefusedError) -> Response:
        client = request.client.host if request.client else "an unknown address"
        await self._refusals.add(
            "refused %s %s of %s: the bearer token is missing or wrong",
            *(request.method, request.url.path, client),
        )
        if self._limiter.hit(self._limit):
            return api_error(401, str(error), {"WWW-Authenticate": "Bearer"})
        again = max(1, round(self._limiter.get_window_stats(self._limit).reset_time - time.time()))
        return api_error(
            429,
            f"too many requests came without the right bearer token: wait {again} s",
            {"Retry-After": f"{again}"},
        )


def api_error(status: int, message: str, headers: dict[str, str] | None = None) -> Response:
    """What a program is told that cannot have what it asks for."""
    return JSONResponse({"error": message}, status, headers=headers)


def _is_near(request: Request) -> bool:
    """Whether a private address asks, and no proxy or tunnel that does so for others."""
    if request.client is None or any(name in request.headers for name in _OF_PROXIES):
        return False
    try:
        return ip_address(request.client.host).is_private
    except ValueError:
        return False


def same_origin(request: HTTPConnection) -> bool:
    """Whether a page of ours sent this, or no page at all. Browsers say so and no page can change it."""
    if (site := request.headers.get("sec-fetch-site")) is not None:
        return site in ("same-origin", "none")
    origin = request.headers.get("origin")
    return origin is None or (urlsplit(origin).hostname or "") == _host(request)


async def form_of(request: Request) -> Mapping[str, str]:
    """The fields of a form; none if it is no form, or a large one. May be asked for again."""
    found: Mapping[str, str] | None = getattr(request.state, "form", None)
    if found is None:
        found = {}
        if request.headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
            body = await read_body(request, MAX_FORM) or b""
            found = dict(parse_qsl(body.decode(errors="replace"), keep_blank_values=True))
        request.state.form = found
    return found


def is_loopback(request: Request) -> bool:
    """Whether the browser calls us by a name of its own machine."""
    return _host(request) in _LOOPBACK


def _host(request: HTTPConnection) -> str:
    try:
        return (urlsplit(f"//{request.headers.get('host', '')}").hostname or "").lower()
    except ValueError:
        return ""


def _target(request: Request) -> str:
    """Where to go after the sign-in: the page that was asked for."""
    if request.method not in _SAFE:
        return "/console/"
    return request.url.path + (f"?{request.url.query}" if request.url.query else "")


class SecurityHeaders:
    """ASGI middleware: every answer of the console has `SECURITY_HEADERS`."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def sent(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in SECURITY_HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        await self._app(scope, receive, sent)
