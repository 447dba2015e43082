"""``voice-app check`` from outside, and what becomes of a server whose account changes while it runs."""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from support.commands import served, serving, voice_app
from support.waiting import until
from voice_app.sandbox.twilio import Behaviour, Fault, SandboxAccount, double_app
from voice_app.sandbox.twilio.app import serve
from voice_app.sandbox.twilio.records import SandboxCall

SID = "AC" + "1" * 32
NUMBER = "+15550100001"
QUICKSTART = {"from": "*", "to": NUMBER, "metadata": {"callType": "PSTN"}}
TIMEOUTS = {"inactive": 5, "closed": 30}
SMS = {"captureRules": [{"from": "*", "to": NUMBER}, {"from": NUMBER, "to": "*"}]}


def account(**behaviour: Any) -> SandboxAccount:
    """An account whose number leads to us."""
    found = SandboxAccount(
        SID, "token", behaviour=Behaviour(retry_after=0, operation_seconds=60, **behaviour)
    )
    webhook = "https://voice.example.com/voice"
    found.add_number(
        NUMBER,
        voice_url=webhook,
        voice_fallback_url=f"{webhook}/fallback",
        status_callback=f"{webhook}/status",
    )
    return found


def named(twilio: SandboxAccount, *rules: Any, **fields: Any) -> str:
    """The configuration that our TwiML names, with these VOICE capture rules."""
    voice = {"statusTimeouts": TIMEOUTS, "captureRules": list(rules)}
    return twilio.add_configuration(
        channelSettings={"SMS": SMS, "VOICE": voice}, memoryExtractionEnabled=True, **fields
    )


@asynccontextmanager
async def environment(twilio: SandboxAccount, configuration_id: str) -> AsyncIterator[dict[str, str]]:
    """The settings of a server that works on this account."""
    async with serve(double_app(twilio)) as base_url:
        yield {
            "TWILIO_ACCOUNT_SID": SID,
            "TWILIO_AUTH_TOKEN": "token",
            "TWILIO_VOICE_PUBLIC_DOMAIN": "voice.example.com",
            "TWILIO_CONVERSATION_CONFIGURATION_ID": configuration_id,
            "VOICE_APP_TWILIO_BASE_URL": base_url,
        }


async def test_a_clean_account_is_told_at_a_glance(tmp_path: Path) -> None:
    twilio = account()
    configuration_id = named(twilio)
    async with environment(twilio, configuration_id) as values:
        result = await voice_app(tmp_path, "check", **values)
    assert result.code == 0
    assert result.out.startswith("Fine: speech-to-text is billed once\n")
    assert f"{configuration_id} (sandbox, version 1), changed " in result.out
    assert NUMBER in result.out
    assert "Nothing to complain about." in result.out


async def test_json_has_verdict_facts_and_findings(tmp_path: Path) -> None:
    twilio = account()
    configuration_id = named(twilio, QUICKSTART)
    async with environment(twilio, configuration_id) as values:
        result = await voice_app(tmp_path, "check", "--json", **values)
    document = json.loads(result.out)
    assert result.code == 1
    assert document["verdict"] == "refused"
    assert {"name": "checked", "value": f"account {SID}"} in document["facts"]
    assert [finding["rule"] for finding in document["findings"]] == ["STT101"]
    assert result.err == ""


async def test_warnings_refuse_a_strict_check_only(tmp_path: Path) -> None:
    twilio = account()
    configuration_id = named(
        twilio, statusCallbacks=[{"url": "https://gone.example.com/x", "method": "POST"}]
    )
    async with environment(twilio, configuration_id) as values:
        usual = await voice_app(tmp_path, "check", **values)
        strict = await voice_app(tmp_path, "check", "--strict", **values)
    assert (usual.code, strict.code) == (0, 1)
    assert "CFG133" in usual.out
    assert strict.out.startswith("Refused — 1 warning")


async def test_a_strict_check_does_not_hear_that_the_guard_is_lenient(tmp_path: Path) -> None:
    twilio = account()
    configuration_id = named(twilio)
    twilio.faults.add(Fault("/conversations/*", status=403, times=None))
    async with environment(twilio, configuration_id) as values:
        lenient = await voice_app(tmp_path, "check", VOICE_APP_GUARD="lenient", **values)
        strict = await voice_app(tmp_path, "check", "--strict", VOICE_APP_GUARD="lenient", **values)
    assert lenient.code == 0
    assert strict.code != 0
    assert "STT106" in strict.out


async def test_what_is_allowed_does_not_refuse(tmp_path: Path) -> None:
    twilio = account()
    configuration_id = named(twilio)
    other = named(twilio, QUICKSTART, displayName="people")
    async with environment(twilio, configuration_id) as values:
        refused = await voice_app(tmp_path, "check", **values)
        allowed = await voice_app(tmp_path, "check", VOICE_APP_GUARD_ALLOW=f"STT102:{other}", **values)
        wrong = await voice_app(tmp_path, "check", VOICE_APP_GUARD_ALLOW="everything", **values)
    assert refused.code == 1
    assert f"error STT102 {other}" in refused.out
    assert allowed.code == 0
    assert f"note STT102 {other}" in allowed.out
    assert wrong.code == 2
    assert "VOICE_APP_GUARD_ALLOW: each should look like STT102:conv_configuration_… (given: " in wrong.err


