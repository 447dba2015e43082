"""What comes before the first call: Twilio's APIs or the sandbox's double of them, and the checks."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import replace

import aiohttp

from voice_app.app import scope, twilio_api
from voice_app.guard import Report, check_account
from voice_app.server.start_checks import check_folders, start_findings
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
    """Everything that is checked before the first call: the templates, STT that is billed once, the model.

    Raises `SettingsError` for a folder, or a file of numbers or targets, that cannot be used.
    """
    check_folders(settings)
    report, found = await asyncio.gather(
        check_account(api, scope(settings, documents), templates=documents.findings),
        start_findings(settings),
    )
    return replace(report, findings=[*report.findings, *found])
