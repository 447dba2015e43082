"""The frames that wait to be written. What has not been given out can still be taken back."""

from __future__ import annotations

from voice_app.relay import frames


class Outbox:
    """A queue of frames in which words that are ready together become one frame."""

    __slots__ = ("_begun", "_frames")

    def __init__(self) -> None:
        self._frames: list[frames.Outgoing] = []
        self._begun = False  # words of a stretch are on the wire, and its last is not

    def __bool__(self) -> bool:
        return bool(self._frames)

    def say(self, text: str) -> None:
        """Add words to the open stretch of speech."""
        queue = self._frames
        if queue and type(tail := queue[-1]) is frames.Text and not tail.last:
            tail.token += text
        else:
            queue.append(frames.Text(text))

    def close(self) -> None:
        """Close the open stretch: with the words that wait, or with an empty token."""
        queue = self._frames
        if queue and type(tail := queue[-1]) is frames.Text and not tail.last:
            tail.last = True
        else:
            queue.append(frames.Text("", last=True))

    def push(self, frame: frames.Outgoing) -> None:
        """Add a frame other than words."""
        self._frames.append(frame)

    def interrupt(self) -> None:
        """Take back everything that would be heard, and close what is open on the wire."""
        self._frames = [frame for frame in self._frames if isinstance(frame, frames.Language | frames.End)]
        if self._begun:
            self._frames.insert(0, frames.Text("", last=True))

    def clear(self) -> None:
        """Take back everything."""
        self._frames.clear()

    def next(self) -> str | None:
        """The next frame to write, if there is one. It counts as written."""
        if not self._frames:
            return None
        frame = self._frames.pop(0)
        if type(frame) is frames.Text:
            self._begun = not frame.last
        return frames.encode(frame)
