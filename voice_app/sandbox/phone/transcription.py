"""``<Transcription>``: tells the server what is said on a call, as it is said.

Source: ``docs/protocol.md`` §5. The inbound track is what Twilio receives: the caller.
"""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import Callable, Coroutine, Iterator, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import aiohttp

from voice_app.sandbox.phone.callbacks import CallbackQueue
from voice_app.sandbox.phone.twiml import TwimlVerb
from voice_app.sandbox.twilio import RELAY_ENGINE, CallStart, Side, Transcriber

TRACKS: Mapping[Side, str] = {"caller": "inbound_track", "agent": "outbound_track"}
CONFIDENCE = 0.95
KNOWN_ENGINES = ("google", "deepgram", "auto")


class TranscriptionStream:
    """One engine of ``<Start><Transcription>``. ``identity`` has the call's AccountSid and CallSid."""

    def __init__(self, verb: TwimlVerb, identity: Mapping[str, str], callbacks: CallbackQueue) -> None:
        self.sid = "GT" + secrets.token_hex(16)
        self.name = verb.get("name")
        self.provider = verb.get("transcriptionEngine", "google").lower()
        self.model = verb.get("speechModel", "telephony")
        self._verb = verb
        self._identity = identity
        self._callbacks = callbacks
        self._sequence = 0
        self._track = verb.get("track", "both_tracks")
        self._send_started()

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
                self._send_content(track, {"transcript": partial}, {"Stability": f"{stability:.2f}"})
        self._send_content(track, {"transcript": text, "confidence": CONFIDENCE})

    def stop(self) -> None:
        self._notify("transcription-stopped")

    def fail(self, code: int, message: str) -> None:
        """The engine breaks."""
        self._notify("transcription-error", TranscriptionErrorCode=str(code), TranscriptionError=message)

    def _send_started(self) -> None:
        verb = self._verb
        provider = {
            "profanityFilter": verb.get("profanityFilter", "true"),
            "speechModel": self.model,
            "enableAutomaticPunctuation": verb.get("enableAutomaticPunctuation", "true"),
            "hints": verb.get("hints"),
        }
        optional = {"Name": "name", "InboundTrackLabel": "inboundTrackLabel"}
        optional |= {"OutboundTrackLabel": "outboundTrackLabel"}
        self._notify(
            "transcription-started",
            ProviderConfiguration=json.dumps(provider),
            TranscriptionEngine=self.provider,
            Track=self._track,
            PartialResults=verb.get("partialResults", "false"),
            LanguageCode=verb.get("languageCode", "en-US"),
            **{field: verb.get(name) for field, name in optional.items() if verb.get(name)},
        )

    def _send_content(
        self, track: str, data: Mapping[str, object], partial: Mapping[str, str] | None = None
    ) -> None:
        self._notify(
            "transcription-content",
            LanguageCode=self._verb.get("languageCode", "en-US"),
            Track=track,
            TranscriptionData=json.dumps(data),
            Final="false" if partial else "true",
            **(partial or {}),
        )

    def _notify(self, event: str, **fields: str) -> None:
        """Without a URL no callback is sent."""
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


KNOWN_SECONDS = 5.0
"""A double that takes longer than this is not waited for."""


class TranscriptWriter:
    """Reports one call to a `Transcriber`; does nothing where there is none.

    A capture rule listens from the start of the call to its end; an engine that TwiML asked for, from
    `attach` to `detach`.
    """

    def __init__(
        self,
        transcriber: Transcriber | None,
        call_sid: str,
        caller: str,
        number: str,
        problem: Callable[[str], None],
    ) -> None:
        self.conversation_id: str | None = None
        """The conversation that the call is, or was last, written to."""
        self._transcriber = transcriber
        self._call_sid = call_sid
        self._caller = caller
        self._number = number
        self._problem = problem
        self._attached = False
        self._work: asyncio.Queue[Callable[[Transcriber], Coroutine[Any, Any, None]]] = asyncio.Queue()
        self._worker: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """The call begins: it is known from then on, or after `KNOWN_SECONDS` at the latest."""
        if self._transcriber is not None:
            self._worker = asyncio.create_task(self._write(self._transcriber), name="transcript")
            self._begin(None, None, RELAY_ENGINE)
            with suppress(TimeoutError):
                async with asyncio.timeout(KNOWN_SECONDS):
                    await self.settle()

    def attach(self, configuration_id: str | None, conversation_id: str | None, engine: str) -> None:
        """An engine listens that writes to a conversation, if one of the ids is given."""
        self._attached = True
        self._begin(configuration_id, conversation_id, engine)

    def detach(self) -> None:
        """It no longer listens."""
        self._attached = False

    def spoken(self, side: Side, text: str) -> None:
        attached = self._attached

        async def write(transcriber: Transcriber) -> None:
            await transcriber.spoken(self._call_sid, side, text, passively=not attached)

        self._work.put_nowait(write)

    async def settle(self) -> None:
        """Return when everything is written."""
        if self._worker is not None:
            await self._work.join()

    async def finish(self) -> None:
        """The call is over, and everything is written."""
        self._work.put_nowait(lambda transcriber: transcriber.call_ended(self._call_sid))
        await self.settle()

    async def close(self) -> None:
        """Write no more."""
        if self._worker is not None:
            self._worker.cancel()
            await asyncio.wait([self._worker])

    def _begin(self, configuration_id: str | None, conversation_id: str | None, engine: str) -> None:
        async def begin(transcriber: Transcriber) -> None:
            found = await transcriber.call_started(
                CallStart(
                    self._call_sid,
                    caller=self._caller,
                    number=self._number,
                    configuration_id=configuration_id,
                    conversation_id=conversation_id,
                    engine=engine,
                )
            )
            self.conversation_id = found or self.conversation_id

        self._work.put_nowait(begin)

    async def _write(self, transcriber: Transcriber) -> None:
        while True:
            work = await self._work.get()
            try:
                await work(transcriber)
            except (aiohttp.ClientError, TimeoutError) as error:
                self._problem(f"the conversation could not be written to: {error}")
            finally:
                self._work.task_done()
