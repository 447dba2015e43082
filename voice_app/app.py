"""Builds the parts of the server once, and mounts them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Container, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager, suppress
from functools import partial
from typing import Any, Final, TypeAlias

import aiohttp
from starlette import types
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import BaseRoute, Route

from voice_app import console
from voice_app.agents import Agent, hook
from voice_app.agents.loader import AgentError, load_answer, load_named
from voice_app.agents.loader import load as load_agent
from voice_app.calls import price_list
from voice_app.console import PhoneLine
from voice_app.followups import CallbackRules, Followups, Rhythm, tasks_of
from voice_app.followups.erasure import AtTwilio
from voice_app.guard import Allowance, Report, Scope, Watch, check_account, named_in
from voice_app.handoff import Target, TargetError, from_addresses, from_file
from voice_app.handoff.targets import kind_of
from voice_app.journal import Journal
from voice_app.journal.upkeep import index_missed, keep
from voice_app.relay.session_token import Tickets
from voice_app.runtime import (
    Admission,
    AnswerHook,
    BackgroundTasks,
    CallerMemory,
    CallRegistry,
    ConversationIndex,
    ConversationMonitor,
    DayBudget,
    HttpAnswerHook,
    LoopWatchdog,
    NamedAgent,
    Peers,
    ProcessGauges,
    Refusals,
    Services,
    Supervision,
    note_cost,
)
from voice_app.runtime.addresses import ORCHESTRATOR_EVENTS, JoinLinks
from voice_app.settings import (
    SANDBOX_ACCOUNT_SID,
    NumberSettings,
    Settings,
    SettingsError,
    agent_settings,
    number_settings,
    read_users,
    webhook_key,
)
from voice_app.twilio import Calls, Configurations, Conversations, Credentials, TwilioApi
from voice_app.twilio.erasure import Erasure
from voice_app.twiml import VOCABULARY, CheckedTemplates, Documents, Vocabulary, default_folder
from voice_app.webhooks import DirectRoutes, webhook_routes

log = logging.getLogger(__name__)

Send: TypeAlias = Callable[[dict[str, Any]], Awaitable[None]]
OWN_AGENT: Final = "default"
"""The variant that is the number's own agent."""
READ_SECONDS: Final = 1.0
"""How long the events of a call may take to be read: somebody is on the line."""


def twilio_api(settings: Settings, http: aiohttp.ClientSession) -> TwilioApi:
    """Twilio's JSON APIs, with the account's credentials: the API key if there is one.

    The sandbox's account has none: a key without an account is left from something else.
    """
    has_key = settings.account_sid != SANDBOX_ACCOUNT_SID
    if has_key and settings.api_key is not None and settings.api_secret is not None:
        credentials = Credentials(settings.api_key, settings.api_secret.get_secret_value())
    else:
        token = settings.auth_token.get_secret_value() if settings.auth_token else ""
        credentials = Credentials(settings.account_sid or "", token)
    return TwilioApi(
        http, credentials, base_url=settings.twilio_base_url, region=settings.region, edge=settings.edge
    )


def documents_of(settings: Settings, checked: CheckedTemplates | None = None) -> Documents:
    """The documents that calls are answered with, checked. Raises `SettingsError` for bad numbers.

    ``checked`` is what the parent of several workers has read and checked for all of them.
    """
    return Documents(
        settings.templates or default_folder(),
        {"": settings, **number_settings(settings)},
        vocabulary=vocabulary_of(settings),
        checked=checked,
    )


def vocabulary_of(settings: Settings) -> Vocabulary:
    """What TwiML may have in it, with what the settings allow. Raises `SettingsError` for no name."""
    try:
        return VOCABULARY.allowing(settings.allow_attributes, settings.allow_elements)
    except ValueError as error:
        raise SettingsError([f"VOICE_APP_ALLOW_ELEMENTS or VOICE_APP_ALLOW_ATTRIBUTES: {error}"]) from None


