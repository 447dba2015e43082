"""Where console and API are mounted."""

from __future__ import annotations

from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Mount, Route

from voice_app.console.access import Access
from voice_app.console.api import api_routes
from voice_app.console.call_page import call_routes
from voice_app.console.charts import figures_routes
from voice_app.console.headers import SecurityHeaders
from voice_app.console.health import Exposition
from voice_app.console.history import history_routes
from voice_app.console.live import live_routes
from voice_app.console.pages import Pages, TemplatesReady, static_files
from voice_app.console.phone_page import PhoneLine, phone_routes
from voice_app.console.sign_in import SignInForm, sign_in_routes
from voice_app.console.waiting_and_health import waiting_and_health_routes
from voice_app.runtime import Services
from voice_app.settings import Role


def console_routes(services: Services, phone: PhoneLine | None = None) -> list[BaseRoute]:
    """What people look at, and the API under it. ``phone``: the sandbox's.

    Raises:
        SettingsError: the file of users cannot be used.
    """
    access = Access(services.settings)
    pages = Pages(services, access)

    def show_sign_in(request: Request, form: SignInForm) -> Response:
        return pages.show(request, None, "sign-in.html", form=form)

    routes: list[BaseRoute] = [
        static_files(),
        *sign_in_routes(services.settings, access, show_sign_in),
        *live_routes(pages, services),
        *call_routes(pages, services),
        *history_routes(pages, services),
        *waiting_and_health_routes(pages, services),
        *figures_routes(pages, services),
    ]
    if phone is not None:
        routes += phone_routes(pages, services, access, phone)
    return [
        Route("/metrics", access.near(Role.WATCH, Exposition())),
        Mount(
            "/console", routes=routes, middleware=[Middleware(SecurityHeaders), Middleware(TemplatesReady)]
        ),
        *api_routes(services, access),
    ]
