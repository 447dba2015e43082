"""What somebody has to see to: callers who wait, ``/console/waiting``, and the server, ``/console/health``.

Whatever is done here is a plain form, and the answer to it leads back to the page.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute

from voice_app.console import health
from voice_app.console.headers import form_of
from voice_app.console.pages import Pages
from voice_app.console.visitors import Visitor
from voice_app.console.waiting import DAYS, voicemails, waiting
from voice_app.runtime import ActRefusedError, Services, Supervision
from voice_app.settings import Role
from voice_app.telemetry import metrics
from voice_app.twilio.alerts import meaning
from voice_app.webhooks import CALL_SID

WAITING: Final = "/console/waiting"
HEALTH: Final = "/console/health"
MOST_ALERTS: Final = 50
"""Of Twilio's Debugger, on the page."""


def waiting_and_health_routes(pages: Pages, services: Services) -> list[BaseRoute]:
    """Under ``/console``."""
    handlers = _WaitingAndHealth(pages, services)
    return [
        pages.route("/waiting", Role.WATCH, handlers.waiting),
        pages.route("/waiting", Role.ACT, handlers.see_to, "POST"),
        pages.route("/health", Role.WATCH, handlers.health),
        pages.route("/health", Role.ACT, handlers.check, "POST"),
    ]


class _WaitingAndHealth:
    def __init__(self, pages: Pages, services: Services) -> None:
        self._pages = pages
        self._services = services
        supervision = Supervision(services)

        async def done(call_sid: str, by: str) -> None:
            await supervision.write_down(call_sid, "done", by)

        async def stop(call_sid: str, by: str) -> None:
            await supervision.call_back(call_sid, by, stop=True)

        self._acts: dict[str, Callable[[str, str], Awaitable[None]]] = {
            "done": done,
            "call-back": supervision.call_back,
            "no-call-back": stop,
        }

    async def waiting(self, request: Request, visitor: Visitor) -> Response:
        journal, settings = self._services.journal, self._services.settings
        return self._pages.show(
            request,
            visitor,
            "waiting.html",
            waiting=await waiting(journal),
            messages=await voicemails(journal),
            days=DAYS,
            plays=settings.recordings is not None,
        )

    async def see_to(self, request: Request, visitor: Visitor) -> Response:
        form = await form_of(request)
        act, call_sid = self._acts.get(form.get("act", "")), form.get("call_sid", "")
        if act is None or CALL_SID.fullmatch(call_sid) is None:
            raise HTTPException(400, "It says neither what is to be done nor for which call.")
        try:
            await act(call_sid, visitor.name)
        except ActRefusedError as error:
            raise HTTPException(error.status, f"{error}.") from None
        return RedirectResponse(WAITING, 303)

    async def health(self, request: Request, visitor: Visitor) -> Response:
        report = self._services.watch.report
        alerts = [] if report is None else list(report.snapshot.alerts or ())[:MOST_ALERTS]
        return self._pages.show(
            request,
            visitor,
            "health.html",
            server=health.status(self._services),
            found=health.found_now(report),
            numbers=health.numbers(self._services),
            alerts=[(alert, meaning(alert.code)) for alert in alerts],
            model_errors=sorted(metrics.MODEL_ERRORS.counted().items()),
        )

    async def check(self, request: Request, visitor: Visitor) -> Response:
        await self._services.watch.check()
        return RedirectResponse(HEALTH, 303)