@pytest.mark.parametrize("patch", [True, False])
async def test_twilios_quickstart_is_refused_then_fixed_then_accepted(tmp_path: Path, patch: bool) -> None:
    twilio = account(patch=patch)
    configuration_id = named(twilio, QUICKSTART, displayName="tac-quickstart", redactionConfigurationId="x")
    before = json.loads(json.dumps(twilio.configurations[configuration_id]))
    async with environment(twilio, configuration_id) as values:
        refused = await voice_app(tmp_path, "serve", **values)
        fixed = await voice_app(tmp_path, "check", "--fix", "--yes", **values)
        accepted = await voice_app(tmp_path, "serve", "--check-only", **values)
    assert refused.code == 1
    assert "STT101" in refused.err
    assert fixed.code == 0
    lines = fixed.out.splitlines()
    shown = lines.index("  channelSettings.VOICE.captureRules")
    assert lines[shown + 1] == f"  - {json.dumps(QUICKSTART, separators=(',', ':'))}"
    assert lines[shown + 2] == "  + []"
    assert ": pending" in fixed.out
    assert ": completed" in fixed.out
    assert "version 1 -> 2: no VOICE capture rules, all else as it was" in fixed.out
    assert "Fine: speech-to-text is billed once" in fixed.out
    assert (accepted.code, accepted.out) == (0, "Every check passed.\n")
    after = twilio.configurations[configuration_id]
    before["channelSettings"]["VOICE"]["captureRules"] = []
    for name in ("version", "updatedAt"):
        del before[name], after[name]
    assert after == before


async def test_without_a_yes_nothing_is_changed(tmp_path: Path) -> None:
    twilio = account()
    configuration_id = named(twilio, QUICKSTART)
    async with environment(twilio, configuration_id) as values:
        result = await voice_app(tmp_path, "check", "--fix", **values)
    assert result.code == 1
    assert "channelSettings.VOICE.captureRules" in result.out
    assert "Nothing was changed" in result.out
    assert {method for method, _, _ in twilio.requests} == {"GET"}


async def test_another_configurations_rules_are_not_touched(tmp_path: Path) -> None:
    twilio = account()
    configuration_id = named(twilio)
    other = named(twilio, QUICKSTART, displayName="people")
    async with environment(twilio, configuration_id) as values:
        result = await voice_app(tmp_path, "check", "--fix", "--yes", **values)
    assert result.code == 1
    assert "No configuration that our TwiML names has VOICE capture rules." in result.out
    assert twilio.configurations[other]["channelSettings"]["VOICE"]["captureRules"] == [QUICKSTART]


async def test_a_fix_in_json_says_what_it_did(tmp_path: Path) -> None:
    twilio = account()
    configuration_id = named(twilio, QUICKSTART)
    async with environment(twilio, configuration_id) as values:
        result = await voice_app(tmp_path, "check", "--fix", "--yes", "--json", **values)
    assert result.code == 0
    [fixed] = json.loads(result.out)["fixed"]
    assert (fixed["configuration"], fixed["version"], fixed["proven"]) == (configuration_id, 2, True)
    assert [change["path"] for change in fixed["changes"]] == ["channelSettings.VOICE.captureRules"]


async def test_a_fix_next_to_somebody_elses_change_says_so_and_ends_with_1(tmp_path: Path) -> None:
    twilio = account(operation_statuses=("PENDING",) * 10)
    configuration_id = named(twilio, QUICKSTART)

    async def change_meanwhile() -> None:
        await until(lambda: any("/Operations/" in path for _, path, _ in twilio.requests))
        twilio.configurations[configuration_id] |= {"description": "theirs", "version": 2}

    async with environment(twilio, configuration_id) as values, asyncio.TaskGroup() as tasks:
        tasks.create_task(change_meanwhile())
        result = await voice_app(tmp_path, "check", "--fix", "--yes", "--json", **values)
    [fixed] = json.loads(result.out)["fixed"]
    assert (result.code, fixed["raced"]) == (1, True)
    after = twilio.configurations[configuration_id]
    assert (after["description"], after["channelSettings"]["VOICE"]["captureRules"]) == ("theirs", [])


async def test_a_fix_that_twilio_refuses_is_told(tmp_path: Path) -> None:
    twilio = account()
    configuration_id = named(twilio, QUICKSTART)
    twilio.faults.add(Fault(method="PATCH", status=403, times=None))
    async with environment(twilio, configuration_id) as values:
        result = await voice_app(tmp_path, "check", "--fix", "--yes", **values)
    assert result.code == 3
    assert "It could not be fixed" in result.err
    assert "Traceback" not in result.err


