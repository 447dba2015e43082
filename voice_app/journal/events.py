"""What can happen on a call. An event is a fact: it is written once and never changed."""

from __future__ import annotations

from typing import TypeAlias

import msgspec


class _Event(msgspec.Struct, frozen=True, tag_field="kind", omit_defaults=True, gc=False):
    """Without cyclic garbage collection: an event never refers to itself."""


class Opened(_Event, tag="opened", frozen=True):
    """Twilio asked what to do with a call."""

    from_: str = msgspec.field(default="", name="from")
    to: str = ""
    direction: str = ""
    webhook: dict[str, str] = {}
    """What else Twilio told: ``CallerName``, ``StirVerstat``, ``ForwardedFrom``, ``SipHeader_…``."""


class AnswerDecided(_Event, tag="answer-decided", frozen=True):
    """The agent's author decided how this call is answered; what is empty is as the settings say."""

    greeting: str | None = None
    language: str = ""
    agent: str = ""
    """One of ``VOICE_APP_AGENTS``."""
    parameters: dict[str, str] = {}
    conversation_id: str = ""
    people: tuple[str, ...] = ()
    """Who is rung at once, instead of the agent's answering."""
    reject: str = ""
    """``busy`` or ``rejected``: the call is not taken."""


class Served(_Event, tag="served", frozen=True):
    """TwiML went out."""

    template: str
    reason: str
    greeting: str = ""
    """The ``welcomeGreeting`` in it, which Twilio speaks when the session begins."""
    engine: str = ""
    """The speech-to-text that listens once it was run: ``relay``, ``transcription`` or none."""
    configuration: str = ""
    """The Orchestrator configuration that it names, ``conv_configuration_…``."""
    conversation: str = ""
    """The conversation that it names instead, ``conv_conversation_…``."""
    transcript: bool = False
    """It asks for the transcript of a message that the caller may leave."""
    disclosure: str = ""
    """What it has said before anything else, and the caller has to hear."""
    document: str = ""
    """The TwiML, cut if it is long, with dots for tokens and secrets."""
    question: str = ""
    """What Twilio had asked: the same again if it asks again. Empty where it makes no difference."""


class VariantChosen(_Event, tag="variant", frozen=True):
    """``VOICE_APP_VARIANTS`` gave this call to one of its agents."""

    variant: str
    """As the setting names it: one of ``VOICE_APP_AGENTS``, or ``default``."""
    agent: str = ""
    """One of ``VOICE_APP_AGENTS``; empty: that of the number."""


class AgentAssigned(_Event, tag="agent", frozen=True):
    """Who talks with the caller from now on."""

    agent: str
    """As the settings name it: one of ``VOICE_APP_AGENTS``, a built-in, or ``module:name``."""
    version: str = ""
    """A hash of what it is made of: prompt, model and tools. It changes when they do."""


class SocketOpened(_Event, tag="socket", frozen=True):
    """The ticket in a session's address was used: it opens no other session."""

    ticket: str
    """The part of the ticket that makes it unique."""


class Connected(_Event, tag="connected", frozen=True):
    """A ConversationRelay session began."""

    session_id: str
    language: str = ""
    parameters: dict[str, str] = {}
    """The ``<Parameter>``s of its TwiML."""


class Reconnected(_Event, tag="reconnected", frozen=True):
    """Twilio came back to a session whose socket was lost (``applicationReconnect``)."""

    session_id: str


