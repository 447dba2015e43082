"""What comes before the first call: Twilio's APIs or the sandbox's double of them, and the checks."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator

import aiohttp

from voice_app.app import scope, twilio_api
from voice_app.guard import Report, check_account
from voice_app.settings import Settings
from voice_app.twilio import TwilioApi
from voice_app.twiml import Documents


@contextlib.asynccontextmanager
async def environment(settings: Settings) -> AsyncIterator[tuple[Settings, TwilioApi]]:
    """The settings to run with, and Twilio's APIs. Without credentials: the sandbox and its doubles."""
    async with contextlib.AsyncExitStack() as stack:
        if settings.account_sid is None:
            from voice_app.server.sandbox import sandboxed  # a server with an account never needs it

            settings = await stack.enter_async_context(sandboxed(settings))
        http = await stack.enter_async_context(aiohttp.ClientSession())
        yield settings, twilio_api(settings, http)


async def preflight(settings: Settings, api: TwilioApi, documents: Documents) -> Report:
    """Everything that is checked before the first call: the templates, and STT that is billed once.

    Raises `SettingsError` for a file of numbers that cannot be used.
    """
    return await check_account(api, scope(settings, documents), templates=documents.findings)
