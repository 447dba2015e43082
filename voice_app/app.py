"""Builds the parts of the server once, and mounts them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from voice_app import telemetry
from voice_app.agents.loader import load as load_agent
from voice_app.agents.protocol import Call
from voice_app.agents.toolbox import ToolRun
from voice_app.journal import Journal
from voice_app.journal.events import Acted
from voice_app.orchestrator import Conversations, Credentials, TwilioApi
from voice_app.relay.ticket import Tickets
from voice_app.settings import Settings, lines
from voice_app.twiml.templates import Context, Templates, default_folder
from voice_app.webhooks import Desk, Signatures, routes


def twilio_api(settings: Settings, http: aiohttp.ClientSession) -> TwilioApi:
    """Twilio's JSON APIs, with the account's credentials: the API key if there is one."""
    if settings.api_key is not None and settings.api_secret is not None:
        credentials = Credentials(settings.api_key, settings.api_secret.get_secret_value())
    else:
        token = settings.auth_token.get_secret_value() if settings.auth_token else ""
        credentials = Credentials(settings.account_sid or "", token)
    return TwilioApi(http, credentials, base_url=settings.twilio_base_url, region=settings.region)


def desk(settings: Settings, api: TwilioApi) -> Desk:
    """The parts that the webhooks work with.

    Raises `AgentError` and `SettingsError` for an agent or a file of numbers that cannot be used, and
    `JournalError` for a database URL that cannot be used.
    """
    templates = Templates(settings.templates or default_folder())
    journal = Journal(settings.database_url)

    def late(call: Call, run: ToolRun) -> None:
        journal.write(call.sid, Acted("late-tool", run.name))

    tokens = settings.signing_tokens
    shared_keys = {key: secret.get_secret_value() for key, secret in settings.webhook_shared_keys.items()}
    return Desk(
        settings=settings,
        lines=lines(settings),
        templates=templates,
        journal=journal,
        agent=load_agent(settings, late),
        signatures=Signatures(settings.origin, settings.socket_origin, tokens, shared_keys),
        tickets=Tickets(tokens, settings.relay_token_seconds),
        fallback=templates.render("fallback.xml", Context(reason="fallback")),
        conversations=Conversations(api) if settings.conversation_configuration else None,
    )


def build(parts: Desk) -> Starlette:
    """The ASGI application. Its lifespan opens and closes the journal."""

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        async with parts.journal:
            parts.ready = True
            yield
            parts.ready = False
            if (close := getattr(parts.agent, "close", None)) is not None:
                await close()

    async def healthz(request: Request) -> Response:
        return PlainTextResponse("ok\n")

    async def readyz(request: Request) -> Response:
        return PlainTextResponse("ready\n" if parts.ready else "not ready\n", 200 if parts.ready else 503)

    async def metrics(request: Request) -> Response:
        return Response(telemetry.metrics(), media_type="text/plain; version=0.0.4")

    async def sandbox(request: Request) -> Response:
        told = ("twilio_base_url", "conversation_configuration")
        return JSONResponse({name: getattr(parts.settings, name) for name in told})

    own = [Route("/healthz", healthz), Route("/readyz", readyz), Route("/metrics", metrics)]
    if parts.settings.in_sandbox:
        own.append(Route("/sandbox.json", sandbox))
    return Starlette(routes=[*own, *routes(parts)], lifespan=lifespan)