class WireFrame(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One frame of a session."""

    at: float
    """Seconds since the epoch."""
    sent: bool
    """By us; else Twilio sent it."""
    text: str
    """Its JSON, cut if it is long, with dots for secrets."""


class Framed(_Event, tag="frames", frozen=True):
    """Frames of a session, in their order, where ``VOICE_APP_KEEP_FRAMES`` wants them."""

    frames: tuple[WireFrame, ...]


class Reconfigured(_Event, tag="config-updated", frozen=True):
    """How a session speaks or listens was changed: by a frame of ours, or because a provider failed."""

    detail: str = ""
    """What is in force now, as Twilio tells it. Its layout is not documented."""


class Conversed(_Event, tag="conversation", frozen=True):
    """The Orchestrator conversation of the call is known."""

    conversation_id: str
    configuration_id: str = ""


class Prompted(_Event, tag="prompt", frozen=True):
    """The caller said something, final. ``text`` is empty where it is a secret."""

    text: str
    language: str = ""


class Partial(_Event, tag="partial", frozen=True):
    """The caller is speaking: the words so far. Written once a second at most, and never of secrets."""

    text: str


class Pressed(_Event, tag="keys", frozen=True):
    """The caller pressed keys. ``digits`` is empty where they are a secret."""

    digits: str


class Typing(_Event, tag="typing", frozen=True):
    """An entry is growing: the keys so far. Never written of secrets; ``Pressed`` ends it."""

    digits: str


class KeysAwaited(_Event, tag="keys-awaited", frozen=True):
    """The agent changed how the next keys are collected; see ``voice_app.Keys``."""

    length: int
    terminator: str
    seconds: float
    sensitive: bool


class AnswerAwaited(_Event, tag="answer-awaited", frozen=True):
    """The agent asked something in the middle of its turn (``voice_app.ask``), and waits for the answer.

    It tells what that turn had begun with: after a break the turn begins again with it.
    """

    text: str
    """Empty for a secret, too: then it is a turn of the kind ``resumed``."""
    turn: str = "speech"
    """Its kind: ``speech``, ``keys``, ``silence`` or ``resumed``."""
    language: str = ""


class Overheard(_Event, tag="overheard", frozen=True):
    """The caller made a sound that asks for no answer, while the agent spoke."""

    text: str


class Speculated(_Event, tag="speculated", frozen=True):
    """The agent began on words that were not final; the final ones told whether the guess was right."""

    hit: bool
    saved_ms: float = 0.0
    """Milliseconds by which the first token came earlier."""


class Replied(_Event, tag="reply", frozen=True):
    """The agent's words. Written with the same ``reply`` while it grows, and whole once it is complete."""

    reply: int
    """Number of the reply in its session; 0 is the greeting."""
    session_id: str
    text: str
    """What was sent to be spoken, from the character ``begin`` on."""
    done: bool = False
    first_token_ms: float | None = None
    """Milliseconds from the prompt to the first token on the wire."""
    total_ms: float | None = None
    """Milliseconds from the prompt to the last token on the wire."""
    more: bool = False
    """The agent was about to go on, after something that takes time (``Break``)."""
    interruptible: bool = True
    """False for a disclosure and its like: it has to be heard to its end."""
    ends_turn: bool = False
    """The agent's turn is over with it: that of a filler, or of what is said before slow work, is not."""
    begin: int = 0
    """Characters of the reply that were told before; 0: ``text`` is all of it."""

    def after(self, told: str) -> str:
        """The reply as far as it is known by now. ``told`` is what was known before."""
        return told[: self.begin] + self.text if self.begin else self.text


class Played(_Event, tag="played", frozen=True):
    """How far the voice is known to have got; every reply before this one is over. The last one counts."""

    reply: int
    session_id: str
    characters: int
    """How much of the reply's text has been played to the caller."""
    sound_ms: float | None = None
    """Milliseconds from the prompt to the voice, where Twilio tells of it; said once for each answer."""


class Heard(_Event, tag="heard", frozen=True):
    """An interruption, or the end of the session, cut what had been sent: what the caller heard of one reply.

    Empty: nothing.
    """

    reply: int
    session_id: str
    text: str
    played_ms: float | None = None
    """Milliseconds of speech until the interruption, as Twilio measured them."""


class Acted(_Event, tag="action", frozen=True):
    """The agent did something other than speaking."""

    action: str
    detail: str = ""
    summary: str = ""
    """Of a transfer: what the person has to know."""


class ToolCalled(_Event, tag="tool", frozen=True):
    """The agent's model called a tool. Written before the tool is run."""

    round: int
    """Numbers the rounds of a call: the tools in one were called at once."""
    id: str
    """The model's name for this run, unique in its round."""
    name: str
    arguments: str = ""
    """JSON, cut if it is long. Empty where it could tell a secret of the caller's."""
    acts: bool = True
    """Whether it changes the world; what only reads may be called again."""


class ToolReturned(_Event, tag="tool-result", frozen=True):
    """A tool has returned, perhaps later than anybody waited for it."""

    round: int
    id: str
    name: str
    outcome: str = ""
    """What the model is told, cut if it is long. Empty where it could tell a secret of the caller's."""
    duration_ms: float | None = None


class ModelUsed(_Event, tag="model", frozen=True):
    """A model answered for this call, and took tokens."""

    model: str
    sent: int
    received: int
    cached: int = 0
    """Of those that were sent, how many the endpoint had cached."""
    estimated: bool = False
    """It was not told how many: they are guessed from the text. An answer that was cut off tells nothing."""


class Priced(_Event, tag="price", frozen=True):
    """What Twilio has charged for the call itself, sessions and legs aside."""

    amount: float
    """Never negative."""
    currency: str
    """ISO 4217, e.g. ``USD``."""


class Costed(_Event, tag="cost", frozen=True):
    """What the call cost, as far as it was known at its end; the last one counts. See ``calls/cost.py``."""

    amount: float
    currency: str
    second_engine: float = 0.0
    """What a second speech-to-text would have cost beside the one that there was."""


class HandedOff(_Event, tag="handoff", frozen=True):
    """A step on the way to a person and back; see ``voice_app/calls/handoff.py``."""

    step: str
    reason: str = ""
    summary: str = ""
    target: str = ""
    attempt: int = 0


class Transcribed(_Event, tag="transcript", frozen=True):
    """Something that was said after the agent had left, as ``<Transcription>`` heard it."""

    transcription_sid: str
    sequence: int
    """Grows along one track; entries may arrive out of order, and twice."""
    speaker: str
    """``caller`` or ``person``."""
    text: str
    final: bool = True


class Transcription(_Event, tag="transcription", frozen=True):
    """A ``<Transcription>`` began, stopped, or failed."""

    transcription_sid: str
    state: str
    engine: str = ""
    detail: str = ""


class Voicemail(_Event, tag="voicemail", frozen=True):
    """The caller left a message. Told in parts: the recording, and later what was said in it."""

    recording_sid: str
    url: str = ""
    duration_s: float | None = None
    text: str = ""
    transcription: str = ""
    """``completed`` or ``failed``, once Twilio has tried to write down what was said."""


class Alerted(_Event, tag="alert", frozen=True):
    """Twilio's Debugger reported that something went wrong. `voice_app.twilio.alerts` says what it means."""

    code: str
    """Twilio's error code."""
    level: str = ""
    """``error`` or ``warning``."""
    text: str = ""
    """What Twilio says."""
    resource: str = ""
    """The SID or id of what it is about: the call, as a rule."""
    url: str = ""
    """What Twilio had asked, without the query."""
    status: str = ""
    """The HTTP status of the answer, if there was one."""
    at: str = ""
    """When it happened, as Twilio wrote it."""


class Supervised(_Event, tag="supervised", frozen=True):
    """Somebody of ours acted on the call from outside."""

    act: str
    """``handoff``, ``end``, ``say``, ``note``, ``mute``, ``unmute``, ``comment``, ``return`` (the agent gets
    the caller back), ``report`` (it is sent again), ``done`` (who had reached nobody is seen to),
    ``call-back`` (now, and not when it is time) or ``no-call-back`` (not any more)."""
    by: str
    """Who: a user of ``VOICE_APP_USERS``, ``key NAME``, ``api token``, ``sandbox``."""
    text: str = ""
    """What is said or noted, or why."""
    target: str = ""
    """Of a handoff: who is to be rung first; empty: whoever it is as a rule."""


class Failed(_Event, tag="failure", frozen=True):
    """Something went wrong while a caller was on the line."""

    what: str
    detail: str = ""


class Disconnected(_Event, tag="disconnected", frozen=True):
    """The socket of a ConversationRelay session is gone. Twilio may come back to it (``Reconnected``)."""

    session_id: str
    code: int = 0
    told: bool = False
    """Every reply of which no ``Heard`` tells anything else was heard in full."""


class SessionEnded(_Event, tag="session-ended", frozen=True):
    """A ConversationRelay session is over, as Twilio reported it to the action URL."""

    session_id: str
    status: str
    duration_s: float | None = None
    error_code: str = ""
    error_message: str = ""
    handoff_data: str = ""


class Closed(_Event, tag="closed", frozen=True):
    """The call is over."""

    status: str
    duration_s: float | None = None


class TurnedAway(_Event, tag="turned-away", frozen=True):
    """This server did not take a new call."""

    why: str
    """``full``, ``refusing`` or ``draining``."""
    to: str
    """What it got instead: another ``server``, ``people``, or the ``message`` of ``busy.xml``."""


class CallbackWanted(_Event, tag="callback-wanted", frozen=True):
    """A caller who was turned away wants to be called back as soon as a line is free."""

    to: str
    """The caller's number, E.164."""
    from_: str = msgspec.field(default="", name="from")
    """Our number, the one that was called."""


class Notified(_Event, tag="notified", frozen=True):
    """Conversation Orchestrator reported that something has changed."""

    event_type: str
    """E.g. ``PARTICIPANT_ADDED``; types that nobody has documented are kept too."""
    resource_id: str = ""
    at: str = ""
    """When it happened, as Twilio wrote it. Events come in any order."""
    detail: str = ""
    """What is worth knowing of the resource, but no words of people; of an unknown type its JSON, cut."""


class Analysed(_Event, tag="analysed", frozen=True):
    """An operator of Conversation Intelligence has said something about the conversation."""

    operator_id: str
    result: str
    """The text, the label, or JSON. It was made from what people said."""
    result_id: str = ""
    trigger: str = ""
    """``COMMUNICATION``, ``CONVERSATION_INACTIVE`` or ``CONVERSATION_END``."""
    at: str = ""
    """When it was made, as Twilio wrote it."""


class Recognised(_Event, tag="profile", frozen=True):
    """Twilio's Memory knows who calls."""

    profile_id: str


class Remembered(_Event, tag="memory", frozen=True):
    """What is known of the caller, as the agent was given it; the last one counts."""

    profile_id: str
    lines: tuple[str, ...]
    ids: tuple[str, ...] = ()
    """Of the summaries and observations that they are made from."""


class Noted(_Event, tag="note", frozen=True):
    """The agent wants a fact remembered. ``Acted("remember")`` with the same text: it has been."""

    text: str


class Stored(_Event, tag="stored", frozen=True):
    """The recording of a message was fetched into a file of ours."""

    recording_sid: str
    file: str
    """The name in the folder of recordings."""
    size: int
    """Bytes."""
    sha256: str


class CalledBack(_Event, tag="callback", frozen=True):
    """We call somebody back who had wanted it. Told twice: before the call is placed, and with its SID."""

    number: int
    """1 is the first call."""
    call_sid: str = ""
    """The new call; empty if it is only meant to be placed."""


class OutcomeField(msgspec.Struct, frozen=True, gc=False):
    """One thing that is known of how a call went."""

    name: str
    value: str
    """JSON."""
    line: str
    """What somebody said on the call that proves it: it does occur in what was heard."""


class Concluded(_Event, tag="outcome", frozen=True):
    """What came of the call, as a model reads what was heard of it. See ``VOICE_APP_OUTCOME``."""

    schema: str
    """The name of the pydantic model that says what is asked."""
    fields: tuple[OutcomeField, ...] = ()
    dropped: tuple[str, ...] = ()
    """Fields that the model has answered without a line that proves it, or with what does not fit."""


class FollowedUp(_Event, tag="follow-up", frozen=True):
    """Something that was to be done after the call is done, or given up."""

    step: str
    """``begun``, ``close``, ``facts``, ``recording``, ``report``, ``report#2`` … or ``callback``."""
    outcome: str
    detail: str = ""
    until: str = ""
    """Of a report: the entry up to which it tells."""


class Called(_Event, tag="call", frozen=True):
    """Written under the id of a conversation: the call that it is about. The last one counts."""

    call_sid: str


Event: TypeAlias = (
    Opened
    | AnswerDecided
    | Served
    | VariantChosen
    | AgentAssigned
    | SocketOpened
    | Connected
    | Reconnected
    | Framed
    | Reconfigured
    | Conversed
    | Prompted
    | Partial
    | Pressed
    | Typing
    | KeysAwaited
    | AnswerAwaited
    | Overheard
    | Speculated
    | Replied
    | Played
    | Heard
    | Acted
    | ToolCalled
    | ToolReturned
    | ModelUsed
    | Priced
    | Costed
    | HandedOff
    | Transcribed
    | Transcription
    | Voicemail
    | Supervised
    | Alerted
    | Failed
    | Disconnected
    | SessionEnded
    | Closed
    | TurnedAway
    | CallbackWanted
    | Notified
    | Analysed
    | Recognised
    | Remembered
    | Noted
    | Stored
    | CalledBack
    | Concluded
    | FollowedUp
    | Called
)


class UnknownEvent(msgspec.Struct, frozen=True, gc=False):
    """An event that this version cannot read, as a newer version or another hand wrote it."""

    kind: str
    data: str
    """The JSON text, untouched."""
