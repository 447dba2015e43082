"""Builds the parts of the server once, and mounts them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from functools import partial

import aiohttp
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from voice_app import console, telemetry
from voice_app.agents.loader import load as load_agent
from voice_app.followups import Followups, Rhythm, tasks_of
from voice_app.guard import Allowance, CallInspector, Scope, Watch, check_account, named_in
from voice_app.handoff import Target, TargetError, from_addresses, from_file
from voice_app.handoff.targets import kind_of
from voice_app.journal import Journal
from voice_app.journal.retention import keep
from voice_app.relay.session_token import Tickets
from voice_app.settings import Settings, SettingsError, number_settings
from voice_app.twilio import Calls, Configurations, Conversations, Credentials, TwilioApi
from voice_app.twiml.templates import SERVED, Context, Templates, default_folder
from voice_app.webhooks import Desk, Directory, Lookout, Recalls, Signatures, routes
from voice_app.webhooks.admission import State
from voice_app.webhooks.desk import ORCHESTRATOR_EVENTS

SECONDS_TO_READ = 1.0
"""How long what happened on a call may take to be read: somebody is on the line."""


def twilio_api(settings: Settings, http: aiohttp.ClientSession) -> TwilioApi:
    """Twilio's JSON APIs, with the account's credentials: the API key if there is one."""
    if settings.api_key is not None and settings.api_secret is not None:
        credentials = Credentials(settings.api_key, settings.api_secret.get_secret_value())
    else:
        token = settings.auth_token.get_secret_value() if settings.auth_token else ""
        credentials = Credentials(settings.account_sid or "", token)
    return TwilioApi(http, credentials, base_url=settings.twilio_base_url, region=settings.region)


def scope(settings: Settings) -> Scope:
    """What the guard has to look at. Raises `SettingsError` for a file of numbers that cannot be used."""
    exceptions = number_settings(settings)

    def for_people(number: str) -> bool:
        return exceptions.get(number, settings).transcribe == "passive"

    templates = Templates(settings.templates or default_folder())
    served = [*SERVED, settings.template, *(line.template for line in exceptions.values())]
    people = [address.removeprefix("conference:") for target in targets(settings) for address in target.to]
    return Scope(
        configuration_id=settings.conversation_configuration,
        in_templates=named_in(templates.reachable(served).values()),
        account_sid=settings.account_sid or "",
        origin=settings.origin if settings.public_domain else "",
        numbers=tuple(filter(None, [settings.phone_number, *exceptions])),
        handoff_to=tuple(item for item in people if kind_of(item) in ("number", "sip", "client")),
        for_people=for_people,
        callback_paths=frozenset({ORCHESTRATOR_EVENTS}),
        allowances=tuple(map(Allowance.read, settings.guard_allow)),
        uses_memory=settings.has_memory,
        strict=settings.guard == "strict",
    )


def targets(settings: Settings) -> list[Target]:
    """Who takes calls over. Raises `SettingsError`."""
    try:
        if settings.handoff is not None:
            return from_file(settings.handoff)
        return from_addresses(settings.handoff_to)
    except TargetError as error:
        raise SettingsError([str(error)]) from None


def desk(settings: Settings, api: TwilioApi) -> Desk:
    """The parts that the webhooks work with.

    Raises `AgentError` and `SettingsError` for an agent or a file of numbers that cannot be used, and
    `JournalError` for a database URL that cannot be used.
    """
    named = settings.conversation_configuration
    templates = Templates(settings.templates or default_folder())
    journal = Journal(
        settings.database_url, spool=settings.spool, spool_mb=settings.spool_mb, read_s=SECONDS_TO_READ
    )

    tokens = settings.signing_tokens
    shared_keys = {key: secret.get_secret_value() for key, secret in settings.webhook_shared_keys.items()}
    calls = Calls(api, settings.account_sid or "")
    parts = Desk(
        settings=settings,
        lines=number_settings(settings),
        templates=templates,
        journal=journal,
        agent=load_agent(settings),
        signatures=Signatures(settings.origin, settings.socket_origin, tokens, shared_keys),
        tickets=Tickets(tokens, settings.relay_token_seconds),
        calls=calls,
        targets=targets(settings),
        fallback=templates.render("fallback.xml", Context(reason="fallback")),
        directory=Directory(journal),
        conversations=Conversations(api) if named else None,
        lookout=_lookout(api, journal, named),
        watch=Watch(partial(check_account, api, scope(settings)), seconds=settings.guard_seconds),
        recalls=Recalls(api, settings, journal.write) if settings.has_memory else None,
    )
    todo = tasks_of(settings, api, journal, calls, has_room=lambda: parts.admission.state is State.READY)
    parts.followups = Followups(
        journal, todo, calls, settings.database_url, Rhythm(pause=settings.followup_seconds)
    )
    return parts


def _lookout(api: TwilioApi, journal: Journal, named: str | None) -> Lookout | None:
    if not named:
        return None
    conversations = Conversations(api)
    return Lookout(conversations, CallInspector(conversations, Configurations(api), named), journal)


def _why_not(parts: Desk) -> Iterator[str]:
    """Why nothing is to be sent to this server."""
    if not parts.ready:
        yield "it starts, or has stopped"
    if parts.draining:
        yield "draining"
    yield from parts.watch.refusals


def build(parts: Desk) -> Starlette:
    """The ASGI application. Its lifespan is within that of the journal."""

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        parts.beside(parts.watch.run())
        if parts.settings.retention_days:
            parts.beside(keep(parts.journal, parts.settings.retention_days))
        parts.beside(parts.admission.watch())
        parts.beside(parts.presence.run())
        if parts.recalls is not None:
            parts.beside(parts.recalls.warm())
        parts.ready = True
        if parts.followups is not None:
            parts.followups.start()
        yield
        parts.ready = False
        await parts.stop_background()
        if parts.followups is not None:
            await parts.followups.aclose()
        await parts.presence.sign_off()
        if parts.recalls is not None:
            await parts.recalls.aclose()
        if (close := getattr(parts.agent, "close", None)) is not None:
            await close()

    async def healthz(request: Request) -> Response:
        return PlainTextResponse("ok\n")

    async def readyz(request: Request) -> Response:
        why_not = ", ".join(_why_not(parts))
        if why_not:
            return PlainTextResponse(f"not ready: {why_not}\n", 503)
        # A full server stays ready: what belongs to the calls that it has must reach it.
        full = parts.admission.reason
        return PlainTextResponse(f"ready, but takes no new calls: {full}\n" if full else "ready\n")

    async def metrics(request: Request) -> Response:
        return Response(telemetry.metrics(), media_type="text/plain; version=0.0.4")

    async def sandbox(request: Request) -> Response:
        told = ("twilio_base_url", "conversation_configuration")
        return JSONResponse({name: getattr(parts.settings, name) for name in told})

    own = [Route("/healthz", healthz), Route("/readyz", readyz), Route("/metrics", metrics)]
    if parts.settings.in_sandbox:
        own.append(Route("/sandbox.json", sandbox))
    return Starlette(routes=[*own, *routes(parts), *console.routes(parts)], lifespan=lifespan)
