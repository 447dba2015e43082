"""Where console and API are mounted."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import BaseRoute, Mount

from voice_app.console.access import Access, SecurityHeaders
from voice_app.console.api import api_routes
from voice_app.console.sign_in import SignInForm, sign_in_routes
from voice_app.runtime import Services

TEMPLATES: Final = Path(__file__).parent / "templates"


def console_routes(services: Services) -> list[BaseRoute]:
    """What people look at, and the API under it. Raises `SettingsError` for a bad file of users."""
    access = Access(services.settings)
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES), autoescape=True, undefined=StrictUndefined, auto_reload=False
    )

    def show_sign_in(request: Request, form: SignInForm) -> Response:
        return HTMLResponse(environment.get_template("sign-in.html").render(form=form))

    pages = sign_in_routes(services.settings, access, show_sign_in)
    return [
        Mount("/console", routes=pages, middleware=[Middleware(SecurityHeaders)]),
        *api_routes(services, access),
    ]
