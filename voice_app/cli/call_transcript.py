"""A call as people read it while it happens, and what came of it: for people, programs and the exit code."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from rich.console import Console
from rich.text import Text

from voice_app.cli.output import complain
from voice_app.findings import printable
from voice_app.sandbox.phone import HeardReply, PhoneCall, PhoneEvent
from voice_app.testing.dialogue import LABELS, sentence


class TranscriptPrinter:
    """A watcher for `Phone.call`. On a terminal the agent's words appear as they are spoken."""

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or Console(highlight=False, soft_wrap=True)
        self.show_speech: Callable[[Text | None], None] | None = None
        """Shows the line that is being spoken, apart from the lines above; `None`: it is over."""
        self._speech: Text | None = None
        self._began = time.monotonic()
        self._speaking = False
        """A line with words of the agent's is not over yet."""

    def __call__(self, happening: PhoneEvent) -> None:
        if happening.kind == "word":
            if self.show_speech is not None:
                self._show_word(happening, self.show_speech)
            elif self.console.is_terminal:
                self._add_word(happening)
        elif happening.kind in ("agent", "interrupt") and self._speaking:
            self._finish(happening)
        elif happening.kind in LABELS:
            if happening.kind in ("agent", "interrupt") and self.show_speech is not None:
                self._speech = None
                self.show_speech(None)
            self._end_line()
            line = self._beginning(happening)
            line.append(printable(sentence(happening)))
            if happening.reply is not None:
                line.append(_figures(happening.reply), "dim")
            self.console.print(line)

    def _show_word(self, happening: PhoneEvent, show: Callable[[Text | None], None]) -> None:
        if self._speech is None:
            self._speech = self._beginning(happening)
        self._speech.append(printable(happening.text))
        show(self._speech)

    def _add_word(self, happening: PhoneEvent) -> None:
        line = Text(printable(happening.text)) if self._speaking else self._beginning(happening)
        if not self._speaking:
            line.append(printable(happening.text))
        self._speaking = True
        self.console.print(line, end="")

    def _finish(self, happening: PhoneEvent) -> None:
        """The words stand there already: what is missing is how they ended."""
        self._speaking = False
        cut = " —" if happening.kind == "interrupt" else ""
        figures = _figures(happening.reply) if happening.reply is not None else ""
        self.console.print(Text(cut) + Text(figures, "dim"))

    def _end_line(self) -> None:
        """Something else happens while the agent speaks: it goes on, on another line, after that."""
        if self._speaking:
            self._speaking = False
            self.console.print()

    def _beginning(self, happening: PhoneEvent) -> Text:
        label, style = LABELS["agent" if happening.kind == "word" else happening.kind]
        line = Text()
        line.append(f"{happening.at - self._began:6.2f}  ", "dim")
        line.append(f"{label:<8}", style)
        return line


def _figures(reply: HeardReply) -> str:
    figures = []
    if reply.interrupted:
        figures.append(f"cut off after {len(reply.text.split())} words")
    if reply.first_token_ms is not None:
        figures.append(f"first token after {reply.first_token_ms:.1f} ms")
    return f"  ({', '.join(figures)})" if figures else ""


# --- what came of it ------------------------------------------------------------------------------


@dataclass(slots=True)
class CallOutcome:
    """Collects what happens on a call; it is a watcher for `Phone.call`, before ``watch``."""

    expected: Sequence[str]
    """What somebody on the line has to say; capitals and spaces do not matter."""
    watch: Callable[[PhoneEvent], None] = lambda event: None
    failures: Sequence[str] = ()
    """Why the agent could not answer, one for each turn."""
    cut_short: str = ""
    """Why the script could not be played to its end."""
    _events: list[PhoneEvent] = field(default_factory=list)
    _began: float = field(default_factory=time.monotonic)

    def __call__(self, event: PhoneEvent) -> None:
        if event.kind not in ("word", "sent", "received"):
            self._events.append(event)
        self.watch(event)

    def missed(self, call: PhoneCall) -> list[str]:
        """What was expected and nobody said."""
        heard = _folded(" ".join(reply.text for reply in call.replies))
        return [text for text in self.expected if _folded(text) not in heard]

    def exit_code(self, call: PhoneCall) -> int:
        """1 if the server misbehaved, the agent failed, or something was not as expected."""
        return int(bool(call.problems or self.failures or self.cut_short or self.missed(call)))

    def tell(self, call: PhoneCall) -> None:
        """What is wrong, on standard error; problems of the server were told as they came."""
        for failure in self.failures:
            complain(f"The agent failed: {failure}. The server's log tells where.")
        if self.cut_short:
            complain(f"The script was not played to its end: {self.cut_short}.")
        for text in self.missed(call):
            complain(f"Expected, but not heard: {text}")

    def document(self, call: PhoneCall) -> dict[str, Any]:
        """All of it, for programs. ``at`` is in seconds from the beginning of the call."""
        missed = self.missed(call)
        return {
            "call_sid": call.sid,
            "ok": not self.exit_code(call),
            "events": [self._event(event) for event in self._events],
            "expected": [{"text": text, "heard": text not in missed} for text in self.expected],
            "failures": [*self.failures],
            "problems": call.problems,
            "cut_short": self.cut_short,
        }

    def _event(self, event: PhoneEvent) -> dict[str, Any]:
        told: dict[str, Any] = {"at": round(event.at - self._began, 3), "kind": event.kind}
        if event.text:
            told["text"] = event.text
        if event.reply is not None:
            told["first_token_ms"] = event.reply.first_token_ms
        return told


def _folded(text: str) -> str:
    return " ".join(text.casefold().split())
