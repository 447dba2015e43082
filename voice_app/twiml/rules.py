"""What the TwiML linter checks: every rule, once, with the reason for it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from voice_app.findings import ERROR, NOTE, WARNING, Finding, Rule, Severity, declare

_TABLE: Final = (
    declare(
        "TWI101",
        ERROR,
        "not well-formed XML",
        "Twilio refuses the document (error 12100) and the caller hears an application error.",
        fix="Correct the XML at this place.",
    ),
    declare(
        "TWI102",
        ERROR,
        "unsafe XML",
        "Document types and entities have no use in TwiML and are a way to attack whatever reads it.",
        fix="Remove the declaration.",
    ),
    declare(
        "TWI103",
        ERROR,
        "the root is not <Response>",
        "Twilio refuses the document (error 12102) and the caller hears an application error.",
        fix="Put the verbs into <Response>…</Response>.",
    ),
    declare(
        "TWI104",
        ERROR,
        "unknown verb or noun",
        "Twilio does not run what it does not know. Names are case-sensitive.",
        fix="Write a name that Twilio knows, or allow it by name if it is new (VOICE_APP_ALLOW_ELEMENTS).",
    ),
    declare(
        "TWI105",
        ERROR,
        "element in the wrong place",
        "Twilio does not look for this element here.",
        fix="Move it to where it belongs.",
    ),
    declare(
        "TWI106",
        ERROR,
        "unknown attribute",
        "Twilio ignores an attribute that it does not know, without a word.",
        fix="Take it out, or allow it by name if it is new (VOICE_APP_ALLOW_ATTRIBUTES).",
    ),
    declare(
        "TWI107",
        ERROR,
        "misnamed conversation attribute",
        "Twilio ignores it without a word, and no conversation is created for the call.",
        fix="Write conversationConfiguration or conversationId.",
    ),
    declare(
        "TWI108",
        ERROR,
        "both conversation attributes at once",
        "conversationConfiguration finds or creates a conversation, conversationId joins one; "
        "which of the two wins is not documented for every verb.",
        fix="Keep one: conversationId for a conversation that exists, else conversationConfiguration.",
    ),
    declare(
        "TWI109",
        ERROR,
        "not an id of the right kind",
        "Twilio's ids carry their kind in front; another kind names nothing here.",
        fix="Write an id of the kind that the attribute names.",
    ),
    declare(
        "TWI110",
        ERROR,
        "WebSocket URL that is not wss://",
        "Twilio only opens encrypted WebSockets; anything else is error 64101.",
        fix="Write a wss:// URL.",
    ),
    declare(
        "TWI111",
        ERROR,
        "voice with a provider in front",
        "ConversationRelay takes the bare name of a voice; the provider goes into ttsProvider. "
        "The prefixed names belong to <Say>. The session fails (error 64101).",
        fix="Write the bare name of the voice, and its provider into ttsProvider.",
    ),
    declare(
        "TWI112",
        ERROR,
        "bad value",
        "A value that Twilio cannot use for an attribute that it knows fails the verb; for "
        "<ConversationRelay> that is error 64101 and the end of the session.",
        fix="Write a value that Twilio takes.",
    ),
    declare(
        "TWI113",
        ERROR,
        "missing attribute",
        "The element cannot work without it.",
        fix="Add the attribute.",
    ),
    declare(
        "TWI114",
        WARNING,
        "verb that never runs",
        "After a verb with an action, what Twilio gets from the action's URL decides; after "
        "<Redirect>, <Hangup> and their like nothing of this document is left.",
        fix="Take it out, or move it up.",
    ),
    declare(
        "TWI115",
        ERROR,
        "text where none belongs",
        "Twilio ignores the text: nobody hears it.",
        fix="Take it out, or put it into <Say>.",
    ),
    declare(
        "TWI116",
        ERROR,
        "missing text",
        "The element needs its text: a number, a name, a URL.",
        fix="Write the text.",
    ),
    declare(
        "TWI117",
        ERROR,
        "ConversationRelay and Stream on one call",
        "<Connect><ConversationRelay> and <Connect><Stream> exclude each other on a call.",
        fix="Choose one of the two for the whole call.",
    ),
    declare(
        "TWI118",
        WARNING,
        "relay without an action",
        "Without an action on <Connect>, a dropped socket ends the call, and so does a handoff: "
        "nobody is asked what to do next.",
        fix='Add action="{{ action_url }}", or the URL that answers how the session ended.',
    ),
    declare(
        "TWI119",
        WARNING,
        "transcription without a name",
        "<Stop> finds a transcription by its name; without one it goes on until the call ends.",
        fix='Give it one, the same in <Start> and in <Stop>: name="…".',
    ),
    declare(
        "TWI120",
        NOTE,
        "not checked",
        "What may stand in this element is not confirmed, so its attributes and children pass unchecked.",
        fix="Look it up in Twilio's documentation.",
    ),
    declare(
        "TWI121",
        ERROR,
        "attributes that do not go together",
        "A model, a language or a voice that the provider does not have ends the session; a "
        "switch that belongs to another provider is ignored.",
        fix="Change one of the two, or leave it out.",
    ),
    declare(
        "TWI122",
        WARNING,
        "two recognisers at once",
        "A second <Transcription>, or a <Gather> for speech, listens to the same audio again, and "
        "speech-to-text is billed for each.",
        fix="Stop the transcription first with <Stop>, or leave one of the two out.",
    ),
    declare(
        "TWI123",
        ERROR,
        "the word None as a value",
        "A template printed a variable that is not set; Twilio takes the word for the value.",
        fix="Leave the attribute out where the variable is not set: {% if … %} around it, or | xmlattr.",
    ),
    declare(
        "TWI124",
        ERROR,
        "nothing in it",
        "The verb does nothing without something in it.",
        fix="Put something into it, or take it out.",
    ),
    declare(
        "TWI125",
        WARNING,
        "attribute in another case",
        "XML tells capital letters apart, and which spelling Twilio reads beside that of its "
        "helper libraries is not known.",
        fix="Write the attribute as Twilio's helper libraries do.",
    ),
    declare(
        "TWI126",
        WARNING,
        "asks for itself again",
        "Without an action Twilio requests the URL of this same document when the verb is done: "
        "the caller hears it again, and what was said or pressed goes to whatever answers there.",
        fix='Add action="…" with the URL that takes the result.',
    ),
    declare(
        "TWI127",
        ERROR,
        "document too large",
        "Twilio refuses a document over 64 kB (error 11750) and the caller hears an application error.",
        fix="Say less in one document, or play a recording; <Redirect> to a second document.",
    ),
    declare(
        "TWI128",
        ERROR,
        "bytes that are not what the declaration says",
        "Twilio reads the bytes as the XML declaration says: it refuses the document (error "
        "12100), or callers hear wrong letters.",
        fix='Save it as UTF-8 and write encoding="UTF-8", or leave the declaration out.',
    ),
    declare(
        "TWI129",
        WARNING,
        "asks for what it does not listen to",
        "The caller does what is said, and nothing comes of it.",
        fix="Listen for it, or say something else.",
    ),
    declare(
        "TWI130",
        NOTE,
        "words that may be lost",
        "reportInputDuringAgentSpeech is none unless it is written: what is said while the agent speaks "
        "stops the voice and never comes as a prompt.",
        fix='Write reportInputDuringAgentSpeech="any"; or "none" or "dtmf" if the words are not wanted.',
    ),
    declare(
        "TWI201",
        ERROR,
        "template syntax error",
        "The template cannot be compiled, so the call could not be answered.",
        fix="Correct the template at this line.",
    ),
    declare(
        "TWI202",
        ERROR,
        "unknown variable",
        "A variable that does not exist is an error when the call comes in, never an empty string.",
        fix="Use a variable that exists, or define it with {% set … %}.",
    ),
    declare(
        "TWI203",
        ERROR,
        "missing template",
        "A template that it includes, extends or imports is not there.",
        fix="Add the template, or correct its name.",
    ),
    declare(
        "TWI204",
        ERROR,
        "template fails",
        "Filling in the template raised an error; on a call the caller would hear an application error.",
        fix="Correct the expression at this line.",
    ),
    declare(
        "TWI205",
        ERROR,
        "unreadable file",
        "What cannot be read cannot be checked, nor served.",
        fix="Save the file as UTF-8 and let the server read it.",
    ),
    declare(
        "TWI206",
        WARNING,
        "configuration that no template passes on",
        "Without conversationConfiguration in the document, Twilio creates no conversation for the call: "
        "nothing is remembered, and nothing is analysed.",
        fix='Write conversationConfiguration="{{ conversation_configuration }}", as _relay.xml does.',
    ),
    declare(
        "TWI207",
        NOTE,
        "template that ships",
        "A folder of templates need not have all of them; what it lacks is taken from those that ship.",
        fix="Copy the ones that you want to change from the templates that ship: voice-app init writes them.",
    ),
    declare(
        "STT104",
        ERROR,
        "speech-to-text runs twice",
        "<Transcription> and ConversationRelay each run a speech-to-text engine on the call, and "
        "both are billed.",
        fix="Take <Start><Transcription> out, or stop it with <Stop> before the <Connect>.",
        binding="every call that gets the document would be billed twice for certain",
    ),
)

RULES: Final[Mapping[str, Rule]] = MappingProxyType({rule.id: rule for rule in _TABLE})
"""Every rule of the linter by its id: ``TWI1xx`` for TwiML, ``TWI2xx`` for templates, and STT104."""


@dataclass(slots=True, frozen=True, kw_only=True)
class Breach:
    """A rule broken at one place of a document that has no file yet."""

    rule: str
    offset: int
    """Where, in characters from the start of the document."""
    message: str
    fix: str = ""
    subject: str = ""
    """What it is about, without the values: equal in every rendering of the same template line."""
    severity: Severity | None = None
    """Where it differs from the rule's own."""
    note: str = ""
    """What is not certain about it."""
    related: tuple[tuple[str, int], ...] = ()
    """Other places that belong to it: what stands there, and its offset."""
    combines: bool = False
    """It is about values that do not go together, so made-up values prove nothing."""

    def finding(self, where: str, line: int | None, evidence: tuple[str, ...] = ()) -> Finding:
        """The finding for a file and a line in it."""
        return RULES[self.rule].finding(
            where,
            self.message,
            line=line,
            evidence=evidence,
            fix=self.fix,
            severity=self.severity,
            note=self.note,
        )
