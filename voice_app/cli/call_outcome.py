"""What came of a call: for the exit code, for people, and as JSON."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from voice_app.cli.output import complain
from voice_app.sandbox.phone import PhoneCall, PhoneEvent


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
        if event.kind not in ("word", "twiml"):
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
