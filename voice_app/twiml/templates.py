"""The TwiML documents we answer with: XML that people edit, filled in by Jinja2.

Autoescape keeps a caller's text from becoming markup, and a misspelt variable is an error, never
an empty string. Every variable a template may use is a field of `Context`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined, TemplateError, meta

FOLDER = "twiml_templates"
PACKAGED = Path(__file__).parent / "templates"
_CHECKOUT = Path(__file__).parents[2] / FOLDER
SERVED: Final = (
    "handoff.xml",
    "voicemail.xml",
    "goodbye.xml",
    "resume.xml",
    "whisper.xml",
    "queue_wait.xml",
    "busy.xml",
    "fallback.xml",
)
"""The templates that any call may come to, beside the one that its number is answered with."""
_UNWRITABLE = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


@dataclass(slots=True, frozen=True, kw_only=True)
class Context:
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
    """Who is rung at once: kind (``number``, ``sip``, ``client``) and address of each."""
    ring_seconds: int = 25
    whisper_url: str = ""
    """What a person hears before they are connected; empty: they are connected at once."""
    wait_url: str = ""
    recording_url: str = ""
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
    parameters: Mapping[str, str] = field(default_factory=dict)
    """Name and value of each ``<Parameter>``; they come back in the session's ``setup``."""


def default_folder() -> Path:
    """The working directory's ``twiml_templates/`` if it is there, else the copy that ships."""
    local = Path.cwd() / FOLDER
    if local.is_dir():
        return local
    return PACKAGED if PACKAGED.is_dir() else _CHECKOUT


def options(folder: Path) -> dict[str, Any]:
    """How Jinja2 is set up for one folder of TwiML templates, on a call and in the linter alike."""
    return {
        "loader": FileSystemLoader(folder),
        "autoescape": True,
        "undefined": StrictUndefined,
        "auto_reload": False,
        "finalize": _writable,
    }


def _writable(value: object) -> object:
    """Drop the control characters that XML cannot hold, not even escaped."""
    if isinstance(value, str) and _UNWRITABLE.search(value):
        return type(value)(_UNWRITABLE.sub("", value))
    return value


class Templates:
    """The templates of one folder, compiled once."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._environment = Environment(**options(folder))  # noqa: S701 - autoescape is among the options

    def render(self, name: str, context: Context) -> str:
        """The TwiML of ``name`` (e.g. ``answer.xml``).

        Raises `jinja2.TemplateError` for a template that is missing or broken; the linter finds
        both before the server takes a call.
        """
        return self._environment.get_template(name).render(variables(context))

    def reachable(self, names: Iterable[str]) -> dict[str, str]:
        """The sources, by name, of these templates and of all that they include, extend or import.

        What is missing or broken is left out: the linter reports it. A template that computes the name of
        another one may reach everything in the folder.
        """
        found: dict[str, str] = {}
        waiting = [*names]
        while waiting:
            name = waiting.pop()
            if name in found:
                continue
            try:
                source, _, _ = self._environment.loader.get_source(self._environment, name)  # type: ignore[union-attr]
                references = set(meta.find_referenced_templates(self._environment.parse(source)))
            except (TemplateError, UnicodeDecodeError):
                continue
            found[name] = source
            waiting += self._environment.list_templates() if None in references else filter(None, references)
        return found


def variables(context: Context) -> dict[str, Any]:
    """The fields of a context under the names that templates use."""
    return {item.name: getattr(context, item.name) for item in fields(context)}
