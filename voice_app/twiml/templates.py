"""The TwiML documents we answer with: XML that people edit, filled in by Jinja2.

Autoescape keeps a caller's text from becoming markup, and a misspelt variable is an error, never
an empty string. Every variable a template may use is a field of `Context`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec
from jinja2 import BaseLoader, Environment, StrictUndefined, TemplateNotFound
from jinja2.loaders import split_template_path

from voice_app.settings import LanguageSettings, NumberSettings

FOLDER = "twiml_templates"
ANSWER: Final = "answer.xml"
"""The template that answers a call, unless the settings name another."""
ROLES: Final = (
    "busy.xml",
    "fallback.xml",
    "goodbye.xml",
    "handoff.xml",
    "queue_wait.xml",
    "reject.xml",
    "resume.xml",
    "voicemail.xml",
    "whisper.xml",
)
"""Templates that a call can come to, whatever answers it."""
PACKAGED = Path(__file__).parent / "templates"
DEFAULT_LANGUAGE: Final = "en-US"
"""Of voice and recognition, where nothing else is said. Source: ``docs/protocol.md`` §1.2."""
_CHECKOUT = Path(__file__).parents[2] / FOLDER
_UNWRITABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")


class Context(msgspec.Struct, frozen=True, kw_only=True):
    """What every template can use. `None` and `""` mean: leave the attribute out."""

    call_sid: str = ""
    caller: str = ""
    """The person's address: E.164, ``client:name`` or ``sip:…``."""
    number: str = ""
    """Our number on this call."""
    reason: str = ""
    """Why this document is served: ``answer``, ``resume``, ``finished``, ``transfer``, ``failed`` …"""
    relay_url: str = ""
    """``wss://<public origin>/relay/<token>``."""
    action_url: str = ""
    """``https://<public origin>/voice/relay-ended``, for ``<Connect action>``."""
    conversation_configuration: str | None = None
    """``conv_configuration_…``: find or create the conversation by this configuration's grouping."""
    conversation_id: str | None = None
    """``conv_conversation_…``: join this conversation. Never set together with the configuration."""
    greeting: str = ""
    resume_greeting: str = ""
    language: str | None = None
    tts_language: str | None = None
    """The voice's language, where the agent has switched it in an earlier session of the call."""
    transcription_language: str | None = None
    tts_provider: str | None = None
    voice: str | None = None
    transcription_provider: str | None = None
    speech_model: str | None = None
    hints: str | None = None
    languages: Sequence[Mapping[str, str | None]] = ()
    """The attributes of each ``<Language>``: ``code`` and what differs in that language."""
    interruptible: str = "any"
    partial_prompts: bool = False
    reconnect: bool = False
    """Twilio may come back to a session whose socket was lost (``applicationReconnect``)."""
    transcribing: bool = False
    """A ``<Transcription>`` named ``handoff`` is running on this call."""
    transcribe: bool = False
    """One is to be started."""
    transcription_url: str = ""
    target: str = ""
    """Where a handoff goes: ``people``, ``conference``, ``queue``, ``workflow`` or ``studio``."""
    address: str = ""
    """The name of the conference or the queue, the workflow's SID, or the flow's URL."""
    people: Sequence[tuple[str, str]] = ()
    """Who is rung at once: kind (``number``, ``sip``, ``client``, ``whatsapp``) and address of each."""
    caller_id: str | None = None
    """From what people are rung: the caller's number if it is real, else ours; for WhatsApp a sender."""
    announcement: str = ""
    """What the caller hears before anybody is rung: a supervisor has taken the call from the agent."""
    ring_seconds: int = 25
    whisper_url: str = ""
    """What a person hears before they are connected; empty: they are connected at once."""
    join_url: str = ""
    """The page of this call for the person who takes it: dialogue, summary, what is said now."""
    wait_url: str = ""
    recording_url: str = ""
    transcribe_message: bool = False
    """What is said in a voicemail is to be written down, by Twilio and not by a capture rule."""
    callback_url: str = ""
    """Where the caller's key goes who wants to be called back; empty: that cannot be offered."""
    task: str = ""
    """Attributes of a TaskRouter task, as JSON."""
    priority: int = 0
    summary: str = ""
    """What a person has to know: who calls, what they want, what was tried."""
    reason_line: str = ""
    queue_position: int = 0
    """The caller's place in the queue; 0: unknown."""
    parameters: Mapping[str, str] = {}
    """Name and value of each ``<Parameter>``; they come back in the session's ``setup``."""


FIELDS: Final = frozenset(Context.__struct_fields__)
"""The names that templates know a context's values by."""


def default_folder() -> Path:
    """The working directory's ``twiml_templates/`` if it is there, else the copy that ships."""
    local = Path.cwd() / FOLDER
    return local if local.is_dir() else shipped_folder()


def shipped_folder() -> Path:
    """The templates that ship."""
    return PACKAGED if PACKAGED.is_dir() else _CHECKOUT


