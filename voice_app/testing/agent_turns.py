"""When an agent is done answering, as a server tells it while it writes the journal of a call.

Frames do not tell: a filler, and what an agent says before slow work, end with ``last`` as an answer does.
"""

from __future__ import annotations

import asyncio

import msgspec

from voice_app.journal.events import (
    Acted,
    Closed,
    Connected,
    Disconnected,
    Event,
    Failed,
    Overheard,
    Pressed,
    Prompted,
    Replied,
    SessionEnded,
)


class AgentTurns:
    """The turns of one call's agent, as far as the server tells of them."""

    def __init__(self) -> None:
        self.call_sid = ""
        """The call that is followed; its events count from when this is set."""
        self.told = False
        """Whether the server tells anything: its feed may be closed."""
        self.failures: list[str] = []
        """Why the agent could not answer, one for each turn."""
        self.leaving = ""
        """``transfer`` or ``end-call`` once the agent has done that."""
        self._questions = 0
        self._answering = False
        self._last_words = ("", "")
        """The last that was sent, and the session in which it was."""
        self._texts: dict[tuple[str, int], str] = {}
        """What is known of each reply."""
        self._before: set[tuple[str, int]] = set()
        """The replies of earlier turns."""
        self._said: list[Replied] = []
        """What was told of the words of this turn."""
        self._changed = asyncio.Event()

    async def over(self, questions: int) -> tuple[str, str]:
        """Return when the agent has done with so many questions of the call, or the server tells no more.

        Returns the last words that it sent, and in which session; empty if it only did something.
        """
        while self.told and (self._answering or self._questions < questions):
            self._changed.clear()
            await self._changed.wait()
        return self._last_words

    async def counts(self, words: str) -> bool:
        """Whether these words, as they begin, are of an answer; the server's filler is none."""
        while self.told:
            for reply in reversed(self._said):
                if _same(reply.text, words):
                    return not reply.done or reply.more or reply.ends_turn
            self._changed.clear()
            await self._changed.wait()
        return True

    def take(self, event: Event) -> None:
        """What happened next."""
        match event:
            case Prompted() | Pressed():
                self._questions += 1
                self._answering, self._last_words, self.leaving = True, ("", ""), ""
                self._before = set(self._texts)
                self._said.clear()
            case Overheard():
                self._questions += 1
            case Replied():
                reply = event.session_id, event.reply
                text = event.after(self._texts.get(reply, ""))
                self._texts[reply] = text
                self._said.append(msgspec.structs.replace(event, text=text, begin=0))
                self._answering &= not event.ends_turn
                if event.ends_turn and reply not in self._before:
                    self._last_words = text, event.session_id
            case Failed(what="agent"):
                self.failures.append(event.detail)
                self._answering = False
            case Connected():
                self.leaving = ""
            case Acted(action="transfer" | "end-call"):
                self.leaving, self._answering = event.action, False
            case Disconnected() | SessionEnded() | Closed():
                self._answering = False
            case _:
                return
        self._changed.set()

    def tells_no_more(self) -> None:
        """Whoever told of the call is gone."""
        self.told = False
        self._changed.set()


def _same(text: str, other: str) -> bool:
    """Whether one of them is how the other begins."""
    text, other = " ".join(text.split()), " ".join(other.split())
    return text.startswith(other) or other.startswith(text)
