from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from support.followups import CALL, Office
from voice_app.followups import erase
from voice_app.followups.recordings import RecordingsTask
from voice_app.journal.events import Closed, Opened, Stored, Voicemail
from voice_app.sandbox.twilio import Fault
from voice_app.twilio import ApiError, Credentials, Trouble, TwilioApi

RECORDING = "RE" + "7" * 32
AUDIO = b"ID3" + bytes(range(256)) * 1000
PATH = f"/2010-04-01/Accounts/AC/Recordings/{RECORDING}.mp3"


def recordings(office: Office, folder: Path) -> RecordingsTask:
    return RecordingsTask(office.api, office.account.sid, folder, office.journal)


def leave_message(office: Office, url: str = "") -> None:
    office.write(Opened(), Voicemail(RECORDING, url, 4.0), Voicemail(RECORDING, text="Hi."), Closed("x"))


async def test_a_message_is_fetched_into_the_folder(office: Office, tmp_path: Path) -> None:
    office.account.recordings[RECORDING] = AUDIO
    leave_message(office)
    await office.attempt(recordings(office, tmp_path / "kept"))
    name = f"{CALL}-{RECORDING}.mp3"
    assert [path.name for path in (tmp_path / "kept").iterdir()] == [name]
    assert (tmp_path / "kept" / name).read_bytes() == AUDIO
    assert [path.stat().st_mode & 0o077 for path in (tmp_path / "kept", tmp_path / "kept" / name)] == [0, 0]
    stored = [e.event for e in await office.journal.events(CALL) if isinstance(e.event, Stored)]
    assert stored == [Stored(RECORDING, name, len(AUDIO), hashlib.sha256(AUDIO).hexdigest())]


async def test_one_that_is_there_is_not_fetched_again(office: Office, tmp_path: Path) -> None:
    office.account.recordings[RECORDING] = AUDIO
    leave_message(office)
    await office.attempt(recordings(office, tmp_path))
    await office.attempt(recordings(office, tmp_path), number=1)
    assert office.requests("GET", f"{RECORDING}.mp3") == 1


async def test_one_that_twilio_has_not_made_yet_is_asked_for_again(office: Office, tmp_path: Path) -> None:
    leave_message(office)
    assert await office.attempt(recordings(office, tmp_path)) is not None
    office.account.recordings[RECORDING] = AUDIO
    assert await office.attempt(recordings(office, tmp_path), number=1) is None


async def test_the_url_of_the_callback_is_never_asked(office: Office, tmp_path: Path) -> None:
    asked: list[str] = []

    async def elsewhere(request: web.Request) -> web.Response:
        asked.append(request.path)
        return web.Response(body=b"not ours")

    app = web.Application()
    app.router.add_get("/{path:.*}", elsewhere)
    async with TestServer(app) as server:
        leave_message(office, str(server.make_url(f"/{RECORDING}")))
        office.account.recordings[RECORDING] = AUDIO
        await office.attempt(recordings(office, tmp_path))
    assert asked == []
    assert (tmp_path / f"{CALL}-{RECORDING}.mp3").read_bytes() == AUDIO


async def test_a_folder_that_cannot_be_written_to_is_told_and_tried_again(
    office: Office, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").touch()
    office.account.recordings[RECORDING] = AUDIO
    leave_message(office)
    assert await office.attempt(recordings(office, tmp_path / "file")) is not None
    assert "VOICE_APP_RECORDINGS" in caplog.text


async def test_a_download_that_stops_leaves_nothing_that_looks_whole(office: Office, tmp_path: Path) -> None:
    office.account.faults.add(Fault(path="*.mp3", status=500))
    leave_message(office)
    assert await office.attempt(recordings(office, tmp_path)) is not None
    assert list(tmp_path.glob("*.mp3")) == []


async def test_to_forget_a_caller_is_to_erase_what_was_fetched(tmp_path: Path) -> None:
    for name in (f"{CALL}-{RECORDING}.mp3", f"{CALL}-{RECORDING}.part", f"CA{'8' * 32}-{RECORDING}.mp3"):
        (tmp_path / name).touch()
    assert erase(tmp_path, [CALL]) == 2
    assert [path.name for path in tmp_path.iterdir()] == [f"CA{'8' * 32}-{RECORDING}.mp3"]


class Media:
    """A server whose media are somewhere else, and which notes who asked with what."""

    def __init__(self, location: str) -> None:
        self.location = location
        self.authorizations: list[str | None] = []

    async def answer(self, request: web.Request) -> web.Response:
        self.authorizations.append(request.headers.get("Authorization"))
        if request.path.startswith("/api"):
            raise web.HTTPTemporaryRedirect(self.location)
        return web.Response(body=AUDIO)


@asynccontextmanager
async def elsewhere(location: str) -> AsyncIterator[tuple[TwilioApi, Media]]:
    media, app = Media(location), web.Application()
    app.router.add_get("/{path:.*}", media.answer)
    async with TestServer(app) as server, aiohttp.ClientSession() as http:
        base_url = str(server.make_url("/")).rstrip("/")
        yield TwilioApi(http, Credentials("AC", "secret"), base_url=base_url), media


async def test_media_that_are_at_another_path_are_followed() -> None:
    async with elsewhere("/kept/there") as (api, media):
        found = [chunk async for chunk in api.download("api", PATH, max_bytes=len(AUDIO))]
    assert b"".join(found) == AUDIO
    assert len(media.authorizations) == 2


@pytest.mark.parametrize("location", ["http://127.0.0.1:9/there", "ftp://example.com/there", f"/api{PATH}"])
async def test_media_are_followed_to_no_other_place_without_https(location: str) -> None:
    async with elsewhere(location) as (api, _):
        with pytest.raises(ApiError) as caught:
            _ = [chunk async for chunk in api.download("api", PATH, max_bytes=len(AUDIO))]
    assert caught.value.trouble is Trouble.MOVED


async def test_our_credentials_go_to_no_other_place() -> None:
    async with elsewhere("/") as (api, media), api._opened(api.url("x", "/kept"), ours=False) as response:
        assert await response.read() == AUDIO
    assert media.authorizations == [None]


async def test_media_that_are_too_long_are_refused() -> None:
    async with elsewhere("/kept/there") as (api, _):
        with pytest.raises(ApiError, match="more than 10 bytes"):
            _ = [chunk async for chunk in api.download("api", PATH, max_bytes=10)]
