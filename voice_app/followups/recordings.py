"""Fetching the messages that callers left, from Twilio into a folder of ours.

The address is made from the SID: what a callback gives as the recording's URL is never asked, so that nobody
can send our credentials anywhere. https://www.twilio.com/docs/voice/api/recording#fetch-a-recording-media-file
"""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO, Final

from voice_app.followups.context import Finished, FollowupContext, Retry, Verdict
from voice_app.journal import Journal
from voice_app.journal.events import Stored, Voicemail
from voice_app.twilio import ApiError, Trouble, TwilioApi

MAX_BYTES: Final = 100 * 1024 * 1024
"""Some six hours of speech in an MP3 of Twilio's."""
PRODUCT: Final = "api"


class RecordingsTask:
    """Fetches each message once: a file that is there is whole."""

    name = "recording"
    patience_s = 6 * 3600.0  # Twilio answers 404 until it has made the file
    waits_s = (3.0, 300.0)
    kinds = frozenset({"voicemail"})

    def __init__(self, api: TwilioApi, account_sid: str, folder: Path, journal: Journal) -> None:
        self._api = api
        self._account_sid = account_sid
        self._folder = folder
        self._journal = journal

    def wanted(self, context: FollowupContext) -> bool:
        return bool(context.state.events(Voicemail))

    async def attempt(self, context: FollowupContext) -> Verdict:
        sids = dict.fromkeys(event.recording_sid for event in context.state.events(Voicemail))
        for sid in sids:
            try:
                stored = await self._fetch(sid, f"{context.call_sid}-{sid}.mp3")
            except ApiError as error:
                if error.trouble is Trouble.NOT_FOUND:
                    return Retry("the recording is not there yet")
                raise
            except OSError as error:
                return Retry(f"VOICE_APP_RECORDINGS: {self._folder}: {error.strerror}")
            self._journal.write(context.call_sid, stored, once=f"recording:{sid}")
        return Finished("fetched", str(len(sids)))

    async def _fetch(self, sid: str, name: str) -> Stored:
        path = self._folder / name
        if not await asyncio.to_thread(path.exists):
            await asyncio.to_thread(self._folder.mkdir, 0o700, parents=True, exist_ok=True)
            await self._download(sid, path)
        size, digest = await asyncio.to_thread(_measure, path)
        return Stored(sid, name, size, digest)

    async def _download(self, sid: str, path: Path) -> None:
        """Into a name of its own first, so that a half of it never looks like the whole."""
        part = path.with_suffix(".part")
        media = f"/2010-04-01/Accounts/{self._account_sid}/Recordings/{sid}.mp3"
        file = await asyncio.to_thread(open, part, "wb", opener=_private)
        try:
            async for chunk in self._api.download(PRODUCT, media, max_bytes=MAX_BYTES):
                await asyncio.to_thread(file.write, chunk)
            await asyncio.to_thread(_settle, file)
        finally:
            await asyncio.to_thread(file.close)
        await asyncio.to_thread(os.replace, part, path)


def _private(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_CLOEXEC, 0o600)


def _settle(file: BinaryIO) -> None:
    file.flush()
    os.fsync(file.fileno())


def _measure(path: Path) -> tuple[int, str]:
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256")
    return path.stat().st_size, digest.hexdigest()


def erase(folder: Path, call_sids: Iterable[str]) -> int:
    """Delete the recordings of these calls, also half ones; how many there were. May raise `OSError`."""
    found = [path for sid in call_sids for path in folder.glob(f"{sid}-RE*")]
    for path in found:
        path.unlink(missing_ok=True)
    return len(found)
