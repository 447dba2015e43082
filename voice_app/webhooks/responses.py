"""Answers in TwiML: a template that is filled in and journaled, a redirect, and the last resort."""

from __future__ import annotations

import logging
import re
from typing import Final
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

import msgspec
from cachetools import LRUCache
from msgspec.structs import replace
from starlette.responses import Response

from voice_app.agents import cleaned
from voice_app.calls import CallState, Engine
from voice_app.calls.wire import kept_document
from voice_app.journal.events import Failed, Served
from voice_app.runtime import ExpectedNext, Services
from voice_app.runtime.addresses import RELAY, RELAY_ENDED, RESUME
from voice_app.twiml import Context, values_of
from voice_app.webhooks.request import CallRequest

NOTHING: Final = '<?xml version="1.0" encoding="UTF-8"?>\n<Response/>\n'
"""The answer where the call needs no more instructions."""
REDIRECT: Final = (
    '<?xml version="1.0" encoding="UTF-8"?>\n<Response>{}<Redirect method="POST">{}</Redirect></Response>\n'
)
LAST_RESORT: Final = (
    '<?xml version="1.0" encoding="UTF-8"?>\n<Response><Say>We are sorry, we cannot take your call '
    "right now. Please call again in a few minutes. Goodbye.</Say><Hangup/></Response>\n"
)
MAX_HOPS: Final = 8
"""How often a caller is sent on to another server; after that all lines are busy."""
HOPS_WITHOUT_PAUSE: Final = 3
"""After these each hop waits a second: the other servers need time to notice, too."""

log = logging.getLogger(__name__)


def twiml(document: str) -> Response:
    """The answer that holds this document."""
    return Response(document, media_type="text/xml")


def redirect_elsewhere(services: Services, path: str, request: CallRequest) -> Response | None:
    """Have Twilio ask the same at our public address, where the balancer may choose another server.

    None if there is no other, or if the call has been sent on often enough. ``?hop=`` counts.
    """
    others = services.peers.successors if path == RESUME else services.peers.ready
    if request.hop >= MAX_HOPS or not others:
        return None
    pause = '<Pause length="1"/>' if request.hop >= HOPS_WITHOUT_PAUSE else ""
    return twiml(REDIRECT.format(pause, f"{services.settings.origin}{path}?hop={request.hop + 1}"))


def context_for(services: Services, call_sid: str, state: CallState, reason: str) -> Context:
    """What the templates can use on this call."""
    settings, parties, answer = services.settings, state.parties, state.answer
    return Context(
        call_sid=call_sid,
        caller=parties.caller,
        number=parties.number,
        reason=reason,
        relay_url=settings.socket_origin + RELAY.format(token=_token(services, call_sid)),
        action_url=settings.origin + RELAY_ENDED,
        conversation_id=state.conversation_id or state.joined or (answer and answer.conversation_id) or None,
        parameters={
            **(answer.parameters if answer is not None else {}),
            "number": parties.number,
            "caller": parties.caller,
        },
        **values_of(services.line_of(state), state.tts_language, state.transcription_language),
    )


ANSWER_MS: Final = 10
"""How far the ids of what is written with an answer may be beyond those of what was written before."""


def _token(services: Services, call_sid: str) -> str:
    """Opens the socket, on a server that may be another one and must not write of an earlier time."""
    after = services.journal.reached + ANSWER_MS if services.journal.shared else 0
    return services.tickets.issue(call_sid, after)


def serve(services: Services, template: str, context: Context, state: CallState | None = None) -> Response:
    """Answer with a template, see `serve_document`."""
    return serve_document(services, template, context, state)[0]


def serve_document(
    services: Services, template: str, context: Context, state: CallState | None = None
) -> tuple[Response, Served]:
    """Answer with a template, and note in the journal that we did. Returns the answer and the note.

    ``state`` is what is known of the call; a new call has none. A document that would have a second engine
    listen to the call is never sent (STT104): the caller is told goodbye instead, which stops both.
    """
    running: Engine = "" if state is None else state.engine.now
    document = services.documents.render(template, context)
    try:
        facts = _facts_of(document, running, context)
    except OverlapError as error:
        log.error("call %s: STT104: %s was not sent: %s", context.call_sid, template, error)
        services.journal.write(context.call_sid, Failed("STT104", f"{template}: {error}"))
        stop = replace(context, reason="failed", transcribing=running == "transcription")
        template = "goodbye.xml"
        document = services.documents.render(template, stop)
        facts = replace(_read(parsed(document), ""), engine="")
    served = Served(
        template,
        context.reason,
        facts.greeting,
        facts.engine,
        configuration=facts.configuration,
        conversation=facts.conversation,
        transcript=facts.transcript,
        disclosure=_disclosure(document, services.line_of(state).disclosure if state is not None else ""),
        document=kept_document(document),
        question="" if state is None else state.engine.question,
    )
    services.journal.write(context.call_sid, served)
    _expect(services, template, context, facts.engine)
    return twiml(document), served


