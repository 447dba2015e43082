"""The line that is tested: our server with somebody's agent, in this process, with everything around it.

Nothing of it leaves the process: Twilio is its double, and what is done after a call (reports, traces,
recordings) is not done. Settings are those of the environment and ``.env``, as `voice-app serve` reads them,
and those that are given.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, cast

import aiohttp
from sqlalchemy import Connection, Engine, event
from sqlalchemy.exc import OperationalError

from voice_app import server
from voice_app.app import build_services, twilio_api, vocabulary_of
from voice_app.calls.scripts import seconds_to_speak
from voice_app.findings import Severity, refuses
from voice_app.runtime import Services
from voice_app.sandbox.network import Network
from voice_app.sandbox.phone import LineConditions, Person, Phone
from voice_app.sandbox.twilio import LocalTranscriber, WebhookSender, double_app
from voice_app.sandbox.twilio.app import serve
from voice_app.server.sandbox import furnished
from voice_app.settings import Settings, SettingsError, environment_name, load
from voice_app.testing.caller import Caller
from voice_app.testing.scenario import LineQuality, moment
from voice_app.testing.twilio_double import TwilioDouble
from voice_app.testing.virtual_time import VirtualLoop
from voice_app.twiml.templates import DEFAULT_LANGUAGE

CALLER: Final = "+15550199999"
"""Who phones where nobody says so."""
_ACCOUNT: Final = (
    *("account_sid", "auth_token", "auth_token_secondary", "api_key", "api_secret", "twilio_base_url"),
    *("region", "edge", "public_domain", "conversation_configuration"),
)
_OUTWARD: Final = (
    "report_url",
    "trace_url",
    "recordings",
    "outcome",
    "users",
    "api_token",
    "proxy_user_header",
)
"""What would tell somebody else of a call, or bar the way to it."""


def line_settings(folder: Path, given: Mapping[str, Any], model_url: str = "") -> Settings:
    """The settings of a line whose journal is kept in a folder; ``given`` count before the environment.

    They are named as in the environment, or in short: ``VOICE_APP_GREETING`` or ``greeting``. ``model_url``
    is where a scripted model is: who asks a model asks that one, and where no agent is named it is `chat`.

    Raises:
        SettingsError: they cannot be used.
    """
    settings = load(**{_field(name): value for name, value in given.items()})
    own: dict[str, Any] = {
        **dict.fromkeys((*_ACCOUNT, *_OUTWARD)),
        "host": "127.0.0.1",
        "port": 0,
        "workers": 1,
        "database_url": f"sqlite:///{folder}/journal.db",
        "spool": folder / "spool",
        "max_lag_ms": 0,  # phone and double share the server's loop
        "guard_seconds": 0,
        "budget_day": 0,
        "retention_days": 0,
    }
    if model_url:
        own |= {"model": "scripted", "openai_base_url": model_url, "openai_api_key": None}
        own |= {"fallback_base_url": None, "fallback_api_key": None}
        if "agent" not in settings.model_fields_set:
            own["agent"] = "chat"
    return settings.model_copy(update=own).tried_out().sandboxed()


def _field(name: str) -> str:
    """The field of a setting that somebody has named. Raises `SettingsError`."""
    from voice_app.settings.problems import unknown_key

    names = {environment_name(field): field for field in Settings.model_fields}
    if name in names:
        return names[name]
    if name not in Settings.model_fields:
        raise SettingsError([unknown_key(name, Settings.model_fields.keys())])
    return name


class LineDatabase:
    """The database of a line's journal: good, until a test says otherwise. Seconds are those of the call."""

    def __init__(self, file: Path, loop: VirtualLoop) -> None:
        self._file = file
        self._loop = loop
        self._away = 0
        """Absences that go on."""
        self._slow_by = 0.0
        self._strikes = False

    def is_away(self, seconds: float) -> None:
        """For so long from now on, no statement is run: each fails at once."""
        self._away += 1
        self._loop.call_soon_threadsafe(self._loop.call_later, seconds, self._comes_back)
        self._strike()

    def is_slow(self, seconds: float) -> None:
        """From now on each statement takes so much longer."""
        self._slow_by = seconds
        self._strike()

    def close(self) -> None:
        """Let it be as it is."""
        self._away, self._slow_by = 0, 0.0
        if self._strikes:
            event.remove(Engine, "before_cursor_execute", self._before)
            self._strikes = False

    def _strike(self) -> None:
        if not self._strikes:
            event.listen(Engine, "before_cursor_execute", self._before)
            self._strikes = True

    def _comes_back(self) -> None:
        self._away = max(0, self._away - 1)

    def _before(self, connection: Connection, *_: Any) -> None:
        """What the engines of SQLAlchemy call before each statement, in the thread that runs it."""
        if connection.engine.url.database != str(self._file):
            return
        if self._away:
            raise OperationalError("the database is away, as the test wants it", None, Exception("away"))
        if self._slow_by:
            self._loop.sleep_in_thread(self._slow_by)