def scope(settings: Settings, documents: Documents) -> Scope:
    """What the guard has to look at. Raises `SettingsError` for a file of numbers that cannot be used."""
    exceptions = number_settings(settings)

    def for_people(number: str) -> bool:
        return exceptions.get(number, settings).transcribe == "passive"

    reached = [*targets(settings), *(item for of in _targets_of(settings).values() for item in of)]
    people = dict.fromkeys(address.removeprefix("conference:") for target in reached for address in target.to)
    return Scope(
        configuration_id=settings.conversation_configuration,
        in_templates=named_in(documents.texts),
        of_numbers={
            number: line.conversation_configuration
            for number, line in exceptions.items()
            if line.conversation_configuration not in (None, settings.conversation_configuration)
        },
        account_sid=settings.account_sid or "",
        origin=settings.origin if settings.public_domain else "",
        numbers=tuple(filter(None, [settings.phone_number, *exceptions])),
        handoff_to=tuple(item for item in people if kind_of(item) in ("number", "sip", "client")),
        for_people=for_people,
        callback_paths=frozenset({ORCHESTRATOR_EVENTS}),
        allowances=tuple(map(Allowance.read, settings.guard_allow)),
        uses_memory=bool(settings.memory_seconds and _configurations(settings, documents)),
        strict=settings.guard == "strict",
        region=settings.region or "",
    )


def targets(settings: Settings) -> list[Target]:
    """Who takes calls over. Raises `SettingsError`."""
    try:
        if settings.handoff is not None:
            return from_file(settings.handoff)
        return from_addresses(settings.handoff_to)
    except TargetError as error:
        raise SettingsError([str(error)]) from None


def build_services(settings: Settings, api: TwilioApi, documents: Documents | None = None) -> Services:
    """The parts of one server.

    Raises:
        AgentError: the agent cannot be used.
        SettingsError: the file of numbers, of targets, or of users cannot be used.
        JournalError: the database's URL cannot be used.
    """
    if settings.users is not None:
        read_users(settings.users)  # what is wrong is told before anything is started
    lines = number_settings(settings)
    documents = documents or documents_of(settings)
    agents = _agents(settings, lines, documents)
    agent = agents.pop("")
    journal = Journal(
        settings.database_url, spool=settings.spool, spool_mb=settings.spool_mb, read_s=READ_SECONDS
    )
    calls, background = Calls(api, settings.account_sid or ""), BackgroundTasks()
    registry = CallRegistry()
    watch = Watch(
        _looking(settings, api, documents),
        seconds=settings.guard_seconds,
        refuse=settings.guard_running == "refuse",
    )
    admission = Admission(
        registry,
        max_calls=settings.max_calls,
        max_lag_ms=settings.max_lag_ms,
        refusal=lambda: watch.alarm if watch.refusing else "",
    )
    prices = price_list(settings)
    callbacks = CallbackRules(settings)
    tasks = tasks_of(
        settings,
        api,
        journal,
        calls,
        partial(note_cost, journal, prices),
        admission,
        callbacks,
        configured=bool(_configurations(settings, documents)),
    )
    conversations = Conversations(api)
    # A named agent may have a call of any number.
    remembering = settings.model_copy(
        update={"conversation_configuration": next(iter(documents.named.values()), None)}
    )
    named_settings = agent_settings(settings)
    _check_variants({"": settings, **lines}, named_settings)
    rhythm = Rhythm(pause=settings.followup_seconds)
    return Services(
        settings=settings,
        lines=lines,
        documents=documents,
        journal=journal,
        agent=agent,
        tickets=Tickets(settings.signing_tokens, settings.relay_token_seconds),
        watch=watch,
        calls=calls,
        targets=targets(settings),
        agents=agents,
        targets_of_numbers=_targets_of(settings),
        prices=prices,
        join_links=JoinLinks(settings),
        at_twilio=partial(
            AtTwilio, Erasure(api, settings.account_sid or ""), frozenset(scope(settings, documents).named)
        ),
        registry=registry,
        admission=admission,
        peers=Peers(journal, admission),
        index=ConversationIndex(journal),
        background=background,
        callbacks=callbacks,
        followups=Followups(journal, tasks, calls, settings.database_url, rhythm),
        named_agents={
            name: NamedAgent(load_named(remembering, named), named) for name, named in named_settings.items()
        },
        answer_hooks=_answer_hooks(settings, lines, agent, agents),
        conversations=conversations,
        monitor=ConversationMonitor(conversations, Configurations(api), journal),
        memory=CallerMemory(api, settings, journal.write, background) if settings.memory_seconds else None,
    )


