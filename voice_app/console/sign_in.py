"""Signing in and out, with a password.

``GET /console/sign-in`` shows the form, ``POST`` takes it (``name``, ``password``, ``next``), and
``POST /console/sign-out`` ends it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from functools import cached_property
from typing import TYPE_CHECKING, Final, NamedTuple

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from voice_app.console.access import SIGN_IN, Access
from voice_app.console.headers import form_of, is_loopback, same_origin
from voice_app.console.visitors import COOKIE, Visitor
from voice_app.settings import Role, Settings, Users, password_hasher
from voice_app.telemetry import RepeatedLine

if TYPE_CHECKING:
    from argon2 import PasswordHasher

HOME: Final = "/console/"
PER_NAME: Final = 10
PER_ADDRESS: Final = 60
"""Tries a minute for one name from one address, and from one address: a proxy may stand for many people."""
MAX_PASSWORD: Final = 1024
"""Characters. Longer ones are hashed by nobody's wish but an attacker's."""

log = logging.getLogger(__name__)


class SignInForm(NamedTuple):
    """What the form shows."""

    next: str
    """The page that is wanted, a path of the console."""
    name: str = ""
    problem: str = ""


ShowForm = Callable[[Request, SignInForm], Response]


def sign_in_routes(settings: Settings, access: Access, show: ShowForm) -> list[BaseRoute]:
    """Under ``/console``. ``show`` renders the form; the status of its response is set here."""
    gate = _Gate(access, takes_passwords=settings.users is not None)

    async def form(request: Request) -> Response:
        if access.visitors.open:
            return RedirectResponse(HOME, 303)
        return show(request, SignInForm(_inside(request.query_params.get("next", HOME))))

    async def sign_in(request: Request) -> Response:
        given = await form_of(request)
        name, wanted = given.get("name", ""), _inside(given.get("next", HOME))
        status, problem = 403, "This form was sent by a page of another site."
        if same_origin(request):
            status, problem = await gate.check(request, name, given.get("password", ""))
        if problem:
            response = show(request, SignInForm(wanted, name, problem))
            response.status_code = status
            return response
        log.info("console: %s has signed in", name)
        response = RedirectResponse(wanted, 303)
        response.set_cookie(
            COOKIE,
            access.visitors.cookie_for(name),
            max_age=int(settings.sign_in_hours * 3600),
            httponly=True,
            samesite="lax",
            secure=not is_loopback(request),
        )
        return response

    async def sign_out(request: Request, visitor: Visitor) -> Response:
        response = RedirectResponse(SIGN_IN, 303)
        response.delete_cookie(COOKIE, httponly=True, samesite="lax", secure=not is_loopback(request))
        return response

    return [
        Route("/sign-in", form, methods=["GET"]),
        Route("/sign-in", sign_in, methods=["POST"]),
        Route("/sign-out", access.page(Role.WATCH, sign_out), methods=["POST"]),
    ]


class _Gate:
    """Checks passwords: a few in a while, and one at a time beside the calls."""

    def __init__(self, access: Access, *, takes_passwords: bool) -> None:
        self._access = access
        self._turn = asyncio.Semaphore(1)
        self._line = RepeatedLine(log, "sign-ins to the console that failed")
        if takes_passwords:  # now, and not while calls wait for it
            _ = self._hasher, self._hits

    @cached_property
    def _hasher(self) -> PasswordHasher:
        return password_hasher()

    @cached_property
    def _hits(self) -> Callable[[int, str], bool]:
        """Counts one more of so many a minute; whether there may be one more."""
        from limits import RateLimitItemPerMinute  # slow to import, and most servers have no users
        from limits.storage import MemoryStorage
        from limits.strategies import MovingWindowRateLimiter

        limiter = MovingWindowRateLimiter(MemoryStorage())
        return lambda most, who: limiter.hit(RateLimitItemPerMinute(most), who)

    async def check(self, request: Request, name: str, password: str) -> tuple[int, str]:
        """What is wrong, with the status of the answer; an empty text if nothing is."""
        address = request.client.host if request.client is not None else ""
        if not self._hits(PER_ADDRESS, address) or not self._hits(PER_NAME, f"{address} {name[:64]}"):
            return 429, "Too many tries. Wait a minute, then try again."
        users = self._access.visitors.users
        user = users.users.get(name)
        hashed = user.password if user is not None else _of_nobody(users)
        right = await self._verify(hashed, password)
        if user is None or not right:
            self._line.warn("console: a sign-in from %s failed", address)
            return 401, "The name or the password is wrong."
        return 303, ""

    async def _verify(self, hashed: str, password: str) -> bool:
        from argon2.exceptions import InvalidHashError, VerificationError

        if len(password) > MAX_PASSWORD:
            return False
        try:
            async with self._turn:
                return await asyncio.to_thread(self._hasher.verify, hashed, password)
        except (VerificationError, InvalidHashError):
            return False


def _of_nobody(users: Users) -> str:
    """A hash that no password has and that is as dear as those of ``users``: names cannot be found out."""
    for user in users.users.values():
        return f"{user.password.rpartition('$')[0]}${'A' * 43}"
    return ""


def _inside(path: str) -> str:
    """A path of the console; its start where something else is given."""
    return path if path.startswith("/console/") and "\\" not in path and "//" not in path else HOME
