"""The frames of a session for the journal, where ``VOICE_APP_KEEP_FRAMES`` wants them: a second's at a time.

A frame costs a call next to nothing: it is put on a list, and the list is one event.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable
from typing import Final

from voice_app.calls.wire import kept_frame
from voice_app.journal.events import Event, Framed, WireFrame

SECONDS_OF_A_BATCH: Final = 1.0
FRAMES_OF_A_BATCH: Final = 100


class FrameLog:
    """Keeps the first frames of one session, ``most`` at most."""

    def __init__(self, most: int, record: Callable[[Event], None]) -> None:
        self._left = most
        self._record = record
        self._batch: list[WireFrame] = []
        self._timer: asyncio.Handle | None = None

    def received(self, frame: str | bytes, *, secret: bool) -> None:
        """A frame has come from Twilio. ``secret``: what the caller says or presses now is one."""
        text = frame if isinstance(frame, str) else frame.decode(errors="replace")
        self._add(sent=False, text=kept_frame(text, secret=secret))

    def sent(self, frames: Iterable[str]) -> None:
        """Frames were written."""
        for frame in frames:
            self._add(sent=True, text=kept_frame(frame))

    def close(self) -> None:
        """Write down what is left."""
        if self._timer is not None:
            self._timer.cancel()
        self._flush()

    def _add(self, *, sent: bool, text: str) -> None:
        if self._left <= 0:
            return
        self._left -= 1
        self._batch.append(WireFrame(time.time(), sent, text))
        if len(self._batch) >= FRAMES_OF_A_BATCH:
            self._flush()
        elif self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(SECONDS_OF_A_BATCH, self._late)

    def _late(self) -> None:
        self._timer = None
        self._flush()

    def _flush(self) -> None:
        batch, self._batch = self._batch, []
        if batch:
            self._record(Framed(tuple(batch)))
