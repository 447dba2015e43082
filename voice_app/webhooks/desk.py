"""What the webhooks work with: the parts of the server, built once, and what they share."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, cast
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

from starlette.responses import Response

from voice_app.agents.protocol import Agent
from voice_app.followups import Followups
from voice_app.guard import Watch
from voice_app.guard.engines import Engine, OverlapError, engine_after
from voice_app.handoff import Target
from voice_app.journal import Entry, Journal, JournalError, Server
from voice_app.journal.events import Closed, Failed, Served
from voice_app.relay.connection import Connection
from voice_app.relay.session_token import Tickets
from voice_app.settings import NumberSettings, Settings
from voice_app.twilio import Calls, Conversations
from voice_app.twiml.templates import Context, Templates
from voice_app.webhooks.admission import HOPS_AT_ONCE, MAX_HOPS, Admission
from voice_app.webhooks.directory import Directory
from voice_app.webhooks.lookout import Lookout
from voice_app.webhooks.presence import Presence
from voice_app.webhooks.recall import Recalls
from voice_app.webhooks.roster import Roster, Wait
from voice_app.webhooks.seen import Seen
from voice_app.webhooks.signature import Form, Signatures

VOICE = "/voice"
CALLBACK = "/voice/callback"
RELAY_ENDED = "/voice/relay-ended"
RESUME = "/voice/resume"
PULLED = "/handoff/pulled"
ORCHESTRATOR_EVENTS = "/orchestrator/events"
INTELLIGENCE_RESULTS = "/intelligence/results"
OVER = frozenset({"completed", "busy", "failed", "no-answer", "canceled"})
"""A call in one of these states takes no more instructions."""
NOTHING = '<?xml version="1.0" encoding="UTF-8"?>\n<Response/>\n'
"""The answer where the call needs no more instructions."""
REDIRECT = (
    '<?xml version="1.0" encoding="UTF-8"?>\n<Response>{}<Redirect method="POST">{}</Redirect></Response>\n'
)
LAST_RESORT = (
    '<?xml version="1.0" encoding="UTF-8"?>\n<Response><Say>We are sorry, we cannot take your call '
    "right now. Please call again in a few minutes. Goodbye.</Say><Hangup/></Response>\n"
)

log = logging.getLogger(__name__)


@dataclass(slots=True, kw_only=True)
class Desk:
    """Everything that answering Twilio needs."""

    settings: Settings
    lines: Mapping[str, NumberSettings]
    templates: Templates
    journal: Journal
    agent: Agent
    signatures: Signatures
    tickets: Tickets
    watch: Watch
    """The guard, while calls run."""
    fallback: str
    """The document for when nothing else can be answered, rendered at start."""
    calls: Calls
    """Calls that are on the line, wherever they are served."""
    targets: Sequence[Target]
    """Who takes calls over, in order."""
    directory: Directory
    """Which call a conversation is about."""
    conversations: Conversations | None = None
    """`None` without a configuration: then there are no conversations to find."""
    recalls: Recalls | None = None
    """`None` without a memory: then nobody is looked up."""
    seen: Seen = field(default_factory=Seen)
    """What Twilio has told already."""
    lookout: Lookout | None = None
    """`None` without a configuration."""
    followups: Followups | None = None
    """What is done after calls."""
    sessions: dict[str, Connection] = field(default_factory=dict)
    """The sessions that are open on this process, by CallSid."""
    roster: Roster = field(init=False)
    """The calls of this process, with a socket or without."""
    admission: Admission = field(init=False)
    """Whether it takes new ones."""
    presence: Presence = field(init=False)
    """The other servers, where there can be any."""
    ready: bool = False
    stopping: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when the server stops: what would go on for ever ends now."""
    background: set[asyncio.Task[None]] = field(default_factory=set)
    """What goes on beside the requests; the loop itself keeps no reference. It ends with the server."""

    def __post_init__(self) -> None:
        settings = self.settings
        self.roster = Roster(self.sessions)
        self.admission = Admission(self.roster, max_calls=settings.max_calls, max_lag_ms=settings.max_lag_ms)
        self.presence = Presence(self.journal, self.admission)

    @property
    def draining(self) -> bool:
        """Whether the server was told to stop."""
        return self.admission.draining

    def peers(self) -> list[Server]:
        """The other servers that take new calls now."""
        return self.presence.peers

    def successors(self) -> list[Server]:
        """The other servers that go on with our calls."""
        return self.presence.successors

    def elsewhere(self, path: str, form: Form) -> Response | None:
        """Have Twilio ask the same at our public address, where the balancer may choose another server.

        None if there is no other, or if the call has been sent on often enough. ``?hop=`` counts.
        """
        told = form.query.get("hop", "")
        hops = int(told) if told.isdecimal() and len(told) < 4 else 0
        others = self.successors() if path == RESUME else self.peers()
        if hops >= MAX_HOPS or not others:
            return None
        pause = '<Pause length="1"/>' if hops >= HOPS_AT_ONCE else ""
        return twiml(REDIRECT.format(pause, f"{self.settings.origin}{path}?hop={hops + 1}"))

    def beside(self, work: Coroutine[Any, Any, None]) -> None:
        """Do something that nobody waits for."""
        task = asyncio.create_task(work)
        self.background.add(task)
        task.add_done_callback(self.background.discard)

    async def stop_background(self) -> None:
        """Give up what still goes on."""
        tasks = list(self.background)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def over(self, call_sid: str, state: str, duration_s: float | None = None, *, once: str = "") -> None:
        """A call is over, as Twilio told us; it may tell us several times."""
        self.journal.write(call_sid, Closed(state, duration_s), once=once)
        if self.recalls is not None:
            self.recalls.end(call_sid)
        if self.followups is not None:
            self.followups.begin(call_sid)

    async def entries(self, call_sid: str) -> Sequence[Entry]:
        """What happened on a call. If the journal cannot be read, the call goes on without."""
        try:
            return await self.journal.events(call_sid)
        except JournalError as error:
            log.error("call %s: its history is lost: %s", call_sid, error)
            return []

    def line(self, number: str) -> NumberSettings:
        """How this number is answered."""
        return self.lines.get(number, self.settings)

    def context(self, form: Form, reason: str, conversation_id: str | None = None) -> Context:
        """What the templates can use, for the call that Twilio asks about."""
        inbound = form.get("Direction", "inbound") == "inbound"
        caller, number = form.get("From", ""), form.get("To", "")
        if not inbound:
            caller, number = number, caller
        line, call_sid = self.line(number), form["CallSid"]
        return Context(
            call_sid=call_sid,
            caller=caller,
            number=number,
            reason=reason,
            relay_url=f"{self.settings.socket_origin}/relay/{self.tickets.issue(call_sid)}",
            action_url=self.settings.origin + RELAY_ENDED,
            conversation_configuration=self.settings.conversation_configuration,
            conversation_id=conversation_id,
            greeting=line.greeting,
            resume_greeting=line.resume_greeting,
            language=line.language,
            tts_provider=line.tts_provider,
            voice=line.voice,
            transcription_provider=line.transcription_provider,
            speech_model=line.speech_model,
            hints=line.hints,
            interruptible=line.interruptible,
            partial_prompts=line.speculate != "off",
            reconnect=line.reconnect,
            parameters={"number": number, "caller": caller},
        )

    def engine(self, entries: Sequence[Entry]) -> Engine:
        """The speech-to-text that listens to a call now, as far as the documents that went out tell."""
        served = [entry.event.engine for entry in entries if isinstance(entry.event, Served)]
        return cast(Engine, served[-1]) if served else ""

    def serve(self, template: str, context: Context, entries: Sequence[Entry] = ()) -> Response:
        """Answer with a template, and note in the journal that we did.

        ``entries`` is what happened on the call before. A document that would have a second engine listen to
        the call is never sent (STT104): the caller is told goodbye instead, which stops both.
        """
        document = self.templates.render(template, context)
        content = parsed(document)
        running = self.engine(entries)
        try:
            engine = engine_after(content, running)
        except OverlapError as error:
            log.error("call %s: STT104: %s was not sent: %s", context.call_sid, template, error)
            self.journal.write(context.call_sid, Failed("STT104", f"{template}: {error}"))
            stop = replace(context, reason="failed", transcribing=running == "transcription")
            template, engine = "goodbye.xml", ""
            document = self.templates.render(template, stop)
            content = parsed(document)
        self.journal.write(context.call_sid, Served(template, context.reason, greeting(content), engine))
        self._expect(template, context, engine)
        return twiml(document)

    def _expect(self, template: str, context: Context, engine: Engine) -> None:
        """Note what is to come next on a call that has been answered."""
        if engine == "relay":
            self.roster.expect(context.call_sid, Wait.SOCKET)
        elif context.callback_url:
            self.roster.expect(context.call_sid, Wait.CHOICE)
        elif context.target == "studio":
            self.roster.over(context.call_sid)
        elif template in ("busy.xml", "goodbye.xml"):
            self.roster.expect(context.call_sid, Wait.STATUS)
        else:
            self.roster.expect(context.call_sid, Wait.PEOPLE)


def twiml(document: str) -> Response:
    return Response(document, media_type="text/xml")


def parsed(document: str) -> Element:
    """A document of ours. The linter refuses templates that declare entities: none can expand here."""
    return ElementTree.fromstring(document)  # noqa: S314


def greeting(content: Element) -> str:
    """What Twilio will speak when the document's session begins; it belongs into the history."""
    relay = content.find(".//ConversationRelay")
    return "" if relay is None else relay.get("welcomeGreeting", "")
