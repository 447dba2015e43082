"""What the webhooks work with: the parts of the server, built once, and what they share."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from defusedxml import ElementTree
from starlette.responses import Response

from voice_app.agents.protocol import Agent
from voice_app.journal import Journal
from voice_app.journal.events import Served
from voice_app.orchestrator import Conversations
from voice_app.relay.ticket import Tickets
from voice_app.settings import Line, Settings
from voice_app.twiml.templates import Context, Templates
from voice_app.webhooks.signature import Form, Signatures

RELAY_ENDED = "/voice/relay-ended"
NOTHING = '<?xml version="1.0" encoding="UTF-8"?>\n<Response/>\n'
"""The answer where the call needs no more instructions."""
LAST_RESORT = (
    '<?xml version="1.0" encoding="UTF-8"?>\n<Response><Say>We are sorry, we cannot take your call '
    "right now. Please call again in a few minutes. Goodbye.</Say><Hangup/></Response>\n"
)

log = logging.getLogger(__name__)


@dataclass(slots=True, kw_only=True)
class Desk:
    """Everything that answering Twilio needs."""

    settings: Settings
    lines: Mapping[str, Line]
    templates: Templates
    journal: Journal
    agent: Agent
    signatures: Signatures
    tickets: Tickets
    fallback: str
    """The document for when nothing else can be answered, rendered at start."""
    conversations: Conversations | None = None
    """`None` without a configuration: then there are no conversations to find."""
    ready: bool = False

    def line(self, number: str) -> Line:
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
            parameters={"number": number, "caller": caller},
        )

    def serve(self, template: str, context: Context) -> Response:
        """Answer with a template, and note in the journal that we did."""
        document = self.templates.render(template, context)
        self.journal.write(context.call_sid, Served(template, context.reason, greeting(document)))
        return twiml(document)


def twiml(document: str) -> Response:
    return Response(document, media_type="text/xml")


def greeting(document: str) -> str:
    """What Twilio will speak when the document's session begins; it belongs into the history."""
    relay: Any = ElementTree.fromstring(document).find(".//ConversationRelay")
    return "" if relay is None else str(relay.get("welcomeGreeting", ""))