@dataclass(slots=True, eq=False)
class PhoneLine:
    """A server that can be phoned, and who may be reached on it."""

    settings: Settings
    services: Services
    twilio: TwilioDouble
    phone: Phone
    loop: VirtualLoop
    database: LineDatabase
    """The journal's; it may be away, or slow."""
    people: list[Person] = field(default_factory=list)
    """Who is reached when somebody is rung: the first, the second, …; behind the last of them nobody is."""
    quality: LineQuality = field(default_factory=LineQuality)
    seed: int = 1
    callers: list[Caller] = field(default_factory=list)
    """All who have phoned, or are about to."""

    def degrade(self, *, seed: int = 1, **quality: Any) -> None:
        """Make the line bad from the next call on, as ``given: line`` does in a scenario.

        ``line.degrade(word_errors=0.1, delay_ms=200)``: see `voice_app.testing.scenario.LineQuality`. The
        same seed gives the same line. Raises `ValueError`.
        """
        self.quality, self.seed = LineQuality(**quality), seed
        pace = self.quality.pace_in(self.language)
        self.phone.conditions = LineConditions(
            delay_seconds=self.quality.delay_ms / 1000,
            jitter_seconds=self.quality.jitter_ms / 1000,
            seed=seed,
            seconds_to_speak=None if pace is None else lambda text: seconds_to_speak(text) / pace,
        )

    def is_at(self, when: str) -> None:
        """Have it be another time from now on: ``2026-12-24 18:30 Europe/Berlin``, and UTC without a zone.

        Raises `ValueError`, or `ModuleNotFoundError`: time-machine is needed, as the extra `testing` has it.
        """
        self.loop.set_time_of_day(moment(when))

    @property
    def language(self) -> str:
        """What is spoken on it."""
        return self.settings.language or DEFAULT_LANGUAGE

    @property
    def url(self) -> str:
        """The voice webhook."""
        return f"{self.settings.origin}/voice"

    def caller(self, number: str = CALLER) -> Caller:
        """Somebody who has this number, and phones as soon as they do something."""
        made = Caller(self, number)
        self.callers.append(made)
        return made

    async def hang_up(self) -> None:
        """Everybody hangs up."""
        for caller in self.callers:
            await caller.close()


@asynccontextmanager
async def open_line(settings: Settings) -> AsyncIterator[PhoneLine]:
    """Serve while the block runs, on a `VirtualLoop`.

    Raises:
        SettingsError: the templates or a file that the settings name cannot be used.
        AgentError: the agent cannot be used.
    """
    loop = cast(VirtualLoop, asyncio.get_running_loop())
    with loop.hurrying():
        async with _served(settings, loop) as line:
            try:
                with loop.at_leisure():
                    yield line
            finally:
                await line.hang_up()
                line.database.close()
                loop.reset_time_of_day()


@asynccontextmanager
async def _served(settings: Settings, loop: VirtualLoop) -> AsyncIterator[PhoneLine]:
    account, configuration_id = furnished(settings)
    async with (
        WebhookSender(account),
        serve(double_app(account)) as twilio_url,
        aiohttp.ClientSession(trust_env=False) as http,
    ):
        settings = settings.model_copy(
            update={"twilio_base_url": twilio_url, "conversation_configuration": configuration_id}
        )
        services = build_services(settings, twilio_api(settings, http))
        if refuses(services.documents.findings):
            wrong = [finding for finding in services.documents.findings if finding.severity is Severity.ERROR]
            raise SettingsError([f"{found.place}: {found.rule}: {found.message}" for found in wrong])
        async with (
            server.running_services(services) as base_url,
            Phone(
                Network(base_url, settings.origin, settings.signing_tokens[0]),
                account_sid=settings.account_sid or "",
                number=settings.phone_number or "",
                twilio_base_url=twilio_url,
                vocabulary=vocabulary_of(settings),
                transcriber=LocalTranscriber(account),
            ) as phone,
        ):
            file = Path(settings.database_url.removeprefix("sqlite:///"))
            double = TwilioDouble(account, configuration_id)
            yield PhoneLine(settings, services, double, phone, loop, LineDatabase(file, loop))
