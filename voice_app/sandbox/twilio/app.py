"""The double of Twilio's REST API as an ASGI application."""

from __future__ import annotations

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.routing import Mount

from voice_app.sandbox.twilio import (
    classic_api,
    configurations,
    control,
    conversations,
    intelligence,
    memory,
    numbers,
    recordings,
)
from voice_app.sandbox.twilio.account import Account
from voice_app.sandbox.twilio.errors import RefusedError
from voice_app.sandbox.twilio.middleware import DOOR, Gate, refused


def double(account: Account) -> Starlette:
    """Serve an account: ``/{product}/…`` as Twilio has it, and the phone's own door under ``/_sandbox``."""
    app = Starlette(
        routes=[
            Mount("/conversations", routes=[*configurations.ROUTES, *conversations.ROUTES]),
            Mount("/memory", routes=memory.ROUTES),
            Mount("/intelligence", routes=intelligence.ROUTES),
            Mount("/api", routes=[*numbers.ROUTES, *classic_api.ROUTES, *recordings.ROUTES]),
            Mount(DOOR, routes=[*control.ROUTES, *classic_api.DOOR_ROUTES]),
        ],
        middleware=[Middleware(Gate, account=account)],
        exception_handlers={RefusedError: refused, HTTPException: refused},
    )
    app.state.account = account
    return app
