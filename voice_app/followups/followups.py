"""What is done after a call: begun by the webhooks, done durably, never in a caller's way.

A call whose end nobody told us about, and one whose server died before it could begin anything, are found by
looking through the journal: at the start, and every few minutes.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final

from cachetools import LRUCache

from voice_app.calls import price_list
from voice_app.followups.callbacks import CallbackRules, CallbackTask, Places
from voice_app.followups.context import FollowupTask, Work
from voice_app.followups.delivery import DeliveryTask
from voice_app.followups.durable import Begun, Durable, WorkflowTables
from voice_app.followups.orchestrator import ClosingTask, FactsTask
from voice_app.followups.outcome import OutcomeTask, PriceTask, outcome_schema
from voice_app.followups.recordings import RecordingsTask
from voice_app.journal import CallRecord, Journal, JournalError, Selection
from voice_app.journal.events import Closed
from voice_app.settings import Settings, webhook_key
from voice_app.twilio import ApiError, Calls, Configurations, Conversations, MemoryClient, Trouble, TwilioApi

ANY_SERVER: Final = "voice-app"
"""On SQLite there is one server: each that starts goes on with what the one before it had begun."""
LOST: Final = "lost"
"""The status of a call of which nobody knows how it ended."""
_LOOK_BACK_S: Final = 2 * 24 * 3600.0
ALIVE_S: Final = 15.0
"""A server that was not heard of for so long is thought to be lost."""
_OLD_S: Final = 3600.0
"""So long the table of servers keeps one that is lost."""
_REMEMBERED: Final = 20_000
"""Calls that need nothing, and so are not looked at again."""
_NEWS: Final = "news"
"""Asked for where a report may have to be revised."""
_MAX_SILENT: Final = 100
"""Calls that Twilio is asked about in one look."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rhythm:
    """How often things are looked at, in seconds."""

    pause: float = 5.0
    """From the end of a call to its follow-ups."""
    sweep: float = 180.0
    """Between two looks for calls that nobody has followed up."""
    silence: float = 1800.0
    """A call of which so long nothing was heard may be over: Twilio is asked."""
    takeover: float = 5.0
    """Between two looks for work that nobody does. Two looks have to agree."""
    retry: float = 5.0
    """After something that should have worked."""


