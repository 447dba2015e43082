"""What the TwiML linter checks: every rule, once, with the reason for it."""

from __future__ import annotations

from dataclasses import dataclass

from voice_app.findings import Finding, Severity

_ERROR, _WARNING, _NOTE = Severity.ERROR, Severity.WARNING, Severity.NOTE


@dataclass(slots=True, frozen=True)
class Rule:
    """One thing that can be wrong with a document."""

    id: str
    """Stable: ``TWI1xx`` for TwiML, ``TWI2xx`` for templates and files, ``STT…`` for double billing."""
    severity: Severity
    """How bad it usually is; a finding about a weak fact says WARNING."""
    title: str
    explanation: str


_TABLE = (
    Rule(
        "TWI101",
        _ERROR,
        "not well-formed XML",
        "Twilio refuses the document (error 12100) and the caller hears an application error.",
    ),
    Rule(
        "TWI102",
        _ERROR,
        "unsafe XML",
        "Document types and entities have no use in TwiML and are a way to attack whatever reads it.",
    ),
    Rule(
        "TWI103",
        _ERROR,
        "the root is not <Response>",
        "Twilio refuses the document (error 12102) and the caller hears an application error.",
    ),
    Rule(
        "TWI104",
        _ERROR,
        "unknown verb or noun",
        "Twilio does not run what it does not know. Names are case-sensitive.",
    ),
    Rule("TWI105", _ERROR, "element in the wrong place", "Twilio does not look for this element here."),
    Rule(
        "TWI106",
        _ERROR,
        "unknown attribute",
        "Twilio ignores an attribute that it does not know, without a word.",
    ),
    Rule(
        "TWI107",
        _ERROR,
        "misnamed conversation attribute",
        "Twilio ignores it without a word, and no conversation is created for the call.",
    ),
    Rule(
        "TWI108",
        _ERROR,
        "both conversation attributes at once",
        "conversationConfiguration finds or creates a conversation, conversationId joins one; "
        "which of the two wins is not documented for every verb.",
    ),
    Rule(
        "TWI109",
        _ERROR,
        "not an id of the right kind",
        "Twilio's ids carry their kind in front; another kind names nothing here.",
    ),
    Rule(
        "TWI110",
        _ERROR,
        "WebSocket URL that is not wss://",
        "Twilio only opens encrypted WebSockets; anything else is error 64101.",
    ),
    Rule(
        "TWI111",
        _ERROR,
        "voice with a provider in front",
        "ConversationRelay takes the bare name of a voice; the provider goes into ttsProvider. "
        "The prefixed names belong to <Say>. The session fails (error 64101).",
    ),
    Rule(
        "TWI112",
        _ERROR,
        "bad value",
        "A value that Twilio cannot use for an attribute that it knows fails the verb; for "
        "<ConversationRelay> that is error 64101 and the end of the session.",
    ),
    Rule("TWI113", _ERROR, "missing attribute", "The element cannot work without it."),
    Rule(
        "TWI114",
        _WARNING,
        "verb that never runs",
        "After a verb with an action, what Twilio gets from the action's URL decides; after <Redirect>, "
        "<Hangup> and their like nothing of this document is left.",
    ),
    Rule("TWI115", _ERROR, "text where none belongs", "Twilio ignores the text: nobody hears it."),
    Rule("TWI116", _ERROR, "missing text", "The element needs its text: a number, a name, a URL."),
    Rule(
        "TWI117",
        _ERROR,
        "ConversationRelay and Stream on one call",
        "<Connect><ConversationRelay> and <Connect><Stream> exclude each other on a call.",
    ),
    Rule(
        "TWI118",
        _WARNING,
        "relay without an action",
        "Without an action on <Connect>, a dropped socket ends the call, and so does a handoff: "
        "nobody is asked what to do next.",
    ),
    Rule(
        "TWI119",
        _WARNING,
        "transcription without a name",
        "<Stop> finds a transcription by its name; without one it goes on until the call ends.",
    ),
    Rule(
        "TWI120",
        _NOTE,
        "not checked",
        "What may stand in this element is not confirmed, so its attributes and children pass unchecked.",
    ),
    Rule(
        "TWI121",
        _ERROR,
        "attributes that do not go together",
        "A model, a language or a voice that the provider does not have ends the session; "
        "a switch that belongs to another provider is ignored.",
    ),
    Rule(
        "TWI122",
        _WARNING,
        "two recognisers at once",
        "A second <Transcription>, or a <Gather> for speech, listens to the same audio again, "
        "and speech-to-text is billed for each.",
    ),
    Rule(
        "TWI123",
        _ERROR,
        "the word None as a value",
        "A template printed a variable that is not set; Twilio takes the word for the value.",
    ),
    Rule("TWI124", _ERROR, "nothing in it", "The verb does nothing without something in it."),
    Rule(
        "TWI201",
        _ERROR,
        "template syntax error",
        "The template cannot be compiled, so the call could not be answered.",
    ),
    Rule(
        "TWI202",
        _ERROR,
        "unknown variable",
        "A variable that does not exist is an error when the call comes in, never an empty string.",
    ),
    Rule(
        "TWI203", _ERROR, "missing template", "A template that it includes, extends or imports is not there."
    ),
    Rule(
        "TWI204",
        _ERROR,
        "template fails",
        "Filling in the template raised an error; on a call the caller would hear an application error.",
    ),
    Rule("TWI205", _ERROR, "unreadable file", "What cannot be read cannot be checked, nor served."),
    Rule(
        "STT104",
        _ERROR,
        "speech-to-text runs twice",
        "<Transcription> and ConversationRelay each run a speech-to-text engine on the call, and both are "
        "billed. This rule cannot be overridden.",
    ),
)

RULES: dict[str, Rule] = {rule.id: rule for rule in _TABLE}
"""Every rule of the linter by its id."""


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

    def finding(self, where: str, line: int | None, evidence: tuple[str, ...] = ()) -> Finding:
        """The finding for a file and a line in it."""
        rule = RULES[self.rule]
        note = f" Note: {self.note}." if self.note else ""
        return Finding(
            rule=rule.id,
            severity=self.severity or rule.severity,
            where=where,
            line=line,
            message=self.message,
            reason=rule.explanation + note,
            evidence=evidence,
            fix=self.fix,
        )