class Sources(BaseLoader):
    """The texts of a folder's templates, each as it was when it was first read.

    What the folder lacks is read from the templates that ship, where ``fallback`` names their folder.
    """

    def __init__(self, folder: Path, fallback: Path | None = None) -> None:
        self.folder = folder
        self._folders = [folder] if fallback is None or fallback == folder else [folder, fallback]
        self._read: dict[str, tuple[str, Path]] = {}
        self._missing: set[str] = set()
        self._sealed = False

    def get_source(
        self, environment: Environment, template: str
    ) -> tuple[str, str | None, Callable[[], bool] | None]:
        """A template's text and file, for Jinja."""
        if template not in self._read:
            if self._sealed:
                raise TemplateNotFound(template)
            self._read[template] = self._text(template)
        text, path = self._read[template]
        return text, str(path), None

    def _text(self, template: str) -> tuple[str, Path]:
        path = self.path(template)
        return path.read_text("utf-8"), path

    def path(self, template: str) -> Path:
        """The file of a template. Raises `TemplateNotFound`."""
        pieces = split_template_path(template)
        for folder in self._folders:
            if (path := folder.joinpath(*pieces)).is_file():
                return path
        self._missing.add(template)
        raise TemplateNotFound(template)

    def unchanged(self) -> bool:
        """Whether everything that was asked for would be read again as it was, or be missing again."""
        now = Sources(*self._folders)
        try:
            same = all(now._text(name) == read for name, read in self._read.items())
        except (TemplateNotFound, OSError, UnicodeError):
            return False
        return same and not any(map(now._is_there, self._missing))

    def _is_there(self, template: str) -> bool:
        try:
            return bool(self.path(template))
        except TemplateNotFound:
            return False

    def seal(self) -> None:
        """Give nothing any more but what has been read."""
        self._sealed = True

    @property
    def files(self) -> dict[str, Path]:
        """The templates that have been read, and their files."""
        return {name: path for name, (_, path) in self._read.items()}

    @property
    def texts(self) -> dict[str, str]:
        """The templates that have been read, as they are written."""
        return {name: text for name, (text, _) in self._read.items()}

    def list_templates(self) -> list[str]:
        """All that can be read, for Jinja."""
        files = ((folder, path) for folder in self._folders for path in folder.rglob("*") if path.is_file())
        return sorted({path.relative_to(folder).as_posix() for folder, path in files})


def options(sources: Sources) -> dict[str, Any]:
    """How Jinja2 is set up for TwiML templates, on a call and in the linter alike."""
    return {
        "loader": sources,
        "autoescape": True,
        "undefined": StrictUndefined,
        "auto_reload": False,
        "cache_size": -1,
        "finalize": _writable,
    }


def _writable(value: Any) -> Any:
    """Drop the control characters that XML cannot hold, not even escaped."""
    kind = type(value)  # not what it says it is: the stand-ins of `prefilled` say that they are texts
    return kind(_UNWRITABLE.sub("", value)) if issubclass(kind, str) and _UNWRITABLE.search(value) else value


def _attributes(language: LanguageSettings) -> dict[str, str | None]:
    """The attributes of a ``<Language>``."""
    return {
        "code": language.code,
        "ttsProvider": language.tts_provider,
        "voice": language.voice,
        "transcriptionProvider": language.transcription_provider,
        "speechModel": language.speech_model,
        "hints": language.hints,
    }


def values_of(
    number: NumberSettings, spoken: str | None = None, understood: str | None = None
) -> dict[str, Any]:
    """The fields of a context that the settings of a number decide.

    ``spoken`` and ``understood`` are the languages that the agent has switched voice and recognition to. The
    number's voice and model are for its own language: another has those of its entry in ``languages``, or
    what Twilio takes by default.
    """
    return {
        "conversation_configuration": number.conversation_configuration,
        # A disclosure comes before it: then the session says both.
        "greeting": "" if number.disclosure else number.greeting,
        "resume_greeting": number.resume_greeting,
        "language": number.language,
        "languages": tuple(_attributes(language) for language in number.languages),
        "interruptible": number.interruptible,
        "partial_prompts": number.speculate != "off",
        "reconnect": number.reconnect,
        "tts_language": spoken,
        "transcription_language": understood,
        **_of_language(number, spoken, "tts_provider", "voice"),
        **_of_language(number, understood, "transcription_provider", "speech_model", "hints"),
    }


def _of_language(number: NumberSettings, switched_to: str | None, *names: str) -> dict[str, str | None]:
    """Settings that each language may have for itself. Providers and hints are for those that have none."""
    values: dict[str, str | None] = {name: getattr(number, name) for name in names}
    if switched_to in (None, number.language or DEFAULT_LANGUAGE):
        return values
    values |= dict.fromkeys(values.keys() & {"voice", "speech_model"})
    own = next((language for language in number.languages if language.code == switched_to), None)
    return values | {name: value for name in names if (value := getattr(own, name, None)) is not None}


def variables(context: Context) -> dict[str, Any]:
    """The fields of a context under the names that templates use."""
    return msgspec.structs.asdict(context)
