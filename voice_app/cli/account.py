"""Which account a command works on: Twilio's, or that of a sandbox."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final, TypeVar
from urllib.parse import urlsplit

import aiohttp

from voice_app.cli.output import fail, run
from voice_app.guard import Scope
from voice_app.settings import Settings, SettingsError, load
from voice_app.twilio import ApiError, Configuration, Configurations, Trouble, TwilioApi
from voice_app.twilio.configuration_edit import DraftError

T = TypeVar("T")

LOOPBACK: Final = "127.0.0.1"

_REFUSED: Final = frozenset({Trouble.CONFLICT, Trouble.REFUSED, Trouble.FAILED, Trouble.NOT_ALLOWED})


@dataclass(frozen=True, slots=True)
class TwilioAccount:
    """The APIs, and what this server is set up for."""

    api: TwilioApi
    scope: Scope
    """What this server is set up for, as the guard sees it."""

    @property
    def named(self) -> frozenset[str]:
        """The configurations that our TwiML names, and the conversations."""
        return frozenset(self.scope.named)

    async def configuration(self, named: str) -> Configuration:
        """Read the configuration that has this id or name. Raises as `configuration_id` does."""
        return await Configurations(self.api).fetch(await self.configuration_id(named))

    async def configuration_id(self, named: str) -> str:
        """The id of the configuration that has this id or name.

        Raises:
            ApiError: the configurations cannot be read.
            DraftError: no configuration has the name, or several have.
        """
        found = await Configurations(self.api).ids_of(named)
        if len(found) == 1:
            return found[0]
        if not found:
            raise DraftError(f"No configuration has the name {named}: `voice-app config list` shows all")
        raise DraftError(f"{len(found)} configurations have the name {named}: give an id, {', '.join(found)}")

    def is_named(self, configuration: Configuration) -> bool:
        """Whether our TwiML names it, by its id or by a name."""
        names = {configuration.id, configuration.unique_name, configuration.display_name}
        return not names.isdisjoint(self.named)


def ask(url: str | None, question: Callable[[TwilioAccount], Coroutine[Any, Any, T]]) -> T:
    """What the account answers. What goes wrong becomes a sentence and an exit code.

    1 if Twilio refuses, 2 if something does not exist, 3 if nothing could be found out: bad credentials, too.
    """

    async def asked() -> T:
        async with account(url) as found:
            return await question(found)

    try:
        return run(asked())
    except ApiError as error:
        raise fail(str(error), exit_code(error)) from None
    except DraftError as error:
        raise fail(str(error), 2) from None


def exit_code(error: ApiError) -> int:
    """What a request that failed means for a command."""
    if error.trouble in _REFUSED:
        return 1
    return 2 if error.trouble is Trouble.NOT_FOUND else 3


@asynccontextmanager
async def account(url: str | None) -> AsyncIterator[TwilioAccount]:
    """The account of the settings, or of the sandbox at ``url``. Raises `SettingsError` without either."""
    # It takes a third of a second, which a command that asks Twilio only sometimes need not always wait for.
    from voice_app.app import documents_of, scope, twilio_api

    settings = load()
    if url is not None:
        settings = await _sandbox_at(settings, url)
    elif settings.account_sid is None and settings.api_key is None:
        if settings.twilio_base_url is None:
            raise SettingsError(
                [
                    "TWILIO_ACCOUNT_SID and TWILIO_AUTH_TOKEN are not set: set them to work on your account, "
                    "or name a sandbox to work on, --url http://127.0.0.1:8000 for that of a running "
                    "`voice-app serve`"
                ]
            )
        settings = settings.sandboxed()
    async with aiohttp.ClientSession() as http:
        yield TwilioAccount(twilio_api(settings, http), scope(settings, documents_of(settings)))


async def sandbox_of(base: str) -> dict[str, Any] | None:
    """What a server tells of its sandbox; empty if it has none, None if nothing answers."""
    try:
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=5)) as http,
            http.get(f"{base}/sandbox.json") as response,
        ):
            told = await response.json() if response.status == 200 else {}
            return told if isinstance(told, dict) else {}
    except (aiohttp.ClientError, TimeoutError, ValueError, RecursionError):
        return None


async def _sandbox_at(settings: Settings, url: str) -> Settings:
    """The settings for a sandbox. Only its own public credentials go there, whatever else is set."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.netloc:
        raise SettingsError([f"--url: {url} is no URL; it should look like http://127.0.0.1:8000"])
    base = f"{parts.scheme}://{parts.netloc}"
    told = await sandbox_of(base)
    if told is None:
        raise fail(f"Nothing answers at {base}. Start `voice-app serve` in another terminal first.", 3)
    if not isinstance(told.get("twilio_base_url"), str):
        raise SettingsError(
            [
                f"--url: the server at {base} is not in the sandbox: leave --url out, and set the account's "
                "TWILIO_ACCOUNT_SID and TWILIO_AUTH_TOKEN to work on it"
            ]
        )
    return (
        settings.model_copy(update={"host": LOOPBACK})
        .sandboxed()
        .model_copy(
            update={
                "api_key": None,
                "api_secret": None,
                "region": None,
                "edge": None,
                "twilio_base_url": told["twilio_base_url"],
                "conversation_configuration": told.get("conversation_configuration"),
            }
        )
    )
