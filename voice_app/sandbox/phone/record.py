"""``<Record>``: a beep, then what the caller says until silence, a key, or the end.

Source: ``docs/protocol.md`` §6.2, and Twilio's page on ``<Record>``: an empty recording
asks for no action, the next verb runs.
"""

from __future__ import annotations

import asyncio
import math
import secrets
from datetime import UTC, datetime
from email.utils import format_datetime

from voice_app.sandbox.phone.context import CallContext, CallerRecording
from voice_app.sandbox.phone.leg import API_VERSION, HungUpError, first_of
from voice_app.sandbox.phone.twiml import Jump, TwimlVerb
from voice_app.sandbox.phone.voice import WORDS_PER_SECOND

TIMEOUT_SECONDS = 5.0
MAX_LENGTH = 3600.0
ANY_KEY = "1234567890*#"
TRANSCRIBED_SECONDS = range(2, 121)
"""Twilio transcribes recordings of this length, in seconds."""


class RecordVerb:
    """One ``<Record>`` of a caller, in the document at ``url``. It is what the caller speaks to."""

    def __init__(self, context: CallContext, verb: TwimlVerb, url: str) -> None:
        self._context = context
        self._verb = verb
        self._document_url = url
        self._words: list[str] = []
        self._key = ""
        self._changed = asyncio.Event()
        self._done = asyncio.Event()

    async def say(self, text: str) -> None:
        if self._done.is_set():
            return
        await asyncio.sleep(self._context.leg.shared.pace.speech(text))
        self._context.engines.spoken("caller", text)
        room = int(self._verb.seconds("maxLength", MAX_LENGTH) * WORDS_PER_SECOND)
        self._words = [*self._words, *text.split()][:room]
        if len(self._words) == room:
            self._done.set()
        self._changed.set()

    async def press(self, key: str) -> None:
        if key in self._verb.get("finishOnKey", ANY_KEY) and not self._done.is_set():
            self._key = key
            self._done.set()
            self._changed.set()

    async def run(self) -> Jump | None:
        """Record; gives the request with the recording, None if nothing was said.

        Raises `HungUpError` when the caller hung up without a word, `RedirectedError` as everywhere.
        """
        context = self._context
        context.answer()
        if self._verb.is_true("playBeep", default=True):
            context.endpoint.hear_sound("a beep")
        context.endpoint.attend(self)
        try:
            await self._listen()
        except HungUpError:
            if not self._words:
                raise
            self._key = "hangup"
        finally:
            context.endpoint.attend(None)
        return self._deliver()

    async def _listen(self) -> None:
        context, seconds = self._context, self._verb.seconds("timeout", TIMEOUT_SECONDS)
        while not self._done.is_set():
            self._changed.clear()
            if (
                await context.leg.until(first_of(self._changed.wait(), context.endpoint.silence(seconds)))
                == 1
            ):
                return

    # --- what becomes of it ----------------------------------------------------------------------

    def _deliver(self) -> Jump | None:
        recording = self._recording()
        if recording is None:
            self._notify_status(None, "absent")
            return None
        self._context.recordings.append(recording)
        self._context.emit("recorded", recording.text)
        self._notify_status(recording, "completed")
        self._transcribe(recording)
        verb, leg = self._verb, self._context.leg
        form = leg.form() | {
            "RecordingUrl": recording.url,
            "RecordingSid": recording.sid,
            "RecordingDuration": str(recording.seconds),
            "Digits": self._key,
        }
        return Jump(leg.absolute(verb.get("action"), self._document_url), form, verb.get("method", "POST"))

    def _recording(self) -> CallerRecording | None:
        if not self._words:
            return None
        sid = "RE" + secrets.token_hex(16)
        account = self._context.leg.shared.account_sid
        return CallerRecording(
            sid=sid,
            url=f"https://api.twilio.com/{API_VERSION}/Accounts/{account}/Recordings/{sid}",
            text=" ".join(self._words),
            seconds=math.ceil(len(self._words) / WORDS_PER_SECOND),
        )

    def _notify_status(self, recording: CallerRecording | None, status: str) -> None:
        verb, leg = self._verb, self._context.leg
        if status not in verb.get("recordingStatusCallbackEvent", "completed").split():
            return
        form = {
            "AccountSid": leg.shared.account_sid,
            "CallSid": leg.sid,
            "RecordingStatus": status,
            "RecordingChannels": "1",
            "RecordingSource": "RecordVerb",
            "RecordingStartTime": format_datetime(datetime.now(UTC)),
        }
        if recording is not None:
            form |= {
                "RecordingSid": recording.sid,
                "RecordingUrl": recording.url,
                "RecordingDuration": str(recording.seconds),
            }
        leg.notify(verb, "recordingStatusCallback", self._document_url, form)

    def _transcribe(self, recording: CallerRecording) -> None:
        """Of the recording, once it is there; another thing than ``<Transcription>``."""
        leg = self._context.leg
        understood = recording.seconds in TRANSCRIBED_SECONDS
        sid = "TR" + secrets.token_hex(16)
        account = f"https://api.twilio.com/{API_VERSION}/Accounts/{leg.shared.account_sid}"
        form = leg.form() | {
            "TranscriptionSid": sid,
            "TranscriptionText": recording.text if understood else "",
            "TranscriptionStatus": "completed" if understood else "failed",
            "TranscriptionUrl": f"{account}/Recordings/{recording.sid}/Transcriptions/{sid}",
            "RecordingSid": recording.sid,
            "RecordingUrl": recording.url,
        }
        leg.notify(self._verb, "transcribeCallback", self._document_url, form)
