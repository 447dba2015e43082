"""``voice-app bench``, from outside."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from support.commands import serving, voice_app

QUICK = ("--calls", "2", "--turns", "2", "--warm-up", "1", "--pause", "0", "--interrupts", "0.5")


async def test_a_stub_server_is_started_and_measured(tmp_path: Path) -> None:
    done = await voice_app(tmp_path, "bench", "--stub", "--json", *QUICK)
    assert (done.code, done.err) == (0, "")
    report = json.loads(done.out)
    assert report["start_seconds"] > 0
    assert report["idle"]["calls"] == 2
    assert report["talk"]["turns"] == 4
    assert report["talk"]["unanswered_turns"] == 0
    assert report["webhooks"]["refused"] == {}
    assert report["webhooks"]["requests"] == 4


async def test_the_chat_agent_is_measured_with_a_stub_model(tmp_path: Path) -> None:
    done = await voice_app(tmp_path, "bench", "--chat", "--json", *QUICK)
    assert (done.code, done.err) == (0, "")
    report = json.loads(done.out)
    assert report["talk"]["unanswered_turns"] == 0
    assert report["idle"] is None


async def test_a_running_server_is_measured_and_the_figures_are_explained(tmp_path: Path) -> None:
    async with serving(tmp_path, VOICE_APP_AGENT="voice_app.sandbox.load.agents:fixed_reply") as base_url:
        done = await voice_app(tmp_path, "bench", f"{base_url}/voice", *QUICK)
    assert (done.code, done.err) == (0, "")
    for row in ("first token, p99", "server's CPU per turn", "memory per call", "stale", "unanswered"):
        assert row in done.out


@pytest.mark.parametrize(
    ("option", "row"), [("--idle", "memory per idle call"), ("--webhooks=20", "voice webhooks")]
)
async def test_one_thing_can_be_measured_alone(tmp_path: Path, option: str, row: str) -> None:
    async with serving(tmp_path) as base_url:
        done = await voice_app(tmp_path, "bench", f"{base_url}/voice", "--calls", "2", option)
    assert (done.code, done.err) == (0, "")
    assert row in done.out
    assert "first token" not in done.out


async def test_a_server_that_refuses_webhooks_is_told_by_the_exit_code(tmp_path: Path) -> None:
    async with serving(tmp_path) as base_url:
        environment = {
            "TWILIO_ACCOUNT_SID": "AC" + "1" * 32,
            "TWILIO_AUTH_TOKEN": "another",
            "TWILIO_VOICE_PUBLIC_DOMAIN": "sandbox.localhost",
        }
        done = await voice_app(tmp_path, "bench", f"{base_url}/voice", "--webhooks", "5", **environment)
    assert done.code == 1
    assert "5 × 403" in done.out


async def test_a_server_that_is_not_there_is_told(tmp_path: Path, unused_tcp_port: int) -> None:
    done = await voice_app(tmp_path, "bench", f"http://127.0.0.1:{unused_tcp_port}/voice")
    assert done.code == 3
    assert done.err.startswith("Error: Nothing was measured: nothing answers at http://127.0.0.1")
    assert "Traceback" not in done.err


@pytest.mark.parametrize("arguments", [(), ("--stub", "--chat"), ("http://127.0.0.1:1/voice", "--stub")])
async def test_exactly_one_server_has_to_be_named(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    done = await voice_app(tmp_path, "bench", *arguments)
    assert done.code == 2
    assert "name one server" in done.err


async def test_an_address_that_is_no_url_is_told(tmp_path: Path) -> None:
    done = await voice_app(tmp_path, "bench", "localhost:8000")
    assert done.code == 2
    assert "is no URL" in done.err