class Followups:
    """The follow-ups of one server. It belongs to one event loop."""

    def __init__(
        self,
        journal: Journal,
        tasks: Sequence[FollowupTask],
        calls: Calls,
        database_url: str,
        rhythm: Rhythm | None = None,
    ) -> None:
        """``database_url`` is that of the journal; DBOS's tables are beside it."""
        self._journal = journal
        self._work = Work(journal, tasks, finished=self.news)
        self._calls = calls
        self._database_url = database_url
        self._rhythm = rhythm or Rhythm()
        self._asked: dict[tuple[str, str], None] = {}  # CallSid and task; "": all it needs
        self._more = asyncio.Event()
        self._settled: LRUCache[str, None] = LRUCache(_REMEMBERED)
        self._looked_for_news = False
        self._running: asyncio.Task[None] | None = None

    def begin(self, call_sid: str) -> None:
        """A call is over. Returns at once; to say it twice is saying it once."""
        self._ask(call_sid, "")

    def call_back(self, call_sid: str) -> None:
        """The caller of this call wants to be called back. Returns at once."""
        self._ask(call_sid, "callback")

    def news(self, call_sid: str) -> None:
        """Something may have come after the report of this call. Returns at once."""
        self._ask(call_sid, _NEWS)

    def start(self) -> None:
        """Begin to work, beside everything else."""
        self._running = asyncio.create_task(self._run(), name="follow-ups")

    async def aclose(self) -> None:
        """Stop within seconds. What is not done is done after the next start, here or elsewhere."""
        if self._running is not None:
            self._running.cancel()
            await asyncio.wait([self._running])
            self._running = None

    def _ask(self, call_sid: str, name: str) -> None:
        self._asked[call_sid, name] = None
        self._more.set()

    async def _run(self) -> None:
        server_id = self._journal.server_id if self._journal.shared else ANY_SERVER
        durable = Durable(WorkflowTables(self._database_url), server_id, self._work)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._serve(durable))
                group.create_task(self._now_and_then(self._rhythm.sweep, self._sweep))
        finally:
            await durable.close()

    async def _serve(self, durable: Durable) -> None:
        """DBOS is launched once there is something for it to do: a server without follow-ups has none."""
        if not await asyncio.to_thread(durable.was_used):
            await self._first_need()
        await self._open(durable)
        rhythm = self._rhythm
        async with asyncio.TaskGroup() as group:
            group.create_task(self._hand_over(durable))
            group.create_task(self._now_and_then(rhythm.sweep, durable.prune))
            orphans = _OrphanRecovery(self._journal, durable)
            group.create_task(self._now_and_then(rhythm.takeover, orphans.look))

    async def _first_need(self) -> None:
        while True:
            await self._more.wait()
            self._more.clear()
            for call_sid, name in list(self._asked):
                if await self._is_needed(call_sid, name):
                    self._more.set()
                    return
                self._asked.pop((call_sid, name), None)

    async def _open(self, durable: Durable) -> None:
        while True:
            try:
                return await durable.open()
            except Exception as error:
                log.error("follow-ups cannot begin, and wait: %s: %s", type(error).__name__, error)
                await asyncio.sleep(self._rhythm.retry)

    async def _hand_over(self, durable: Durable) -> None:
        """Give to DBOS what was asked for. From then on it is not lost any more."""
        while True:
            await self._more.wait()
            self._more.clear()
            while self._asked:
                call_sid, name = next(iter(self._asked))
                try:
                    if name == _NEWS:
                        if (revision := await self._work.revision(call_sid)) is not None:
                            await durable.perform(call_sid, revision)
                    elif name:
                        await durable.perform(call_sid, name)
                    elif await self._needs_something(call_sid):
                        await durable.follow_up(call_sid, self._rhythm.pause)
                except Exception as error:
                    log.error("call %s: its follow-ups wait: %s: %s", call_sid, type(error).__name__, error)
                    await asyncio.sleep(self._rhythm.retry)
                else:
                    self._asked.pop((call_sid, name), None)

    async def _is_needed(self, call_sid: str, name: str) -> bool:
        """Whether there is something to do of what was asked for."""
        if not name:
            return await self._needs_something(call_sid)
        try:
            return name != _NEWS or await self._work.revision(call_sid) is not None
        except JournalError as error:
            log.warning("call %s: what came after its report waits: %s", call_sid, error)
            return False

    async def _needs_something(self, call_sid: str) -> bool:
        if self._work.kinds is None:
            return True
        try:
            if await self._work.wanted(call_sid):
                return True
        except JournalError as error:
            log.warning("call %s: whether it needs a follow-up is looked up later: %s", call_sid, error)
            return False
        self._settled[call_sid] = None
        return False

    async def _now_and_then(self, seconds: float, look: Callable[[], Awaitable[None]]) -> None:
        while True:
            try:
                await look()
            except Exception as error:
                log.warning("follow-ups: %s: %s", type(error).__name__, error)
            await asyncio.sleep(seconds * random.uniform(0.9, 1.1))  # noqa: S311 - servers take turns

    async def _sweep(self) -> None:
        """Find the calls that nobody has followed up."""
        now = time.time()
        await self._look_for_news(now - _LOOK_BACK_S)
        silent_since = now - self._rhythm.silence
        silent = Selection(
            since=now - _LOOK_BACK_S, until=silent_since, closed=False, silent_since=silent_since
        )
        async for record in self._journal.select(silent, limit=_MAX_SILENT, newest_first=False):
            await self._ask_how_it_ended(record)
        kinds = self._work.kinds
        if kinds is not None and not kinds:
            return
        left = Selection(
            since=now - _LOOK_BACK_S, closed=True, without="follow-up", having=kinds or frozenset()
        )
        async for record in self._journal.select(left, newest_first=False):
            if record.call_sid not in self._settled:
                self.begin(record.call_sid)

    async def _look_for_news(self, since: float) -> None:
        """At the start: a server may have been lost between the news of a call and its report's revision."""
        if self._looked_for_news or not self._work.reports:
            return
        kinds = frozenset({"voicemail", "analysed", "alert", "price"})
        async for record in self._journal.select(Selection(since=since, closed=True, having=kinds)):
            self.news(record.call_sid)
        self._looked_for_news = True

    async def _ask_how_it_ended(self, record: CallRecord) -> None:
        """Of a call of which nothing was heard for long: the callback that ended it may have been lost."""
        try:
            call = await self._calls.fetch(record.call_sid)
        except ApiError as error:
            if error.trouble is not Trouble.NOT_FOUND:
                raise
            ended = Closed(LOST)
        else:
            if not call.over:
                return
            ended = Closed(call.status, call.duration_s)
        self._journal.write(record.call_sid, ended, once=f"closed:{record.call_sid}")
        self.begin(record.call_sid)


