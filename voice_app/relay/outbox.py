"""The frames that wait to be written. What has not been given out can still be taken back."""

from __future__ import annotations

import logging
import re
from typing import Final

import msgspec

from voice_app.agents.text import cleaned
from voice_app.relay import frames

_SENTENCE_END: Final = re.compile(r"[.!?…。！？।؟](?:\s|\Z)")

log = logging.getLogger(__name__)

_UNHEARD: Final = (frames.LanguageMessage, frames.ConfigMessage, frames.HintsMessage, frames.EndMessage)
"""Frames that are not heard: an interruption leaves them."""


class Outbox:
    """A queue of frames in which words that are ready together become one frame."""

    __slots__ = ("_begun", "_sentence_out", "frames")

    def __init__(self) -> None:
        self.frames: list[frames.Outgoing] = []
        """What waits, in order."""
        self._begun = False  # words of a stretch are on the wire, and its last is not
        self._sentence_out = False  # and so is the end of its first sentence

    @property
    def is_patient(self) -> bool:
        """Whether nothing waits, and the voice has a sentence of the open stretch already."""
        return self._sentence_out and not self.frames

    @property
    def patient_words(self) -> str:
        """The words that wait, if nothing else does and the voice has a sentence of their stretch already."""
        if not self._sentence_out or len(self.frames) != 1:
            return ""
        frame = self.frames[0]
        return frame.token if type(frame) is frames.TextMessage and not frame.last else ""

    def say(self, text: str) -> None:
        """Add words to the open stretch of speech."""
        queue = self.frames
        if queue and type(tail := queue[-1]) is frames.TextMessage and not tail.last:
            tail.token += text
        else:
            queue.append(frames.TextMessage(text))

    def close(self) -> None:
        """Close the open stretch: with the words that wait, or with an empty token."""
        queue = self.frames
        if queue and type(tail := queue[-1]) is frames.TextMessage and not tail.last:
            tail.last = True
        else:
            queue.append(frames.TextMessage("", last=True))

    def push(self, frame: frames.Outgoing) -> None:
        """Add a frame other than words."""
        self.frames.append(frame)

    def interrupt(self) -> None:
        """Take back everything that would be heard, and close what is open on the wire."""
        self.frames = [frame for frame in self.frames if isinstance(frame, _UNHEARD)]
        if self._begun:
            self.frames.insert(0, frames.TextMessage("", last=True))

    def clear(self) -> None:
        """Take back everything."""
        self.frames.clear()

    def next(self) -> str | None:
        """The next frame to write, if there is one. It counts as written.

        What comes here was repaired and checked. Should a frame be unfit all the same, the call outlives it.
        """
        while self.frames:
            frame = self.frames.pop(0)
            if type(frame) is frames.TextMessage:
                self._begun = not frame.last
                if not self._begun or not self._sentence_out:
                    self._sentence_out = self._begun and _SENTENCE_END.search(frame.token) is not None
            try:
                return frames.encode(frame)
            except (UnicodeError, TypeError, ValueError, msgspec.MsgspecError) as error:
                if type(frame) is frames.TextMessage:
                    return frames.encode(frames.TextMessage(cleaned(str(frame.token)), frame.last))
                log.error("a frame %s cannot be encoded and is left out: %s", type(frame).__name__, error)
        return None
