"""The sandbox beside a server that has no account: one of the double's, with all that calls need."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from typing import Final

import aiohttp

from voice_app.runtime.addresses import INTELLIGENCE_RESULTS, ORCHESTRATOR_EVENTS
from voice_app.sandbox.twilio import (
    CONTROL_PATH,
    SUMMARY,
    Behaviour,
    SandboxAccount,
    WebhookSender,
    double_app,
)
from voice_app.sandbox.twilio.app import serve
from voice_app.settings import E164, Settings, number_settings

INTRODUCE_SECONDS: Final = 2.0


@contextlib.asynccontextmanager
async def sandboxed(settings: Settings) -> AsyncIterator[Settings]:
    """The settings for the sandbox. Its APIs are served while the block runs, unless others serve them."""
    settings = settings.sandboxed()
    if settings.twilio_base_url is not None:
        yield settings
        return
    account, configuration_id = furnished(settings)
    async with WebhookSender(account), serve(double_app(account)) as base_url:
        yield settings.model_copy(
            update={"twilio_base_url": base_url, "conversation_configuration": configuration_id}
        )


def furnished(settings: Settings) -> tuple[SandboxAccount, str]:
    """The sandbox's account with all that calls need, and the id of its configuration.

    Raises:
        SettingsError: the file of numbers cannot be used.
    """
    at_once = Behaviour(retry_after=0)  # who changes a configuration has nothing to wait for
    account = SandboxAccount(settings.account_sid or "", settings.signing_tokens[0], behaviour=at_once)
    numbers = number_settings(settings)
    intelligence = _intelligence(account, settings)
    configuration_id = _configuration(account, settings, settings.conversation_configuration, intelligence)
    others = {line.conversation_configuration for line in numbers.values()}
    for other in sorted(filter(None, others - {settings.conversation_configuration})):
        _configuration(account, settings, other, intelligence)
    for number in dict.fromkeys([settings.phone_number or "", *numbers]):
        if E164.fullmatch(number):
            _point_here(account, settings, number)
    return account, configuration_id


def _intelligence(account: SandboxAccount, settings: Settings) -> str:
    """An operator that sums calls up, and tells us. Gives the id of its configuration."""
    action = {"type": "WEBHOOK", "method": "POST", "url": settings.origin + INTELLIGENCE_RESULTS}
    rule = {
        "operators": [{"id": SUMMARY}],
        "triggers": [{"on": "CONVERSATION_END"}],
        "actions": [action],
    }
    return str(account.add_intelligence(rules=[rule])["id"])


def _configuration(
    account: SandboxAccount, settings: Settings, configuration_id: str | None, intelligence: str
) -> str:
    """A configuration with a memory, that tells us everything. Gives its id."""
    return account.add_configuration(
        configuration_id,
        channelSettings={"VOICE": {"statusTimeouts": {"inactive": 5, "closed": 30}, "captureRules": []}},
        statusCallbacks=[{"url": settings.origin + ORCHESTRATOR_EVENTS, "method": "POST"}],
        memoryExtractionEnabled=True,
        intelligenceConfigurationIds=[intelligence],
    )


def _point_here(account: SandboxAccount, settings: Settings, number: str) -> None:
    """A number of the account, set up as README.md tells to."""
    webhook = f"{settings.origin}/voice"
    account.add_number(
        number,
        voice_url=webhook,
        voice_fallback_url=f"{webhook}/fallback",
        status_callback=f"{webhook}/status",
    )


async def introduce(settings: Settings, base_url: str) -> None:
    """Tell the sandbox's account where its webhooks to our origin have to go."""
    if settings.twilio_base_url is None:
        return
    timeout = aiohttp.ClientTimeout(total=INTRODUCE_SECONDS)
    told = {"base": base_url, "origin": settings.origin}
    # A double that cannot be told sends no webhooks; calls work without them.
    with contextlib.suppress(aiohttp.ClientError, OSError, TimeoutError):
        async with (
            aiohttp.ClientSession(timeout=timeout) as http,
            http.put(f"{settings.twilio_base_url}{CONTROL_PATH}/network", json=told),
        ):
            pass
