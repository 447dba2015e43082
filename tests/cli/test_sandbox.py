"""``voice-app sandbox``: the double of Twilio's APIs in a process of its own, shared by several servers."""

from __future__ import annotations

import re
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
from aiohttp import encode_basic_auth

from support.backends import backend
from support.commands import serving, voice_app
from support.waiting import until
from voice_app.cli.child_processes import child
from voice_app.settings import SANDBOX_ACCOUNT_SID, SANDBOX_AUTH_TOKEN

AUTH = {"Authorization": encode_basic_auth(SANDBOX_ACCOUNT_SID, SANDBOX_AUTH_TOKEN)}


@asynccontextmanager
async def double(*arguments: str) -> AsyncIterator[dict[str, str]]:
    """Run it while the block runs, and give what it says that a server needs."""
    async with child("voice_app", "sandbox", *arguments, settings={}) as running:
        said = (running.folder / "output").read_text()
        yield dict(re.findall(r"(?m)^  ((?:VOICE_APP|TWILIO)_\w+)=(\S+)$", said))


async def test_two_servers_share_its_account(tmp_path: Path) -> None:
    folders = tmp_path / "a", tmp_path / "b"
    for folder in folders:
        folder.mkdir()
    async with (
        double() as told,
        serving(folders[0], **told) as first,
        serving(folders[1], **told) as second,
        aiohttp.ClientSession() as http,
    ):
        shown = []
        for base_url in (first, second):
            async with http.get(f"{base_url}/sandbox.json") as response:
                shown.append(await response.json())
    assert shown[0] == shown[1]
    assert shown[0]["twilio_base_url"] == told["VOICE_APP_TWILIO_BASE_URL"]
    assert shown[0]["conversation_configuration"] == told["TWILIO_CONVERSATION_CONFIGURATION_ID"]


async def test_its_webhooks_go_to_a_balancer_whatever_a_server_says(tmp_path: Path) -> None:
    async with (
        backend("proxy") as proxy,
        double("--webhooks-to", proxy.base) as told,
        serving(tmp_path, **told),
        aiohttp.ClientSession(headers=AUTH) as http,
    ):
        body = {"configurationId": told["TWILIO_CONVERSATION_CONFIGURATION_ID"], "name": "of the test"}
        url = f"{told['VOICE_APP_TWILIO_BASE_URL']}/conversations/v2/Conversations"
        async with http.post(url, json=body) as response:
            assert response.status == 201
        await until(lambda: proxy.asked, "a webhook")
    assert proxy.asked[0].startswith("POST /orchestrator/events?bodySHA256=")


async def test_it_is_not_for_a_real_account(tmp_path: Path) -> None:
    real = {"TWILIO_ACCOUNT_SID": "AC" + "1" * 32, "TWILIO_AUTH_TOKEN": "x"}
    result = await voice_app(tmp_path, "sandbox", **real, TWILIO_VOICE_PUBLIC_DOMAIN="voice.example.com")
    assert (result.code, result.out) == (2, "")
    assert "TWILIO_ACCOUNT_SID is set" in result.err


async def test_a_port_in_use_is_told(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        result = await voice_app(tmp_path, "sandbox", "--port", str(taken.getsockname()[1]))
    assert result.code == 2
    assert "choose another with --port" in result.err


async def test_what_is_no_url_is_told(tmp_path: Path) -> None:
    result = await voice_app(tmp_path, "sandbox", "--webhooks-to", "localhost:8080")
    assert result.code == 2
    assert "is no URL" in result.err
