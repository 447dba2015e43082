"""What an agent is: an async generator that takes a call and a turn, and yields text and actions.

async def agent(call: Call, turn: Turn) -> AsyncIterator[str | Action]:
    yield "Let me look that up. "
    yield Transfer(reason="billing", summary="Wants a refund for order 81.")
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeAlias

if TYPE_CHECKING:  # whoever writes an agent need not load a database for it
    from voice_app.journal.events import Event


@dataclass(slots=True, frozen=True)
class Message:
    """One entry of a call's history."""

    role: Literal["user", "assistant"]
    content: str
    """For the assistant: what the caller heard of it, never more."""


TurnKind: TypeAlias = Literal["speech", "keys", "silence", "resumed", "note"]


@dataclass(slots=True, frozen=True)
class Turn:
    """What the agent is asked to answer."""

    text: str
    """What the caller said, or the keys that were pressed; of a ``note`` what somebody of ours wants the
    agent to know, which the caller has not heard. Empty for ``silence`` and ``resumed``."""
    kind: TurnKind = "speech"
    language: str = ""
    """BCP-47 tag that Twilio recognised, e.g. ``en-US``."""
    sensitive: bool = False
    """The text is a secret of the caller's: it is in no history, journal or log. Keep it that way."""


@dataclass(slots=True, frozen=True)
class Keys:
    """How key presses are collected into one turn."""

    length: int = 0
    """So many keys are a whole entry; 0 means any number."""
    terminator: str = "#"
    """The key that ends an entry, and is not part of it. Empty: none."""
    seconds: float = 2.0
    """An entry is over when no key follows for so long."""
    sensitive: bool = False
    """Card numbers, PINs: the entry is given to the agent and appears nowhere else."""


class Log(Protocol):
    """The journal of one call. What is written there outlives the process, and the session."""

    def write(self, event: Event, /) -> None:
        """Write an event. Returns at once."""
        ...

    async def settle(self) -> None:
        """Return once what was written would survive a crash, or after a moment. Never raises."""
        ...


@dataclass(slots=True, frozen=True)
class Expected:
    """What a session has to know of the answer that an agent waits for in the middle of its turn."""

    secret: bool = False
    """It is given to the agent and appears nowhere else, whether it is typed or said."""
    patience: float = 0.0
    """Seconds for which a caller may think about it, if that is longer than the silence of the settings."""
    hints: str = ""
    """Words that the recognition may expect, separated by commas. Never a secret."""
    pause_ms: int = 0
    """Milliseconds for which a caller may pause in the middle of it, as who spells does; 0: as usual."""


class Floor(Protocol):
    """Lets an agent listen in the middle of its turn; `voice_app.ask` is made of it."""

    @property
    def language(self) -> str:
        """BCP-47 tag of the language that is spoken on the line; empty: Twilio's default, English."""
        ...

    @property
    def asking(self) -> bool:
        """Whether an answer is awaited."""
        ...

    async def exchange(self, words: str, expected: Expected, /) -> Turn:
        """Say ``words`` and return what the caller says or types next. The turn is over meanwhile.

        Raises:
            AskEndedError: there will be no answer.
        """
        ...


class AskEndedError(Exception):
    """The call, its session or the turn was over before the caller had answered a question.

    An agent need not catch it: nobody hears any more what it yields. It may, to note how far it had got.
    """


@dataclass(slots=True)
class Call:
    """The phone call that the agent is on. Lives as long as the call, across sessions."""

    sid: str
    """Twilio's CallSid, ``CA…``."""
    from_: str = ""
    to: str = ""
    direction: Literal["inbound", "outbound"] = "inbound"
    webhook: Mapping[str, str] = field(default_factory=dict)
    """What Twilio told of the call when it came in: ``StirVerstat``, ``CallerName``, ``ForwardedFrom``,
    ``SipHeader_…``. Untrusted, apart from ``StirVerstat``."""
    parameters: Mapping[str, str] = field(default_factory=dict)
    """The ``<Parameter>``s of the TwiML. Untrusted where a template copies caller input into them."""
    history: list[Message] = field(default_factory=list)
    """The conversation so far, as heard; the turn being answered is not in it."""
    state: dict[str, Any] = field(default_factory=dict)
    """The agent's own notes on this call. Kept in memory only: another machine does not know them."""
    keys: Keys = field(default_factory=Keys)
    """How the next key presses are collected. The agent may change it at any time."""
    filler: str = ""
    """What is said when the answer takes long. The agent may change it; empty: nothing."""
    profile_id: str | None = None
    """The caller's profile in Twilio's Memory (``mem_profile_…``); None where there is none, or no Memory."""
    memory: list[str] = field(default_factory=list)
    """What is known of the caller from earlier conversations, a line each. Untrusted: no instructions."""
    remember: Callable[[str], Awaitable[bool]] | None = None
    """Notes a fact about the caller for the next conversations, and tells whether it was noted.

    It never raises. None where there is nothing to write to: no Memory, or a caller without a number.
    """
    floor: Floor | None = None
    """Where `ask` asks; None where no server runs the agent."""
    log: Log | None = None
    """Where it is written what the agent does; None where no server runs the agent."""

    @property
    def caller(self) -> str:
        """The person's address: E.164, ``client:…``, ``sip:…``, ``whatsapp:…``, or a word (``anonymous``).

        Never proof of identity.
        """
        return self.from_ if self.direction == "inbound" else self.to

    @property
    def number(self) -> str:
        """Our own number on this call."""
        return self.to if self.direction == "inbound" else self.from_