def _targets_of(settings: Settings) -> dict[str, list[Target]]:
    """Who takes calls over, of numbers where that differs from the rest. Raises `SettingsError`."""
    found: dict[str, list[Target]] = {}
    for number, line in number_settings(settings).items():
        if line.handoff_to != settings.handoff_to:
            with _blaming(number):
                own = settings.model_copy(update={"handoff_to": line.handoff_to, "handoff": None})
                found[number] = targets(own)
    return found


@contextmanager
def _blaming(number: str) -> Iterator[None]:
    """What cannot be used stands in the table of this number: whoever reads it should look there."""
    place = f"VOICE_APP_NUMBERS, [{number}]: "
    try:
        yield
    except AgentError as error:
        raise AgentError(f"{place if number else ''}{error}") from None
    except SettingsError as error:
        raise SettingsError([f"{place}{problem}" for problem in error.problems]) from None


def _agents(
    settings: Settings, lines: Mapping[str, NumberSettings], documents: Documents
) -> dict[str, Agent]:
    """The agent of each number, and under ``""`` that of all others. Numbers that want the same share it."""
    made: dict[tuple[object, ...], Agent] = {}
    found: dict[str, Agent] = {}
    for number, line in {"": settings, **lines}.items():
        own = {name: getattr(line, name) for name in ("agent", "receptionist", "prompt")}
        # An agent with a model can note facts where calls have a memory.
        own["conversation_configuration"] = documents.named.get(number)
        wanted = settings.model_copy(update=own)
        key = (wanted.agent, wanted.receptionist, wanted.prompt, wanted.has_memory)
        if key not in made:
            with _blaming(number):
                made[key] = load_agent(wanted)
        found[number] = made[key]
    return found


def _check_variants(lines: Mapping[str, NumberSettings], named: Container[str]) -> None:
    """Raises `SettingsError` for a variant that is no agent."""
    for number, line in lines.items():
        unknown = [name for name in line.variants if name not in named and name != OWN_AGENT]
        if unknown:
            with _blaming(number):
                told = f"VOICE_APP_VARIANTS: there is no agent {unknown[0]} in VOICE_APP_AGENTS"
                raise SettingsError([f"{told}; name one of its tables, or {OWN_AGENT} for VOICE_APP_AGENT"])


def _answer_hooks(
    settings: Settings, lines: Mapping[str, NumberSettings], agent: Agent, agents: Mapping[str, Agent]
) -> dict[str, AnswerHook]:
    """Who decides how calls are answered, by number; those under an empty one are for every other."""
    if (
        settings.answer_hook is not None
        and settings.answer_secret is not None
        and "://" in settings.answer_hook
    ):
        by_http = HttpAnswerHook(settings.answer_hook, webhook_key(settings.answer_secret.get_secret_value()))
        return dict.fromkeys(["", *lines], by_http)
    hooks: dict[str, AnswerHook | None] = {"": load_answer(settings, agent)}
    for number, line in lines.items():
        of_number = settings.model_copy(update={"agent": line.agent})
        hooks[number] = load_answer(of_number, agents.get(number, agent))
    return {number: hook for number, hook in hooks.items() if hook is not None}


def _looking(settings: Settings, api: TwilioApi, documents: Documents) -> Callable[[], Awaitable[Report]]:
    """The guard's look at what is served now."""
    return lambda: check_account(api, scope(settings, documents), templates=documents.findings)


def _configurations(settings: Settings, documents: Documents) -> frozenset[str]:
    """Every configuration that a document may name: the settings', a number's own, a template's."""
    lines = [settings, *number_settings(settings).values()]
    of_lines = (line.conversation_configuration for line in lines)
    return frozenset(filter(None, (*of_lines, *named_in(documents.texts))))


