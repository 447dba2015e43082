"""What a start needs beside the account: folders, the database, the port, and the model of `chat`."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from voice_app.findings import Finding
from voice_app.guard.rules.start import CFG105, CFG106
from voice_app.journal.store import Store
from voice_app.server.database_lock import exclusive
from voice_app.server.serving import listen
from voice_app.settings import Settings, SettingsError, environment_name, number_settings


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
    if "chat" in agents and settings.model:
        from voice_app.agents.endpoints import probe_all  # no other agent needs it

        found += [CFG105.finding("OPENAI_BASE_URL", problem) for problem in await probe_all(settings)]
    return found


def _unused(settings: Settings, agents: set[str]) -> Iterator[_Unused]:
    built_in = not any(":" in agent for agent in agents)  # another one may read any of them
    named = ", ".join(sorted(agents))
    if built_in and "chat" not in agents:
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
