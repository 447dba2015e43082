"""``<Transcription>``: tells the server what is said on a call, as it is said.

Source: reference ``conversationrelay.md`` §5. The inbound track is what Twilio receives: the caller.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime

from voice_app.sandbox.phone.callbacks import Callbacks
from voice_app.sandbox.phone.twiml import Verb
from voice_app.sandbox.twilio import Side

TRACKS: Mapping[Side, str] = {"caller": "inbound_track", "agent": "outbound_track"}
CONFIDENCE = 0.95
KNOWN_ENGINES = ("google", "deepgram", "auto")


class Transcription:
    """One engine of ``<Start><Transcription>``. ``identity`` has the call's AccountSid and CallSid."""

    def __init__(self, verb: Verb, identity: Mapping[str, str], callbacks: Callbacks) -> None:
        self.sid = "GT" + secrets.token_hex(16)
        self.name = verb.get("name")
        self.provider = verb.get("transcriptionEngine", "google").lower()
        self.model = verb.get("speechModel", "telephony")
        self._verb = verb
        self._identity = identity
        self._callbacks = callbacks
        self._sequence = 0
        self._track = verb.get("track", "both_tracks")
        self._tell_started()

    @property
    def title(self) -> str:
        """How problems call it."""
        return f"<Transcription> {self.name or self.sid}"

    def spoken(self, side: Side, text: str) -> None:
        """Somebody has said something."""
        track = TRACKS[side]
        if self._track not in ("both_tracks", track) or not text.strip():
            return
        if self._verb.is_true("partialResults"):
            for partial, stability in _partials(text):
                self._tell_content(track, {"transcript": partial}, {"Stability": f"{stability:.2f}"})
        self._tell_content(track, {"transcript": text, "confidence": CONFIDENCE})

    def stop(self) -> None:
        self._tell("transcription-stopped")

    def fail(self, code: int, message: str) -> None:
        """The engine breaks."""
        self._tell("transcription-error", TranscriptionErrorCode=str(code), TranscriptionError=message)

    def _tell_started(self) -> None:
        verb = self._verb
        provider = {
            "profanityFilter": verb.get("profanityFilter", "true"),
            "speechModel": self.model,
            "enableAutomaticPunctuation": verb.get("enableAutomaticPunctuation", "true"),
            "hints": verb.get("hints"),
        }
        optional = {"Name": "name", "InboundTrackLabel": "inboundTrackLabel"}
        optional |= {"OutboundTrackLabel": "outboundTrackLabel"}
        self._tell(
            "transcription-started",
            ProviderConfiguration=json.dumps(provider),
            TranscriptionEngine=self.provider,
            Track=self._track,
            PartialResults=verb.get("partialResults", "false"),
            LanguageCode=verb.get("languageCode", "en-US"),
            **{field: verb.get(name) for field, name in optional.items() if verb.get(name)},
        )

    def _tell_content(
        self, track: str, data: Mapping[str, object], partial: Mapping[str, str] | None = None
    ) -> None:
        self._tell(
            "transcription-content",
            LanguageCode=self._verb.get("languageCode", "en-US"),
            Track=track,
            TranscriptionData=json.dumps(data),
            Final="false" if partial else "true",
            **(partial or {}),
        )

    def _tell(self, event: str, **fields: str) -> None:
        """Without a URL nobody is told."""
        url = self._verb.get("statusCallbackUrl")
        if not url:
            return
        self._sequence += 1
        form = {
            **self._identity,
            "TranscriptionSid": self.sid,
            "Timestamp": datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z"),
            "SequenceId": str(self._sequence),
            "TranscriptionEvent": event,
        }
        self._callbacks.send(url, form | fields, self._verb.get("statusCallbackMethod", "POST"))


def _partials(text: str) -> Iterator[tuple[str, float]]:
    """What was understood so far, and how sure that is: less of it changes towards the end."""
    words = text.split()
    for count in range(2, len(words), 2):
        yield " ".join(words[:count]), 0.5 + 0.4 * count / len(words)
