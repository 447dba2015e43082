"""``voice-app serve`` and ``voice-app check``, from outside."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import aiohttp
import pytest

from support.commands import served, voice_app
from voice_app.sandbox.twilio import Fault, SandboxAccount, double_app
from voice_app.sandbox.twilio.app import serve

SID = "AC" + "1" * 32
VOICE_RULE = {"from": "*", "to": "+15550100001", "metadata": {"callType": "PSTN"}}


def account(base_url: str, configuration_id: str) -> dict[str, str]:
    return {
        "TWILIO_ACCOUNT_SID": SID,
        "TWILIO_AUTH_TOKEN": "token",
        "TWILIO_VOICE_PUBLIC_DOMAIN": "voice.example.com",
        "TWILIO_CONVERSATION_CONFIGURATION_ID": configuration_id,
        "VOICE_APP_TWILIO_BASE_URL": base_url,
    }


async def test_it_serves_the_sandbox_and_says_why_and_what_next(tmp_path: Path) -> None:
    async with served(tmp_path) as (base_url, _), aiohttp.ClientSession() as http:
        assert base_url.startswith("http://127.0.0.1:")
        async with http.get(f"{base_url}/readyz") as response:
            assert response.status == 200
    assert (tmp_path / "voice-app.db").exists()


async def test_the_sandbox_says_what_it_is(tmp_path: Path) -> None:
    result = await voice_app(tmp_path, "serve", "--check-only")
    assert (result.code, result.out) == (0, "Every check passed.\n")


async def test_an_unknown_setting_stops_the_start(tmp_path: Path) -> None:
    result = await voice_app(tmp_path, "serve", VOICE_APP_GARD="lenient")
    assert result.code == 2
    assert "VOICE_APP_GARD is not a setting: did you mean VOICE_APP_GUARD?" in result.err


async def test_a_bad_agent_stops_the_start(tmp_path: Path) -> None:
    result = await voice_app(tmp_path, "serve", VOICE_APP_AGENT="nowhere:agent")
    assert result.code == 2
    assert "there is no module nowhere" in result.err
    assert "Traceback" not in result.err


async def test_a_port_in_use_is_told(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        result = await voice_app(tmp_path, "serve", "--port", str(taken.getsockname()[1]))
    assert result.code == 2
    assert "--port" in result.err
    assert "Traceback" not in result.err


async def test_a_public_address_is_not_for_the_sandbox(tmp_path: Path) -> None:
    result = await voice_app(tmp_path, "serve", "--host", "0.0.0.0")
    assert result.code == 2
    assert "loopback" in result.err


async def test_a_misspelt_attribute_stops_the_start(tmp_path: Path) -> None:
    folder = tmp_path / "twiml_templates"
    folder.mkdir()
    (folder / "fallback.xml").write_text("<Response><Hangup/></Response>")
    (folder / "answer.xml").write_text(
        '<Response>\n <Connect action="/x">\n'
        '  <ConversationRelay url="{{ relay_url }}" conversationConfigurationId="x"/>\n'
        " </Connect>\n</Response>"
    )
    result = await voice_app(tmp_path, "serve")
    assert result.code == 1
    assert "answer.xml:3" in result.err
    assert "conversationConfiguration" in result.err


async def test_voice_capture_rules_stop_the_start(tmp_path: Path) -> None:
    twilio = SandboxAccount(SID, "token")
    configuration_id = twilio.add_configuration(channelSettings={"VOICE": {"captureRules": [VOICE_RULE]}})
    async with serve(double_app(twilio)) as base_url:
        result = await voice_app(tmp_path, "serve", **account(base_url, configuration_id))
    assert result.code == 1
    assert "STT101" in result.err
    assert "from * to +15550100001 (callType PSTN)" in result.err
    assert configuration_id in result.err
    assert "Fix:" in result.err


async def test_voice_capture_rules_are_not_forgiven_by_a_lenient_guard(tmp_path: Path) -> None:
    twilio = SandboxAccount(SID, "token")
    configuration_id = twilio.add_configuration(channelSettings={"VOICE": {"captureRules": [VOICE_RULE]}})
    async with serve(double_app(twilio)) as base_url:
        result = await voice_app(
            tmp_path, "serve", VOICE_APP_GUARD="lenient", **account(base_url, configuration_id)
        )
    assert result.code == 1


async def test_a_clean_configuration_is_served(tmp_path: Path) -> None:
    twilio = SandboxAccount(SID, "token")
    configuration_id = twilio.add_configuration(channelSettings={"VOICE": {"captureRules": []}})
    async with (
        serve(double_app(twilio)) as base_url,
        served(tmp_path, **account(base_url, configuration_id)) as (server, _),
        aiohttp.ClientSession() as http,
        http.get(f"{server}/sandbox.json") as response,
    ):
        assert response.status == 404


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        (Fault(status=401, times=None), "401"),
        (Fault(status=403, times=None), "403"),
        (Fault(status=404, times=None), "404"),
        (Fault(status=500, times=None), "500"),
        (Fault(status=200, html=True, times=None), "HTML"),
    ],
)
async def test_a_configuration_that_cannot_be_read_stops_the_start(
    tmp_path: Path, fault: Fault, told: str
) -> None:
    twilio = SandboxAccount(SID, "token")
    configuration_id = twilio.add_configuration(channelSettings={})
    twilio.faults.add(fault)
    async with serve(double_app(twilio)) as base_url:
        result = await voice_app(tmp_path, "serve", **account(base_url, configuration_id))
    assert result.code == 3
    assert "STT106" in result.err
    assert told in result.err
    assert "Traceback" not in result.err


async def test_a_lenient_guard_warns_about_what_cannot_be_read(tmp_path: Path) -> None:
    values = account("http://127.0.0.1:9", "conv_configuration_" + "0" * 26)
    started = await voice_app(
        tmp_path, "serve", "--check-only", "--port", "0", VOICE_APP_GUARD="lenient", **values
    )
    assert started.code == 0
    assert "STT106" in started.err
    result = await voice_app(tmp_path, "check", "--json", VOICE_APP_GUARD="lenient", **values)
    assert result.code == 0
    findings = json.loads(result.out)["findings"]
    assert findings[0]["rule"] == "STT106"
    assert "error" not in {finding["severity"] for finding in findings}


async def test_check_of_the_sandbox_finds_nothing(tmp_path: Path) -> None:
    result = await voice_app(tmp_path, "check")
    assert result.code == 0
    assert "Nothing to complain about" in result.out