ALARM = "speech-to-text is billed twice (STT101), see voice-app check"


@pytest.mark.parametrize(
    ("running", "told"),
    [
        ("alarm", f"ready, but {ALARM}\n"),
        ("refuse", f"ready, but takes no new calls: {ALARM}\n"),
    ],
)
async def test_a_second_engine_that_appears_is_told_until_it_is_gone(
    tmp_path: Path, running: str, told: str
) -> None:
    twilio = account()
    configuration_id = named(twilio)
    voice = twilio.configurations[configuration_id]["channelSettings"]["VOICE"]
    async with (
        environment(twilio, configuration_id) as values,
        served(tmp_path, VOICE_APP_GUARD_SECONDS="0", VOICE_APP_GUARD_RUNNING=running, **values) as (
            base_url,
            process,
        ),
        aiohttp.ClientSession() as http,
        asyncio.timeout(30),
    ):
        assert await ready(http, base_url) == (200, "ready\n")
        voice["captureRules"] = [QUICKSTART]
        process.send_signal(signal.SIGHUP)
        await turns(http, base_url, (200, told))
        async with http.get(f"{base_url}/metrics") as metrics:
            assert 'voice_app_guard_refusals{rule="STT101"} 1.0' in await metrics.text()
        async with http.get(f"{base_url}/healthz") as alive:
            assert alive.status == 200
        voice["captureRules"] = []
        process.send_signal(signal.SIGHUP)
        await turns(http, base_url, (200, "ready\n"))


async def test_the_check_repeats_by_itself(tmp_path: Path) -> None:
    twilio = account()
    configuration_id = named(twilio)
    async with (
        environment(twilio, configuration_id) as values,
        serving(tmp_path, VOICE_APP_GUARD_SECONDS="0.05", **values) as base_url,
        aiohttp.ClientSession() as http,
        asyncio.timeout(30),
    ):
        twilio.configurations[configuration_id]["channelSettings"]["VOICE"]["captureRules"] = [QUICKSTART]
        await turns(http, base_url, (200, f"ready, but {ALARM}\n"))


async def ready(http: aiohttp.ClientSession, base_url: str) -> tuple[int, str]:
    async with http.get(f"{base_url}/readyz") as response:
        return response.status, await response.text()


async def turns(http: aiohttp.ClientSession, base_url: str, expected: tuple[int, str]) -> None:
    """Wait until ``/readyz`` says this."""
    while await ready(http, base_url) != expected:  # noqa: ASYNC110
        await asyncio.sleep(0.02)


async def test_the_last_days_alerts_of_our_numbers_are_explained(tmp_path: Path) -> None:
    twilio = account()
    configuration_id = named(twilio)
    ours, others = "CA" + "1" * 32, "CA" + "2" * 32
    twilio.finished = {
        ours: SandboxCall(ours, "+15550100002", NUMBER),
        others: SandboxCall(others, "+15550100002", "+15550100088"),
    }
    twilio.add_alert(64102, ours, request_url=f"wss://voice.example.com/relay/{'t' * 40}")
    twilio.add_alert(64102, ours)
    twilio.add_alert(64109, others)
    twilio.add_alert(11200, request_url="https://somewhere.example.com/voice")
    twilio.add_alert(530003, log_level="warning")
    twilio.add_alert(12200, ours, date_generated="2020-01-01T00:00:00Z")
    async with environment(twilio, configuration_id) as values:
        result = await voice_app(tmp_path, "check", "--json", **values)
        strict = await voice_app(
            tmp_path, "check", "--strict", VOICE_APP_GUARD_ALLOW="ERR101:64102", **values
        )
    found = {item["where"]: item for item in json.loads(result.out)["findings"]}
    assert result.code == strict.code == 0
    assert set(found) == {"64102", "530003"}
    assert found["64102"]["severity"] == "warning"
    assert found["530003"]["severity"] == "note"
    assert "2 times in the last day" in found["64102"]["message"]
    assert "could not open the agent's socket" in found["64102"]["message"]
    assert "TWILIO_AUTH_TOKEN" in found["64102"]["fix"]
    assert "t" * 40 not in result.out


@pytest.mark.parametrize("fault", [{"status": 401, "code": 70004}, {"status": 403}, {"status": 404}])
async def test_a_check_that_may_not_read_alerts_says_so_and_goes_on(
    tmp_path: Path, fault: dict[str, Any]
) -> None:
    twilio = account()
    configuration_id = named(twilio)
    twilio.faults.add(Fault("/monitor/*", times=None, **fault))
    async with environment(twilio, configuration_id) as values:
        result = await voice_app(tmp_path, "check", VOICE_APP_GUARD_ALLOW="STT102:gone", **values)
    assert result.code == 0
    assert result.out.startswith("Fine: speech-to-text is billed once")
    assert "note ERR102 alerts: The alerts of the last day could not be read" in result.out
    assert "CFG103" in result.out  # everything that an allowance could be about was read
