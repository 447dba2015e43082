"""The check against the double over real HTTP: what was read, and what could not be."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from voice_app.findings import Finding, Severity
from voice_app.guard import Verdict, check, report, verdict
from voice_app.orchestrator import Configurations, Credentials, Patience, TwilioApi
from voice_app.sandbox.orchestrator import Account, Fault, double
from voice_app.sandbox.serving import serve

TOKEN = "token-of-the-test"
RULE = {"from": "*", "to": "+15550100001", "metadata": {"callType": "PSTN"}}


@contextlib.asynccontextmanager
async def api_of(account: Account, *, token: str = TOKEN, seconds: float = 10.0) -> AsyncIterator[TwilioApi]:
    async with serve(double(account)) as base_url, aiohttp.ClientSession() as session:
        yield TwilioApi(
            session,
            Credentials(account.sid, token),
            base_url=base_url,
            timeout=seconds,
            patience=Patience(attempts=2, first_wait=0.0),
        )


async def checked(
    account: Account,
    configuration_id: str | None,
    *,
    strict: bool = True,
    token: str = TOKEN,
    seconds: float = 10.0,
) -> list[Finding]:
    async with api_of(account, token=token, seconds=seconds) as api:
        return await check(api, configuration_id, strict=strict)


@pytest.fixture
def account() -> Account:
    return Account(token=TOKEN)


async def test_a_configuration_without_voice_capture_is_accepted(account: Account) -> None:
    configuration_id = account.add_configuration(channelSettings={"VOICE": {"statusTimeouts": None}})
    findings = await checked(account, configuration_id)
    assert findings == []
    assert verdict(findings) is Verdict.FINE


@pytest.mark.parametrize("strict", [True, False])
async def test_a_voice_capture_rule_is_refused_in_either_mode(account: Account, strict: bool) -> None:
    configuration_id = account.add_configuration(channelSettings={"VOICE": {"captureRules": [RULE]}})
    findings = await checked(account, configuration_id, strict=strict)
    assert [finding.rule for finding in findings] == ["STT101"]
    assert verdict(findings) is Verdict.REFUSED


@pytest.mark.parametrize("configuration_id", ["", None])
async def test_without_a_configuration_nothing_is_asked(
    account: Account, configuration_id: str | None
) -> None:
    assert await checked(account, configuration_id) == []
    assert len(account.requests) == 0


async def test_a_wrong_id_is_refused_without_asking(account: Account) -> None:
    findings = await checked(account, "conv_conversation_00000000000000000000000001")
    assert [finding.rule for finding in findings] == ["CFG101"]
    assert verdict(findings) is Verdict.REFUSED
    assert len(account.requests) == 0


FAULTS: dict[str, tuple[Fault, str]] = {
    "401": (Fault(status=401), "Check TWILIO_ACCOUNT_SID"),
    "401-grant": (Fault(status=401, code=70004), "grant"),
    "403": (Fault(status=403), "permission"),
    "404": (Fault(status=404), "does not exist in this account"),
    "409": (Fault(status=409), "409"),
    "429": (Fault(status=429), "Too many requests"),
    "429-long": (Fault(status=429, headers={"Retry-After": "99"}), "wait 99 s"),
    "500": (Fault(status=500), "Twilio's side"),
    "503": (Fault(status=503), "Twilio's side"),
    "html": (Fault(html=True), "a page of HTML"),
    "html-502": (Fault(status=502, html=True), "a page of HTML"),
    "timeout": (Fault(delay=30), "no answer within 0.2 s"),
    "cut": (Fault(body='{"id": "conv_'), "not JSON"),
    "list": (Fault(body="[]"), "not an object"),
    "other": (Fault(body="{}"), "something without an id"),
    "redirect": (Fault(status=302, headers={"Location": "/login"}), "another address"),
}


@pytest.mark.parametrize("name", FAULTS)
@pytest.mark.parametrize("strict", [True, False])
async def test_what_cannot_be_read_is_told_with_the_reason(account: Account, name: str, strict: bool) -> None:
    fault, told = FAULTS[name]
    fault.times = None
    account.faults.add(fault)
    configuration_id = account.add_configuration()
    seconds = 0.2 if name == "timeout" else 10.0
    findings = await checked(account, configuration_id, strict=strict, seconds=seconds)
    [finding] = findings
    assert finding.rule == "STT106"
    assert finding.where == configuration_id
    assert finding.severity is (Severity.ERROR if strict else Severity.WARNING)
    assert verdict(findings) is (Verdict.UNKNOWN if strict else Verdict.FINE)
    assert told in report(findings).plain


async def test_a_deleted_configuration_cannot_be_verified(account: Account) -> None:
    [finding] = await checked(account, "conv_configuration_00000000000000000000000001")
    assert finding.rule == "STT106"
    assert "404 (20404)" in finding.message


async def test_wrong_credentials_cannot_verify(account: Account) -> None:
    [finding] = await checked(account, account.add_configuration(), token="wrong")
    assert "401 (20003)" in finding.message
    assert "terms of service" in finding.fix


async def test_a_closed_port_cannot_verify(account: Account) -> None:
    async with api_of(account) as api:
        pass
    async with aiohttp.ClientSession() as session:
        gone = TwilioApi(
            session,
            Credentials(account.sid, TOKEN),
            base_url=api.url("", "").rstrip("/"),
            patience=Patience(attempts=1),
        )
        [finding] = await check(gone, account.add_configuration())
    assert "no connection" in finding.message


async def test_a_passing_weakness_of_the_network_is_survived(account: Account) -> None:
    account.faults.add(Fault(status=503, times=1))
    assert await checked(account, account.add_configuration()) == []


def test_a_report_has_everything_and_the_gravest_first() -> None:
    findings = [
        Finding("STT106", Severity.WARNING, "conv_configuration_1", "could not be read", fix="Try again."),
        Finding(
            "STT101", Severity.ERROR, "conv_configuration_2", "captures", reason="Two.", evidence=("a", "b")
        ),
    ]
    assert report(findings).plain == (
        "error STT101 conv_configuration_2: captures\n"
        "  - a\n"
        "  - b\n"
        "  Why: Two.\n"
        "\n"
        "warning STT106 conv_configuration_1: could not be read\n"
        "  Fix: Try again."
    )
    assert report([]).plain == ""


async def test_a_hostile_name_cannot_steer_the_terminal(account: Account) -> None:
    settings: dict[str, Any] = {"VOICE": {"captureRules": [{"from": "\x1b[2J", "to": "[red]x[/]"}]}}
    configuration_id = account.add_configuration(displayName="\x1b]0;x\x07\r\n", channelSettings=settings)
    text = report(await checked(account, configuration_id))
    assert "\x1b" not in text.plain
    assert "\r" not in text.plain
    assert "[red]x[/]" in text.plain


@pytest.mark.parametrize("patch", [True, False])
async def test_twilios_quickstart_is_refused_then_fixed_as_told_then_accepted(
    account: Account, patch: bool
) -> None:
    account.behaviour.patch = patch
    account.behaviour.retry_after = 0
    timeouts = {"inactive": 5, "closed": 30}
    configuration_id = account.add_configuration(
        displayName="tac-quickstart",
        channelSettings={
            "SMS": {"captureRules": [RULE]},
            "VOICE": {"statusTimeouts": timeouts, "captureRules": [RULE]},
        },
    )
    async with api_of(account) as api:
        [finding] = await check(api, configuration_id)
        assert finding.rule == "STT101"
        body = re.search(r"\{.*\}", finding.fix)
        assert body is not None
        await Configurations(api).update(configuration_id, json.loads(body[0]))
        assert await check(api, configuration_id) == []
    settings = account.configurations[configuration_id]["channelSettings"]
    assert settings == {
        "SMS": {"captureRules": [RULE]},
        "VOICE": {"statusTimeouts": timeouts, "captureRules": []},
    }
