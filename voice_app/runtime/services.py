"""The parts of the server, each built once: what requests, calls and the drain work with."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

from cachetools import LRUCache

from voice_app.agents import Agent
from voice_app.agents.loader import version_of
from voice_app.calls import CallState, Parties, PriceList, attestation_failed
from voice_app.followups import CallbackRules, Followups
from voice_app.followups.erasure import AtTwilio, CallerData
from voice_app.guard import Watch
from voice_app.handoff import Target, from_addresses
from voice_app.journal import Entry, Journal, JournalError
from voice_app.journal.events import AgentAssigned, Closed
from voice_app.relay.session_token import Tickets
from voice_app.runtime.addresses import JoinLinks
from voice_app.runtime.answering import AnswerHook
from voice_app.runtime.background import BackgroundTasks
from voice_app.runtime.budget import note_cost
from voice_app.runtime.caller_memory import CallerMemory
from voice_app.runtime.capacity import Admission, CallRegistry, Peers
from voice_app.runtime.conversation_monitor import ConversationIndex, ConversationMonitor
from voice_app.settings import AgentSettings, NumberSettings, Settings, plain_address
from voice_app.telemetry import attributes as names
from voice_app.telemetry import metrics, traces
from voice_app.twilio import Calls, Conversations
from voice_app.twiml import Documents

MAX_DELIVERIES: Final = 10_000
"""Deliveries that are remembered, so that none is handled twice."""

log = logging.getLogger(__name__)


@dataclass(slots=True, frozen=True)
class NamedAgent:
    """One of ``VOICE_APP_AGENTS``."""

    agent: Agent
    settings: AgentSettings


@dataclass(slots=True, frozen=True, kw_only=True)
class Services:
    """The parts of one server."""

    settings: Settings
    lines: Mapping[str, NumberSettings]
    """How our numbers are answered, where that differs from the settings."""
    documents: Documents
    journal: Journal
    agent: Agent
    tickets: Tickets
    """Session tokens: who may open the agent's socket."""
    watch: Watch
    """The guard, while calls run."""
    calls: Calls
    """Twilio's API of live calls, wherever they are served."""
    targets: Sequence[Target]
    """Who takes calls over, in order."""
    registry: CallRegistry
    """The calls of this process."""
    admission: Admission
    """Whether it takes new ones."""
    peers: Peers
    """The other servers, where there can be any."""
    index: ConversationIndex
    """Which call a conversation is about."""
    background: BackgroundTasks
    callbacks: CallbackRules
    """Who may be called back."""
    followups: Followups
    """What is done after calls."""
    conversations: Conversations
    monitor: ConversationMonitor
    prices: PriceList
    """What things cost."""
    join_links: JoinLinks
    """To the pages of calls for those who take them over."""
    at_twilio: Callable[[CallerData], AtTwilio]
    """What Twilio has of a caller, to be erased."""
    agents: Mapping[str, Agent] = field(default_factory=dict)
    """The agents of numbers that have another one than the rest."""
    targets_of_numbers: Mapping[str, Sequence[Target]] = field(default_factory=dict)
    """Who takes calls over, of numbers where that differs from the rest."""
    named_agents: Mapping[str, NamedAgent] = field(default_factory=dict)
    """The agents of ``VOICE_APP_AGENTS``, by name."""
    answer_hooks: Mapping[str, AnswerHook] = field(default_factory=dict)
    """Who decides how a call is answered, by the number of ours; under an empty one for every other."""
    versions: dict[int, str] = field(default_factory=dict)
    """What `assigned` has found out, by the agent's `id`."""
    memory: CallerMemory | None = None
    """`None` where it is switched off: then nobody is looked up."""
    deliveries: LRUCache[str, bool] = field(default_factory=lambda: LRUCache(MAX_DELIVERIES))
    """What Twilio has reported already, by token: it delivers at least once."""
    stopping: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when the server stops: responses without an end end now."""

    def line_of(self, state: CallState, agent: str | None = None) -> NumberSettings:
        """How this call is answered: by its number, but for what was decided for it and what its agent wants.

        ``agent`` is one of ``VOICE_APP_AGENTS``; by default the one that has the call.
        """
        line = self.line(state.parties.number)
        changed: dict[str, object] = {}
        if (answer := state.answer) is not None:
            changed |= {"greeting": answer.greeting} if answer.greeting is not None else {}
            changed |= {"language": answer.language} if answer.language else {}
        if (named := self.named_agents.get(state.agent if agent is None else agent)) is not None:
            changed |= named.settings.of_the_line
        return line.model_copy(update=changed) if changed else line

    def answer_hook(self, number: str) -> AnswerHook | None:
        """Who decides how calls to this number are answered."""
        hooks = self.answer_hooks
        if not hooks:
            return None
        return hooks.get(plain_address(number) if plain_address(number) in self.lines else "")

    def targets_of(self, state: CallState) -> Sequence[Target]:
        """Who takes over this call, in order: first whom somebody of ours has chosen, at any hour."""
        if state.answer is not None and state.answer.people:
            targets: Sequence[Target] = from_addresses(state.answer.people)
        else:
            targets = self.targets_for(state.parties.number)
        chosen = next((target for target in targets if target.label == state.chosen_target), None)
        if chosen is None:
            return targets
        return [chosen.for_everything(), *(target for target in targets if target is not chosen)]

    def memory_for(self, webhook: Mapping[str, str]) -> CallerMemory | None:
        """Where the caller is looked up; `None` where nobody is, or where the number may be somebody else's.

        ``webhook`` is what Twilio told of the call.
        """
        unproven = attestation_failed(webhook) and not self.settings.memory_unverified
        return None if unproven else self.memory

    def agent_of(self, state: CallState) -> Agent:
        """Who has this call."""
        named = self.named_agents.get(state.agent)
        return self.agent_for(state.parties.number) if named is None else named.agent

    def assigned(self, number: str, agent: str) -> AgentAssigned:
        """Who has a call to this number of ours, and in which version.

        ``agent`` is one of ``VOICE_APP_AGENTS``; empty: that of the number.
        """
        if (named := self.named_agents.get(agent)) is not None:
            told, found = agent, named.agent
            source = named.settings.agent or self.settings.agent
        else:
            found = self.agent_for(number)
            told = source = self.line(number).agent
        if (version := self.versions.get(id(found))) is None:
            version = self.versions[id(found)] = version_of(found, source)
        return AgentAssigned(told, version)

    def agent_for(self, number: str) -> Agent:
        """Who talks with the callers of this number of ours."""
        return self.agents.get(plain_address(number), self.agent)

    def targets_for(self, number: str) -> Sequence[Target]:
        """Who takes over calls to this number of ours, in order."""
        return self.targets_of_numbers.get(plain_address(number), self.targets)

    def line(self, number: str) -> NumberSettings:
        """How this number of ours is answered."""
        return self.lines.get(plain_address(number), self.settings)

    async def call_state(self, call_sid: str, parties: Parties) -> CallState:
        """What is known of a call: its events, read once and folded once.

        If the journal cannot be read, the call goes on without its history. ``parties`` are those that the
        request names: they count where the journal does not know how the call was opened.
        """
        try:
            state = CallState.of(await self.journal.events(call_sid))
        except JournalError as error:
            log.error("call %s: its history is lost: %s", call_sid, error)
            state = CallState()
        state.unread = not (
            self.journal.readable or self.journal.is_current(call_sid, alone=self.peers.alone)
        )
        if not state.opened:
            state.parties = parties
        return state

    async def catch_up(self, call_sid: str, state: CallState) -> None:
        """Add to what is known of a call what was written since."""
        with suppress(JournalError):  # it is in the log
            for entry in await self.journal.events(call_sid):
                if entry.id > state.last_id:
                    state.take(entry)

    async def _settle(self, end: Entry, status: str, state: CallState | None) -> None:
        """Write down what the call cost, and record its span unless another server told its end before."""
        with suppress(JournalError):
            if state is None:
                state = CallState.of(await self.journal.events(end.call_sid))
            elif end.id > state.last_id:
                state.take(end)
            await note_cost(self.journal, self.prices, end.call_sid, state)
            ends = state.timed(Closed)
            if traces.on() and state.began_at is not None and (not ends or ends[0][0] == end.at):
                traces.call_over(end.call_sid, state.began_at, end.at, {names.CALL_STATUS: status})

    def is_new(self, delivery: str) -> bool:
        """Whether this delivery is the first of its token here. From now on it is not.

        Another process, or this one after a restart, does not know it.
        """
        if self.deliveries.get(delivery):
            return False
        self.deliveries[delivery] = True
        return True

    def call_ended(
        self,
        call_sid: str,
        status: str,
        seconds: float | None = None,
        *,
        once: str = "",
        state: CallState | None = None,
    ) -> None:
        """Twilio told us that a call is over; it may tell us several times.

        ``state`` is what is known of the call, if that was read just now.
        """
        entry = self.journal.write(call_sid, Closed(status, seconds), once=once)
        if self.is_new(f"end of {call_sid}"):
            metrics.CALLS_ENDED.labels(status).inc()
            known = state if state is not None and state.opened else None
            self.background.spawn(self._settle(entry, status, known), "cost of a call")
        if self.memory is not None:
            self.memory.forget(call_sid)
        self.followups.begin(call_sid)