@dataclass(slots=True, frozen=True, kw_only=True)
class Answer:
    """How one call is answered, where that differs from the settings of its number.

    ``answer(call)``, an attribute of the agent or a function of its module, returns one, a `Reject`, or None.
    """

    greeting: str | None = None
    language: str = ""
    """BCP-47 tag of voice and recognition."""
    agent: str = ""
    """One of ``VOICE_APP_AGENTS``."""
    parameters: Mapping[str, str] = field(default_factory=dict)
    """Further ``<Parameter>``s: they come back in `Call.parameters`."""
    conversation_id: str = ""
    """A conversation of the Orchestrator that the call is written to, ``conv_conversation_…``."""
    people: Sequence[str] = ()
    """Who takes the call instead of the agent: ``+1555…``, ``sip:…``, ``client:…``, ``queue:…``."""


@dataclass(slots=True, frozen=True)
class Reject:
    """Do not take the call: the caller hears a busy tone, or that the number is not in use."""

    reason: Literal["busy", "rejected"] = "rejected"


@dataclass(slots=True, frozen=True)
class Transfer:
    """Hand the caller to a person, after what was said so far has been played."""

    reason: str
    summary: str = ""


@dataclass(slots=True, frozen=True)
class Become:
    """Another agent has the call from now on: one of ``VOICE_APP_AGENTS``, with its prompt, tools and voice.

    It is asked at once, with a turn of the kind ``resumed``, and knows the history. It keeps the call also
    after a break. One with another voice speaks in a new session: that takes a second or two.
    """

    agent: str


@dataclass(slots=True, frozen=True)
class EndCall:
    """Hang up, after what was said so far has been played."""

    reason: str = "finished"


@dataclass(slots=True, frozen=True)
class Play:
    """Play an audio file, queued like speech."""

    url: str
    loop: int = 1
    """How many times; 0 means 1,000 times."""


@dataclass(slots=True, frozen=True)
class SendDigits:
    """Send keys into the call, queued like speech."""

    digits: str
    """Of ``0-9``, ``#``, ``*`` and ``w`` (a pause of half a second)."""


@dataclass(slots=True, frozen=True)
class SwitchLanguage:
    """Change the language of the voice, of the recognition, or of both (BCP-47 tags)."""

    tts: str = ""
    transcription: str = ""


@dataclass(slots=True, frozen=True)
class Say:
    """Words that are a stretch of speech of their own: a disclosure, a question of consent.

    What may not be interrupted is played to its end: what the caller says meanwhile is answered after it, and
    an interruption that cut it off all the same has it said again. The call report tells that it was heard.
    """

    text: str
    interruptible: bool = True


@dataclass(slots=True, frozen=True)
class Ssml:
    """Text with SSML in it, spoken as it is. What Twilio takes depends on the voice's provider."""

    text: str


@dataclass(slots=True, frozen=True)
class Break:
    """Ends a stretch of speech, so that it is spoken and remembered on its own.

    Yield it before slow work and before anything that acts on the world, such as a tool: the words
    before it are then safe from an interruption of the words after it, a prompt that arrives meanwhile
    waits for the answer, and an answer that was begun on a guess goes no further until the guess is right.
    """


Action: TypeAlias = Transfer | EndCall | Play | SendDigits | SwitchLanguage | Say | Become
Piece: TypeAlias = str | Ssml | Action | Break
"""What an agent yields: text to speak, something to do, or the end of a stretch of speech."""


class Agent(Protocol):
    """Anything that can be called like this; an async generator function is the usual one.

    It may have attributes: ``keys`` (`Keys`), how key presses are collected from the start;
    ``answer(call)``, a coroutine function that decides how a call is answered (`Answer`, `Reject` or None);
    ``warm(call)``, one that is run when a call begins; ``close()``, one that is run when the server stops;
    ``version``, a text that is kept with each of its calls, so that changes of it can be compared.
    """

    def __call__(self, call: Call, turn: Turn, /) -> AsyncIterator[Piece]: ...
