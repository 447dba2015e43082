"""How a page of the console is made: a template, with what every page shows of the visitor and the server.

    pages = Pages(services, access)
    pages.route("/calls", Role.WATCH, calls_page)          # under /console

    async def calls_page(request: Request, visitor: Visitor) -> Response:
        return pages.show(request, visitor, "calls.html", calls=...)

A handler may raise `HTTPException` (404 …) or `JournalError`: both are shown as a page. Templates have the
filters below, beside `visitor` (`visitor.may("act")`), `csrf`, `alarm` and `now`; whatever has an address of
a caller in it goes through ``| shown``. `_parts.html` has what pages are put together from.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
import time
from collections.abc import Awaitable
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any, Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined, pass_context
from jinja2.runtime import Context
from markupsafe import Markup
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Receive, Scope, Send

from voice_app.calls import HIDDEN_WORDS, pressed
from voice_app.console.access import Access, Endpoint, Handler
from voice_app.console.visitors import AccessRefusedError, Visitor
from voice_app.journal import JournalError
from voice_app.runtime import Services
from voice_app.settings import Role

_FOLDER: Final = Path(__file__).parent
_STATIC: Final = _FOLDER / "static"


class Pages:
    """Makes the pages of one server."""

    def __init__(self, services: Services, access: Access) -> None:
        self._services = services
        self._access = access

    def route(self, path: str, role: Role, handler: Handler, method: str = "GET") -> Route:
        """A page at this path under ``/console``, for this role."""

        async def handled(request: Request, visitor: Visitor) -> Response:
            return await self._answer(request, visitor, handler(request, visitor))

        return Route(path, self._access.page(role, handled, self._refused), methods=[method])

    def guarded(self, endpoint: Endpoint) -> Endpoint:
        """A page for whoever has its link: what goes wrong is shown, and nobody keeps it."""

        async def handled(request: Request) -> Response:
            response = await self._answer(request, None, endpoint(request))
            response.headers.setdefault("Cache-Control", "no-store")
            return response

        return handled

    async def _answer(
        self, request: Request, visitor: Visitor | None, answer: Awaitable[Response]
    ) -> Response:
        try:
            return await answer
        except HTTPException as error:
            return self._problem(request, visitor, error.status_code, error.detail)
        except JournalError as error:
            told = f"The journal cannot be read, so try again in a moment: {error}"
            return self._problem(request, visitor, 503, told)

    def show(
        self, request: Request, visitor: Visitor | None, template: str, status: int = 200, **context: Any
    ) -> Response:
        """The page that this template makes. Nobody has signed in where there is no ``visitor``."""
        common = {
            "visitor": visitor,
            "nav": visitor is not None,
            "csrf": "" if visitor is None else visitor.csrf,
            "open": self._access.visitors.open,
            "path": request.url.path,
            "alarm": "" if visitor is None else self._services.watch.alarm,
            "now": time.time(),
            "sandbox": self._services.settings.in_sandbox,
        }
        return HTMLResponse(_templates().get_template(template).render(common | context), status)

    def _refused(self, request: Request, error: AccessRefusedError) -> Response:
        return self._problem(request, None, error.status, f"{error}.")

    def _problem(self, request: Request, visitor: Visitor | None, status: int, text: str) -> Response:
        return self.show(request, visitor, "problem.html", status, problem=text)


@cache
def _templates() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(_FOLDER / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        auto_reload=False,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "shown": _shown,
        "as_said": as_said,
        "clock": clock,
        "date_time": date_time,
        "since": since,
        "duration": duration,
        "ms": milliseconds,
    }
    environment.globals["static"] = {path.name: _versioned(path) for path in _STATIC.iterdir()}
    return environment


class TemplatesReady:
    """ASGI middleware: the first page waits until all templates are compiled, in a thread. Calls do not."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._ready = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if not self._ready:
            await asyncio.to_thread(_compile)
            self._ready = True
        await self._app(scope, receive, send)


def _compile() -> None:
    for name in _templates().list_templates():
        _templates().get_template(name)


def static_files() -> BaseRoute:
    """``/console/static``: style sheet and module. Kept by browsers: what is new has a new address."""
    return Mount("/static", _Kept(directory=_STATIC))


class _Kept(StaticFiles):
    def file_response(self, *args: Any, **kwargs: Any) -> Response:
        response = super().file_response(*args, **kwargs)
        response.headers["Cache-Control"] = "public, max-age=31536000, immutable"
        return response


def _versioned(path: Path) -> str:
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return f"/console/static/{path.name}?v={digest[:12]}"


# --- filters --------------------------------------------------------------------------------------


@pass_context
def _shown(context: Context, text: str) -> str:
    """Text as this visitor may see it: for some the numbers in it are masked."""
    visitor: Visitor = context["visitor"]
    return visitor.shown(text)


def as_said(text: str) -> str | Markup:
    """A line of a dialogue: keys as keys, and what is a secret as dots."""
    if text == HIDDEN_WORDS or text == pressed(""):
        return Markup('<kbd aria-label="hidden">••••</kbd>')
    keys = re.fullmatch(r"\(pressed (.*)\)", text)
    return text if keys is None else Markup("<kbd>{}</kbd>").format(keys[1])


def clock(at: float) -> Markup:
    """A time of day; ``at``: seconds since the epoch. The module writes all times in the visitor's zone."""
    return _time(at, "clock", "%H:%M:%S UTC")


def date_time(at: float) -> Markup:
    """A day and the time."""
    return _time(at, "date-time", "%Y-%m-%d %H:%M UTC")


def since(at: float) -> Markup:
    """How long ago it is; the module counts on."""
    return _time(at, "since", duration(time.time() - at))


def _time(at: float, shown_as: str, form: str) -> Markup:
    moment = datetime.fromtimestamp(at, UTC)
    return Markup('<time datetime="{}" data-time="{}">{}</time>').format(
        moment.isoformat(timespec="milliseconds"), shown_as, moment.strftime(form)
    )


def duration(seconds: float | None) -> str:
    """``1:05``, ``1:02:03``; a dash where it is not known."""
    if seconds is None:
        return "–"
    minutes, rest = divmod(max(0, int(seconds)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def milliseconds(value: float | None) -> str:
    """``320 ms``, ``1.2 s``; a dash where it is not known."""
    if value is None:
        return "–"
    return f"{value:.0f} ms" if value < 1000 else f"{value / 1000:.1f} s"