class _Facts(msgspec.Struct, frozen=True):
    """What a document says that we have to know, too."""

    greeting: str
    engine: Engine
    configuration: str
    conversation: str
    transcript: bool


_PLAIN: Final = re.compile(r"\+?\d{7,}|CA[0-9a-f]{32}|(?:client|sip):[\w.@+-]+")
"""Ids and addresses that cannot be markup, whatever document they stand in."""
_ANY: Final = "\ue000"
_READ: Final[LRUCache[tuple[str, Engine], _Facts]] = LRUCache(200)
"""What was read of documents in which nothing but the call is another: to parse each costs as much as to
render it."""


def _facts_of(document: str, running: Engine, context: Context) -> _Facts:
    """What a document says. Raises `OverlapError`."""
    shape = document.replace(context.relay_url, _ANY) if context.relay_url else document
    for own in (context.call_sid, context.caller):
        if _PLAIN.fullmatch(own):
            shape = shape.replace(own, _ANY)
    facts = _READ.get((shape, running))
    if facts is None:
        facts = _read(parsed(document), running)
        if _read(parsed(shape), running) == facts:  # nothing in it is the call's own
            _READ[shape, running] = facts
    return facts


def _read(content: Element, running: Engine) -> _Facts:
    """Raises `OverlapError`."""
    return _Facts(
        _greeting(content),
        engine_after(content, running),
        _named(content, "conversationConfiguration"),
        _named(content, "conversationId"),
        _asks_for_transcript(content),
    )


def _expect(services: Services, template: str, context: Context, engine: Engine) -> None:
    """Note what is to come next on a call that has been answered."""
    registry, call_sid = services.registry, context.call_sid
    if engine == "relay":
        registry.expect(call_sid, ExpectedNext.SOCKET)
    elif context.callback_url:
        registry.expect(call_sid, ExpectedNext.CHOICE)
    elif context.target == "studio":
        registry.call_ended(call_sid)
    elif template in ("busy.xml", "goodbye.xml"):
        registry.expect(call_sid, ExpectedNext.STATUS)
    else:
        registry.expect(call_sid, ExpectedNext.PEOPLE)


def parsed(document: str) -> Element:
    """A document of ours. The linter refuses templates that declare entities: none can expand here."""
    return ElementTree.fromstring(document)  # noqa: S314


def _named(content: Element, attribute: str) -> str:
    """The configuration or the conversation that a document names, whoever put it there."""
    named = (element.get(attribute, "") for element in content.iter())
    return next(filter(None, named), "")


def _asks_for_transcript(content: Element) -> bool:
    """Whether Twilio is to write down what the caller leaves as a message."""
    found = content.iter("Record")
    return any(record.get("transcribe") == "true" or record.get("transcribeCallback") for record in found)


def _disclosure(document: str, disclosure: str) -> str:
    """The disclosure of the number, if a document has it said."""
    said = disclosure and any(disclosure in (say.text or "") for say in parsed(document).iter("Say"))
    return cleaned(disclosure) if said else ""


def _greeting(content: Element) -> str:
    """What Twilio will speak when the document's session begins; it belongs into the history."""
    relay = content.find(".//ConversationRelay")
    return "" if relay is None else relay.get("welcomeGreeting", "")


class OverlapError(Exception):
    """A document would have two engines listen to one call. The text says which."""


def engine_after(document: Element, running: Engine) -> Engine:
    """The engine that listens once Twilio has run a document, when ``running`` listened before it.

    A session of ConversationRelay is over before Twilio asks for the next document; a transcription goes
    on until it is stopped. Raises `OverlapError` for a document that must not be sent.
    """
    if running == "relay":
        running = ""
    for verb in document:
        names = {noun.tag for noun in verb}
        if verb.tag == "Stop" and "Transcription" in names:
            running = ""
        elif verb.tag == "Start" and "Transcription" in names:
            if running == "transcription":
                raise OverlapError("it starts a <Transcription> while another one is running")
            running = "transcription"
        elif verb.tag == "Connect" and "ConversationRelay" in names:
            if running == "transcription":
                raise OverlapError("it connects to ConversationRelay while a <Transcription> is running")
            running = "relay"
    return running
