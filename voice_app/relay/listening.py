"""How the session listens: words that are not final, and what is expected where a caller is asked for it.

Twilio changes both within a session by the frames ``hints`` and ``config`` (``docs/protocol.md`` §2.2). That
they exist is confirmed, their layout is not: they are sent only where ``VOICE_APP_ASK_TUNES_LISTENING`` says
so, and no more on a session that has refused one. Without them a question is asked all the same.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Final

from voice_app.agents.protocol import Expected
from voice_app.journal import events
from voice_app.relay import frames
from voice_app.relay.speaker import Speaker
from voice_app.settings import NumberSettings

USUAL: Final = Expected()
"""What is expected where nothing was asked."""
USUAL_PAUSE: Final = "auto"
"""The pause that ends a prompt where the settings of the relay name none."""

SECONDS_BETWEEN_PARTIALS: Final = 1.0
MAX_PARTIAL: Final = 500
"""Characters: the last ones."""

log = logging.getLogger(__name__)


class Partials:
    """Words of the caller's that are not final, for the journal: once a second, and what nothing follows.

    Most prompts are over within a second of their first words, and cost nothing.
    """

    __slots__ = ("_due", "_record", "_text")

    def __init__(self, record: Callable[[events.Event], None]) -> None:
        self._record = record
        self._text = ""
        self._due: float | None = None

    def heard(self, text: str, now: float, *, secret: bool) -> None:
        """The caller has said so much by now."""
        self._text = "" if secret else text
        if self._due is None:
            self._due = now + SECONDS_BETWEEN_PARTIALS
        elif now >= self._due:
            self._due = now + SECONDS_BETWEEN_PARTIALS
            self.close()

    def forget(self) -> None:
        """The final words have come."""
        self._text, self._due = "", None

    def close(self) -> None:
        """Write down what is known and was not written yet."""
        text, self._text = self._text, ""
        if text:
            self._record(events.Partial(text[-MAX_PARTIAL:]))


class Listening:
    """Sends what has changed of what the recognition is told."""

    def __init__(self, line: NumberSettings, speaker: Speaker) -> None:
        self._line = line
        self._speaker = speaker
        self._sends = line.ask_tunes_listening
        self._told = USUAL
        self._sent = False

    def expect(self, expected: Expected | None, now: float) -> None:
        """Listen for this from now on; None: for anything, as the document said.

        What has not changed is not sent again.
        """
        expected = expected or USUAL
        if not self._sends:
            return
        if expected.hints != self._told.hints:
            hints = ",".join(filter(None, (self._line.hints, expected.hints)))
            self._send(frames.HintsMessage(hints), now)
        if expected.pause_ms != self._told.pause_ms:
            self._send(frames.ConfigMessage(expected.pause_ms or USUAL_PAUSE), now)
        self._told = expected

    def refused(self) -> None:
        """Twilio has refused a frame: if it may have been one of these, no more of them are sent."""
        if self._sent and self._sends:
            self._sends = False
            log.warning(
                "Twilio may not take the frames that tune the recognition for a question; set "
                "VOICE_APP_ASK_TUNES_LISTENING=false if this comes again"
            )

    def _send(self, frame: frames.ListeningMessage, now: float) -> None:
        self._sent = True
        self._speaker.push(frame, now)
