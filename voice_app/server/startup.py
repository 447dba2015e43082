"""What comes before the first call: Twilio's APIs or the sandbox's doubles of them, and every check.

Beside the account these look at folders, the database, the port, and the model of `chat`."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import NamedTuple

import aiohttp

from voice_app.app import scope, twilio_api
from voice_app.findings import Finding
from voice_app.guard import Report, check_account
from voice_app.guard.check import CFG105, CFG106
from voice_app.journal.store import Store
from voice_app.server.database_lock import exclusive
from voice_app.server.serving import listen
from voice_app.settings import Settings, SettingsError, environment_name, number_settings
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
    return await check_account(
        api, scope(settings, documents), templates=documents.findings, beside=start_findings(settings)
    )


class _Unused(NamedTuple):
    """Settings that have no effect."""

    fields: tuple[str, ...]
    why: str


def check_folders(settings: Settings) -> None:
    """Raises `SettingsError` for each folder that is not there, or could not be written to."""
    problems = []
    if settings.templates is not None and not settings.templates.is_dir():
        problems.append(f"{environment_name('templates')}: {settings.templates} is no folder")
    for field in ("spool", "recordings"):
        folder: Path | None = getattr(settings, field)
        if folder is not None and (why := _not_writable(folder)):
            problems.append(f"{environment_name(field)}: {folder} cannot be written to: {why}")
    if problems:
        raise SettingsError(problems)


def _not_writable(folder: Path) -> str:
    """Why no file can be made in a folder, which need not be there yet; empty if one can."""
    folder = folder.absolute()
    try:
        there = next(path for path in (folder, *folder.parents) if path.exists())
    except OSError as error:
        return error.strerror or "it cannot be looked at"
    if not there.is_dir():
        return f"{there} is no folder"
    return "" if os.access(there, os.W_OK | os.X_OK) else f"{there} belongs to somebody else"


async def start_findings(settings: Settings) -> list[Finding]:
    """What is doubtful about the settings themselves, and about the models that they name."""
    agents = {settings.agent, *(line.agent for line in number_settings(settings).values())}
    found = [
        CFG106.finding(environment_name(field), f"{environment_name(field)} is set, but {unused.why}")
        for unused in _unused(settings, agents)
        for field in unused.fields
        if field in settings.model_fields_set and getattr(settings, field)
    ]
    if ("chat" in agents or settings.outcome is not None) and settings.model:
        from voice_app.agents.endpoints import probe_all  # no other agent needs it

        found += [CFG105.finding("OPENAI_BASE_URL", problem) for problem in await probe_all(settings)]
    return found


def _unused(settings: Settings, agents: set[str]) -> Iterator[_Unused]:
    built_in = not any(":" in agent for agent in agents)  # another one may read any of them
    named = ", ".join(sorted(agents))
    if not settings.model:
        yield _Unused(("outcome",), "VOICE_APP_MODEL is not: there is no model to ask what came of calls")
    if built_in and "chat" not in agents and settings.outcome is None:
        chat = (
            "model",
            "model_headers",
            "model_shape",
            "fallback_model",
            "prompt",
            "temperature",
            "max_tokens",
        )
        yield _Unused(chat, f"the agent is {named}, which asks no model: VOICE_APP_AGENT=chat does")
    if built_in and "receptionist" not in agents:
        yield _Unused(("receptionist",), f"the agent is {named}: VOICE_APP_AGENT=receptionist reads it")
    if built_in and not settings.fallback_model:
        fallback = ("fallback_base_url", "fallback_api_key", "fallback_shape")
        yield _Unused(fallback, "VOICE_APP_FALLBACK_MODEL is not")
    if settings.handoff is not None:
        yield _Unused(("handoff_to",), "the file of VOICE_APP_HANDOFF says who takes calls over")
    if settings.report_url is None:
        yield _Unused(("report_secret",), "VOICE_APP_REPORT_URL is not")
    if settings.in_sandbox:
        yield _Unused(("api_key", "api_secret"), "TWILIO_ACCOUNT_SID is not: this is the sandbox")


async def rehearse(settings: Settings) -> None:
    """Take the database and the port as a start does, and give them back. Nothing is changed in the journal.

    Raises:
        SettingsError: one of them cannot be had.
        JournalError: the database cannot be used.
    """
    with exclusive(settings), listen(settings):
        await asyncio.to_thread(_rehearse_database, settings.database_url)


def _rehearse_database(url: str) -> None:
    store = Store(url)
    try:
        store.rehearse()
    finally:
        store.close()
