"""Who may: a route says which role it is for, and its handler is given the `Visitor`.

    access = Access(settings)
    Route("/console/calls", access.page(Role.WATCH, calls_page))
    Route("/api/v1/status", access.api(Role.WATCH, status))

Closed unless users or a key exist. In the sandbox, which listens on loopback only, it is open to whoever asks
under a name of loopback: a page of the world that the browser also shows does not (DNS rebinding).
"""

from __future__ import annotations

import hmac
import logging
import time
from collections.abc import Awaitable, Callable
from typing import Final
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response

from voice_app.console.headers import SAFE, api_error, form_of, is_near, same_origin
from voice_app.console.visitors import AccessRefusedError, Visitor, Visitors
from voice_app.runtime import Refusals
from voice_app.settings import Role, Settings

SIGN_IN: Final = "/console/sign-in"
CSRF_FIELD: Final = "csrf"
CSRF_HEADER: Final = "X-CSRF-Token"
WRONG_A_MINUTE: Final = 20
"""So many wrong tokens are told apart from right ones; who tries more is asked to wait."""

log = logging.getLogger(__name__)


Handler = Callable[[Request, Visitor], Awaitable[Response]]
Endpoint = Callable[[Request], Awaitable[Response]]


class Access:
    """The gate of console and API.

    Raises:
        SettingsError: the file of users cannot be used.
    """

    def __init__(self, settings: Settings) -> None:
        self.visitors: Final = Visitors(settings)
        somebody = settings.users is not None or settings.api_token is not None
        self._wrong = _WrongTokens() if somebody else None

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
            if is_near(request):
                return await handler(request, Visitor("our network", role))
            return await from_afar(request)

        return endpoint

    async def admit(self, request: Request, role: Role) -> Visitor:
        """Who asks, if they may. Raises `AccessRefusedError`."""
        visitor = self.visitors.of(request)
        if visitor is None:
            raise AccessRefusedError(401, self.visitors.how_to_enter)
        if not visitor.may(role):
            raise AccessRefusedError(403, f"{visitor.name} has the role {visitor.role}: this needs {role}")
        if request.method not in SAFE:
            await self._check_origin(request, visitor)
        return visitor

    async def _check_origin(self, request: Request, visitor: Visitor) -> None:
        """That a write was meant: no page of somebody else's has a browser send it."""
        if not visitor.csrf and "authorization" in request.headers and not self.visitors.open:
            return
        if not same_origin(request):
            raise AccessRefusedError(403, "it was sent by a page of another site")
        if visitor.csrf:
            given = request.headers.get(CSRF_HEADER) or (await form_of(request)).get(CSRF_FIELD, "")
            if not hmac.compare_digest(given.encode(errors="replace"), visitor.csrf.encode()):
                raise AccessRefusedError(
                    403, f"the CSRF token is missing or wrong: load the page again (or send {CSRF_HEADER})"
                )

    async def _refusal(self, request: Request, error: AccessRefusedError) -> Response:
        if error.status == 401 and self._wrong is not None:
            return await self._wrong.answer(request, error)
        return api_error(error.status, str(error))


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


def _target(request: Request) -> str:
    """Where to go after the sign-in: the page that was asked for."""
    if request.method not in SAFE:
        return "/console/"
    return request.url.path + (f"?{request.url.query}" if request.url.query else "")