def build(services: Services) -> Starlette:
    """The ASGI application. Its lifespan is within that of the journal."""
    started = asyncio.Event()
    watchdog = LoopWatchdog()

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        watchdog.start()
        _start(services)
        await services.peers.tell("is there")  # one that stops sends its calls here from now on
        started.set()
        yield
        started.clear()
        await _stop(services)
        watchdog.stop()

    async def healthz(request: Request) -> Response:
        return PlainTextResponse("ok\n")

    async def readyz(request: Request) -> Response:
        reasons = [] if started.is_set() else ["it starts, or has stopped"]
        if services.admission.draining:
            reasons.append("draining")
        if reasons:
            return PlainTextResponse(f"not ready: {', '.join(reasons)}\n", 503)
        # A full server stays ready: what belongs to the calls that it has must reach it.
        if closed := services.admission.reason:
            return PlainTextResponse(f"ready, but takes no new calls: {closed}\n")
        alarm = services.watch.alarm
        return PlainTextResponse(f"ready, but {alarm}\n" if alarm else "ready\n")

    async def sandbox(request: Request) -> Response:
        told = services.settings
        return JSONResponse(
            {
                "twilio_base_url": told.twilio_base_url,
                "conversation_configuration": told.conversation_configuration,
                "allow_attributes": sorted(told.allow_attributes),
                "allow_elements": sorted(told.allow_elements),
            }
        )

    strangers = Refusals("path", log, "requests for what there is not")

    async def nothing_there(request: Request, error: Exception) -> Response:
        await strangers.add("refused %s %s: there is no such route", request.method, request.url.path)
        return PlainTextResponse("Not Found", 404)

    own = [Route("/healthz", healthz), Route("/readyz", readyz)]
    if services.settings.in_sandbox:
        own.append(Route("/sandbox.json", sandbox))
    routes, direct_routes = webhook_routes(services)
    all_routes = [*own, *routes, *console.console_routes(services, _phone(services.settings))]
    return _Application(direct_routes, all_routes, lifespan, nothing_there)


def _phone(settings: Settings) -> PhoneLine | None:
    """The sandbox's phone, for its page; `None` where there is no sandbox."""
    if not settings.in_sandbox:
        return None

    async def place(base_url: str, incoming: AsyncIterator[str], send: Send) -> None:
        from voice_app.sandbox.network import Network
        from voice_app.sandbox.phone import Phone
        from voice_app.sandbox.phone.booth import PhoneBooth

        async with Phone(
            Network(base_url, settings.origin, settings.signing_tokens[0]),
            account_sid=settings.account_sid or "",
            number=settings.phone_number or "",
            twilio_base_url=settings.twilio_base_url,
            vocabulary=vocabulary_of(settings),
        ) as phone:
            await PhoneBooth(phone, settings.origin).run(incoming, send)

    return place


class _Application(Starlette):
    """Starlette, but for what Twilio asks."""

    def __init__(
        self,
        direct_routes: DirectRoutes,
        routes: Sequence[BaseRoute],
        lifespan: Callable[[Starlette], AbstractAsyncContextManager[None]],
        nothing_there: Callable[[Request, Exception], Awaitable[Response]],
    ) -> None:
        super().__init__(routes=routes, lifespan=lifespan, exception_handlers={404: nothing_there})
        self._direct_routes = direct_routes

    async def __call__(self, scope: types.Scope, receive: types.Receive, send: types.Send) -> None:
        with suppress(ClientDisconnect):  # who has gone in the middle of a request wants no answer
            await (self._direct_routes.find(scope) or super().__call__)(scope, receive, send)


def _start(services: Services) -> None:
    """Begin what goes on beside requests."""
    spawn, settings = services.background.spawn, services.settings
    spawn(services.watch.run(), "guard")
    if settings.retention_days:
        spawn(keep(services.journal, settings.retention_days), "retention")
    spawn(index_missed(services.journal), "words that no index has")
    spawn(services.admission.watch(), "admission")
    spawn(services.peers.run(), "peers")
    spawn(Supervision(services).run(), "acts of people on calls")
    gauges = ProcessGauges(services.registry, services.peers, settings.max_calls)
    spawn(gauges.run(), "gauges")
    if settings.budget_day:
        alarm = partial(services.watch.tell, "budget")
        budget = DayBudget(services.journal, settings.budget_day, services.prices.currency, alarm)
        spawn(budget.run(), "budget")
    if services.memory is not None:
        for named in set(services.documents.named.values()):
            spawn(services.memory.warm(named), "memory store")
    services.followups.start()


async def _stop(services: Services) -> None:
    await services.background.aclose()
    await services.followups.aclose()
    await services.peers.sign_off()
    named = (found.agent for found in services.named_agents.values())
    for agent in {id(agent): agent for agent in (services.agent, *services.agents.values(), *named)}.values():
        if (close := getattr(agent, "close", None)) is not None:
            await hook(close())
    for answers in services.answer_hooks.values():
        if isinstance(answers, HttpAnswerHook):
            await answers.close()
