"""What a server runs with: Twilio's APIs or the sandbox's double of them, and the checks before a call."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator

import aiohttp

from voice_app.app import documents_of, scope, twilio_api
from voice_app.guard import Report, check_account
from voice_app.sandbox.twilio import (
    CONTROL_PATH,
    SUMMARY,
    SandboxAccount,
    WebhookSender,
    double_app,
)
from voice_app.sandbox.twilio.app import serve as serve_double
from voice_app.settings import Settings
from voice_app.twilio import TwilioApi
from voice_app.webhooks import INTELLIGENCE_RESULTS, ORCHESTRATOR_EVENTS

SECONDS_TO_INTRODUCE = 2.0


@contextlib.asynccontextmanager
async def environment(settings: Settings) -> AsyncIterator[tuple[Settings, TwilioApi]]:
    """The settings to run with, and Twilio's APIs. Without credentials: the sandbox and its doubles."""
    async with contextlib.AsyncExitStack() as stack:
        if settings.account_sid is None:
            settings = await stack.enter_async_context(_sandbox(settings.sandboxed()))
        http = await stack.enter_async_context(aiohttp.ClientSession())
        yield settings, twilio_api(settings, http)


@contextlib.asynccontextmanager
async def _sandbox(settings: Settings) -> AsyncIterator[Settings]:
    if settings.twilio_base_url is not None:
        yield settings
        return
    account, configuration_id = furnished(settings)
    async with WebhookSender(account), serve_double(double_app(account)) as base_url:
        yield settings.model_copy(
            update={"twilio_base_url": base_url, "conversation_configuration": configuration_id}
        )


def furnished(settings: Settings) -> tuple[SandboxAccount, str]:
    """The sandbox's account with all that calls need, and the id of its configuration."""
    account = SandboxAccount(settings.account_sid or "", settings.signing_tokens[0])
    configuration_id = _furnish(account, settings)
    _point_here(account, settings)
    return account, configuration_id


def _furnish(account: SandboxAccount, settings: Settings) -> str:
    """A configuration, with a memory and an operator, that tells us everything. Gives its id."""
    action = {"type": "WEBHOOK", "method": "POST", "url": settings.origin + INTELLIGENCE_RESULTS}
    rule = {
        "operators": [{"id": SUMMARY}],
        "triggers": [{"on": "CONVERSATION_END"}],
        "actions": [action],
    }
    intelligence = account.add_intelligence(rules=[rule])
    return account.add_configuration(
        settings.conversation_configuration,
        channelSettings={"VOICE": {"statusTimeouts": {"inactive": 5, "closed": 30}, "captureRules": []}},
        statusCallbacks=[{"url": settings.origin + ORCHESTRATOR_EVENTS, "method": "POST"}],
        memoryExtractionEnabled=True,
        intelligenceConfigurationIds=[intelligence["id"]],
    )


def _point_here(account: SandboxAccount, settings: Settings) -> None:
    """The account's number, set up as README.md tells to."""
    webhook = f"{settings.origin}/voice"
    account.add_number(
        settings.phone_number or "",
        voice_url=webhook,
        voice_fallback_url=f"{webhook}/fallback",
        status_callback=f"{webhook}/status",
    )


async def preflight(settings: Settings, api: TwilioApi) -> Report:
    """Everything that is checked before the first call: the templates, and STT that is billed once.

    Raises `SettingsError` for a file of numbers that cannot be used.
    """
    documents = documents_of(settings)
    return await check_account(api, scope(settings, documents), templates=documents.findings)


async def introduce(settings: Settings, base_url: str) -> None:
    """Tell the sandbox's account where its webhooks to our origin have to go."""
    if not settings.in_sandbox or settings.twilio_base_url is None:
        return
    timeout = aiohttp.ClientTimeout(total=SECONDS_TO_INTRODUCE)
    told = {"base": base_url, "origin": settings.origin}
    # A double that cannot be told sends no webhooks; calls work without them.
    with contextlib.suppress(aiohttp.ClientError, OSError, TimeoutError):
        async with aiohttp.ClientSession(timeout=timeout) as http:
            await http.put(f"{settings.twilio_base_url}{CONTROL_PATH}/network", json=told)
