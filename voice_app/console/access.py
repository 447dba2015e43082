"""Who may ask ``/api/…``: whoever has the token. What a wrong one gets, and how often that is told."""

from __future__ import annotations

import hmac
import logging
import time
from collections.abc import Awaitable, Callable
from typing import Final, TypeAlias

from pydantic import SecretStr
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from voice_app.telemetry import RepeatedLine, metrics

WRONG_A_MINUTE: Final = 20
"""So many wrong tokens are told apart from right ones; who tries more is asked to wait."""

Handler: TypeAlias = Callable[[Request], Awaitable[Response]]

log = logging.getLogger(__name__)


class Access:
    """Checks bearer tokens. ``token`` is the right one; without one everything is closed."""

    def __init__(self, token: SecretStr | None) -> None:
        self._wanted = None if token is None else token.get_secret_value().encode()
        self._wrong = None if token is None else _WrongTokens()

    def guarded(self, handler: Handler) -> Handler:
        """The handler, for those who may ask."""

        async def endpoint(request: Request) -> Response:
            return self._refusal(request) or await handler(request)

        return endpoint

    def _refusal(self, request: Request) -> Response | None:
        """Why a request is not answered; None if it is."""
        if self._wanted is None or self._wrong is None:
            return refused(403, "the API is closed: set VOICE_APP_API_TOKEN to open it")
        scheme, _, given = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer" and hmac.compare_digest(given.strip().encode(), self._wanted):
            return None
        return self._wrong.answer(request)


class _WrongTokens:
    """Counts them, all together: proxies hide who sends them, and the right one is always taken."""

    def __init__(self) -> None:
        from limits import RateLimitItemPerMinute  # slow to import, and most servers have no token
        from limits.storage import MemoryStorage
        from limits.strategies import FixedWindowRateLimiter

        self._limit = RateLimitItemPerMinute(WRONG_A_MINUTE)
        self._limiter = FixedWindowRateLimiter(MemoryStorage())
        self._line = RepeatedLine(log, "requests without the right bearer token")

    def answer(self, request: Request) -> Response:
        client = request.client.host if request.client else "an unknown address"
        self._line.warn(
            "refused %s %s of %s: the bearer token is missing or wrong",
            *(request.method, request.url.path, client),
        )
        metrics.REFUSED.labels("token").inc()
        if self._limiter.hit(self._limit):
            return refused(401, "the bearer token is missing or wrong", {"WWW-Authenticate": "Bearer"})
        again = max(1, round(self._limiter.get_window_stats(self._limit).reset_time - time.time()))
        return refused(
            429,
            f"too many requests came without the right bearer token: wait {again} s",
            {"Retry-After": f"{again}"},
        )


def refused(status: int, message: str, headers: dict[str, str] | None = None) -> Response:
    """The JSON that tells why a request was not done."""
    return JSONResponse({"error": message}, status, headers=headers)