class _OrphanRecovery:
    """Looks for work that was begun and that nobody does: a server is lost, or a database was in trouble."""

    def __init__(self, journal: Journal, durable: Durable) -> None:
        self._journal = journal
        self._durable = durable
        self._suspects: set[Begun] = set()

    async def look(self) -> None:
        """Go on with what was lost at the last look, too.

        It may have been on its way; and a database that was away has let nobody's heart beat: the first who
        beats again is not the only one.
        """
        others = {server.id for server in await self._journal.servers(ALIVE_S)}
        lost = {begun for begun in await self._durable.begun() if begun.server_id not in others}
        for begun in lost & self._suspects:
            log.warning("follow-up %s goes on here", begun.id)
            await self._durable.go_on(begun)
        self._suspects = lost
        for server_id in await self._journal.lost_servers(_OLD_S):
            await self._journal.sign_off(server_id)


def tasks_of(
    settings: Settings,
    api: TwilioApi,
    journal: Journal,
    calls: Calls,
    account: Callable[[str], Awaitable[None]],
    places: Places,
    rules: CallbackRules,
    *,
    configured: bool,
) -> list[FollowupTask]:
    """What the settings want done after calls.

    ``account`` writes down anew what a call cost. ``places`` and ``rules`` are for calling back.
    ``configured``: whether any of its documents names a configuration of Orchestrator.
    """
    account_sid, default = settings.account_sid or "", settings.conversation_configuration
    configurations = Configurations(api)
    found: list[FollowupTask] = [CallbackTask(calls, journal, settings.origin, places, rules)]
    if settings.memory_seconds and configured:
        memory, trait = MemoryClient(api), settings.memory_phone_trait
        found.append(FactsTask(memory, configurations, journal, trait, default_configuration=default))
    if settings.close_conversation == "call-end" and configured:
        conversations = Conversations(api)
        found.append(
            ClosingTask(conversations, configurations, calls, journal, default_configuration=default)
        )
    if settings.recordings is not None:
        found.append(RecordingsTask(api, account_sid, settings.recordings, journal))
    if (schema := outcome_schema(settings)) is not None:
        found.append(OutcomeTask(settings, schema, journal, account))
    if settings.prices is not None or settings.budget_day:
        found.append(PriceTask(calls, journal, account))
    if settings.report_url is not None and settings.report_secret is not None:
        key = webhook_key(settings.report_secret.get_secret_value())
        wait_s, gather_s = settings.report_wait, settings.followup_seconds
        found.append(
            DeliveryTask(
                journal,
                settings.report_url,
                key,
                wait_s=wait_s,
                gather_s=gather_s,
                prices=price_list(settings),
            )
        )
    return found
