"""What happened on a call as a dialogue: how a failing test, and `voice-app call`, show it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from rich.cells import cell_len
from rich.text import Text

from voice_app.journal.events import Acted, Event, Failed, ToolCalled, ToolReturned
from voice_app.sandbox.phone import PhoneEvent

LABELS: Final[Mapping[str, tuple[str, str]]] = {
    "session": ("line", "dim"),
    "agent": ("agent", "bold green"),
    "interrupt": ("agent", "bold green"),
    "voice": ("voice", "bold green"),
    "sound": ("line", "dim"),
    "transcribing": ("line", "dim"),
    "rings": ("line", "dim"),
    "unreached": ("line", "bold yellow"),
    "whisper": ("whisper", "magenta"),
    "person-key": ("person", "bold magenta"),
    "bridged": ("line", "dim"),
    "person": ("person", "bold magenta"),
    "left": ("line", "dim"),
    "queued": ("line", "dim"),
    "studio": ("line", "dim"),
    "recorded": ("line", "dim"),
    "redirected": ("line", "dim"),
    "caller": ("caller", "bold cyan"),
    "key": ("caller", "bold cyan"),
    "dropped": ("line", "bold yellow"),
    "came-back": ("line", "dim"),
    "broken": ("line", "bold yellow"),
    "hung-up": ("caller", "bold cyan"),
    "ended": ("line", "dim"),
    "problem": ("problem", "bold red"),
}
"""Who does what happens on the line, and how it is shown."""


def sentence(happening: PhoneEvent) -> str:
    """What happens on the line, in words."""
    match happening.kind:
        case "session":
            return f"connected to the agent, session {happening.text}"
        case "interrupt":
            return f"{happening.text} —"
        case "key" | "person-key":
            return f"presses {happening.text}"
        case "sound":
            return f"plays {happening.text}"
        case "transcribing":
            return f"a transcription begins: {happening.text}"
        case "rings":
            return f"rings {happening.text}"
        case "unreached":
            return f"nobody reached: {happening.text}"
        case "bridged":
            return "the caller and the person hear each other"
        case "left":
            return "they are no longer connected"
        case "queued":
            return f"waits in the queue {happening.text}"
        case "studio":
            return f"the Studio flow {happening.text} takes the call"
        case "recorded":
            return f"recorded: {happening.text}"
        case "redirected":
            return f"sent elsewhere by the REST API: {happening.text or 'other TwiML'}"
        case "dropped":
            return "the connection to the agent breaks"
        case "came-back":
            return "Twilio has come back to the session"
        case "broken":
            return f"the agent is gone: {happening.text}"
        case "hung-up":
            return "hangs up"
        case "ended":
            return "the call is over"
        case _:
            return happening.text


@dataclass(slots=True, frozen=True)
class DialogueEntry:
    """One thing that happened, and who did it."""

    at: float
    """Seconds of the call."""
    who: str
    text: str
    style: str = ""


_DONE: Final[Mapping[str, str]] = {"transfer": "hands the caller over", "end-call": "hangs up"}


@dataclass(slots=True)
class CallDialogue:
    """A call as people read it: what was said on the line, and what the agent did behind it."""

    lines: list[DialogueEntry] = field(default_factory=list)

    def happened(self, at: float, happening: PhoneEvent) -> None:
        """On the line, after ``at`` seconds of the call."""
        if happening.kind in LABELS and happening.kind != "session":
            who, style = LABELS[happening.kind]
            self.lines.append(DialogueEntry(at, who, sentence(happening), style))

    def acted(self, at: float, event: Event) -> None:
        """Behind it."""
        match event:
            case ToolCalled():
                self._add(at, "tool", f"{event.name}({event.arguments.removeprefix('{').removesuffix('}')})")
            case ToolReturned():
                self._add(at, "tool", f"{event.name} returns {event.outcome or 'nothing'}")
            case Acted() if event.action in _DONE:
                why = ": ".join(filter(None, (event.detail, event.summary)))
                self._add(at, "agent", f"{_DONE[event.action]} ({why})" if why else _DONE[event.action])
            case Failed():
                self.lines.append(DialogueEntry(at, "problem", f"{event.what}: {event.detail}", "bold red"))
            case _:
                pass

    def misheard(self, at: float, said: str, languages: list[str]) -> None:
        """The caller says something, and speech-to-text makes something else of it."""
        taken = f", taken for {languages[0]}" if languages else ""
        self.lines.append(DialogueEntry(at, "line", f"the caller said: {said}{taken}", "bold yellow"))

    def failed(self, at: float, what: str) -> None:
        """Something that was expected did not happen."""
        self.lines.append(DialogueEntry(at, "expected", what, "bold red"))

    def forgive(self) -> None:
        """It was not expected after all: take the line away again."""
        if self.lines and self.lines[-1].who == "expected":
            self.lines.pop()

    def _add(self, at: float, who: str, text: str) -> None:
        self.lines.append(DialogueEntry(at, who, text, "yellow"))

    def text(self) -> Text:
        """All of it in colours, for a terminal."""
        width = max((cell_len(line.who) for line in self.lines), default=0)
        found = Text()
        for line in self.lines:
            found.append(f"{line.at:6.1f}  ", "dim")
            found.append(line.who.ljust(width + 2), line.style)
            found.append(f"{line.text}\n", "bold red" if line.who == "expected" else "")
        return found

    def __str__(self) -> str:
        return self.text().plain.rstrip("\n")
