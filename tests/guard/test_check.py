"""The check against the double over real HTTP: what was read, and what could not be."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import msgspec
import pytest

from support.conversations import open_conversation
from voice_app.findings import Finding, Severity
from voice_app.guard import Report, Scope, Verdict, check_account, verdict
from voice_app.guard.rendering import facts, overview, report
from voice_app.sandbox.twilio import Fault, SandboxAccount, double_app
from voice_app.sandbox.twilio.app import serve
from voice_app.twilio import Configurations, Credentials, Patience, TwilioApi

TOKEN = "token-of-the-test"
ORIGIN = "https://voice.example.com"
NUMBER = "+15550100001"
LINK = "intelligence_configuration_00000000000000000000000001"
RULE = {"from": "*", "to": NUMBER, "metadata": {"callType": "PSTN"}}


@contextlib.asynccontextmanager
async def api_of(
    account: SandboxAccount, *, token: str = TOKEN, seconds: float = 10.0
) -> AsyncIterator[TwilioApi]:
    async with serve(double_app(account)) as base_url, aiohttp.ClientSession() as session:
        yield TwilioApi(
            session,
            Credentials(account.sid, token),
            base_url=base_url,
            timeout=seconds,
            patience=Patience(attempts=2, first_wait=0.0),
        )


async def checked(
    account: SandboxAccount,
    configuration_id: str | None,
    *,
    token: str = TOKEN,
    seconds: float = 10.0,
    **scope: Any,
) -> list[Finding]:
    async with api_of(account, token=token, seconds=seconds) as api:
        return (await looked(api, configuration_id, **scope)).findings


async def looked(api: TwilioApi, configuration_id: str | None, **scope: Any) -> Report:
    return await check_account(api, Scope(configuration_id=configuration_id, **scope))


@pytest.fixture
def account() -> SandboxAccount:
    """Everything about it is as it should be."""
    account = SandboxAccount(token=TOKEN)
    account.add_number(NUMBER, voice_url=f"{ORIGIN}/voice", voice_fallback_url="https://a.example.com")
    account.numbers[0]["status_callback"] = f"{ORIGIN}/voice/status"
    return account


def add(account: SandboxAccount, configuration_id: str | None = None, **fields: Any) -> str:
    """A configuration with which nothing is wrong, but for ``fields``."""
    given = {"channelSettings": {"VOICE": {}}, "memoryExtractionEnabled": True, **fields}
    return account.add_configuration(configuration_id, **given)


async def test_a_configuration_without_voice_capture_is_accepted(account: SandboxAccount) -> None:
    findings = await checked(account, add(account, channelSettings={"VOICE": {"statusTimeouts": None}}))
    assert findings == []
    assert verdict(findings) is Verdict.FINE


@pytest.mark.parametrize("strict", [True, False])
async def test_a_voice_capture_rule_is_refused_in_either_mode(account: SandboxAccount, strict: bool) -> None:
    configuration_id = add(account, channelSettings={"VOICE": {"captureRules": [RULE]}})
    findings = await checked(account, configuration_id, strict=strict)
    assert [finding.rule for finding in findings] == ["STT101"]
    assert verdict(findings) is Verdict.REFUSED


async def test_without_a_configuration_the_others_are_read_all_the_same(account: SandboxAccount) -> None:
    """ConversationRelay listens in any case, and so does a rule that matches."""
    other = add(account, channelSettings={"VOICE": {"captureRules": [RULE]}})
    [finding] = await checked(account, None, numbers=(NUMBER,))
    assert (finding.rule, finding.severity, finding.where) == ("STT102", Severity.ERROR, other)


async def test_our_numbers_are_those_of_the_account_that_lead_here(account: SandboxAccount) -> None:
    ours = add(account)
    other = add(account, channelSettings={"VOICE": {"captureRules": [RULE]}}, displayName="other")
    scope: dict[str, Any] = {"origin": ORIGIN, "account_sid": account.sid}
    [finding] = await checked(account, ours, **scope)
    assert (finding.rule, finding.severity, finding.where) == ("STT102", Severity.ERROR, other)
    account.numbers[0]["voice_url"] = "https://elsewhere.example.com/voice"
    rules = {finding.rule: finding.severity for finding in await checked(account, ours, **scope)}
    assert rules == {"STT102": Severity.WARNING, "NUM101": Severity.WARNING}


async def test_a_number_that_leads_here_by_an_application_is_ours(account: SandboxAccount) -> None:
    sid = "AP" + "a" * 32
    account.numbers[0] |= {"voice_application_sid": sid, "voice_url": ""}
    account.applications[sid] = {"sid": sid, "voice_url": f"{ORIGIN}/voice", "voice_fallback_url": None}
    ours = add(account)
    other = add(account, channelSettings={"VOICE": {"captureRules": [RULE]}}, displayName="other")
    findings = await checked(account, ours, origin=ORIGIN, account_sid=account.sid)
    [twice] = [item for item in findings if item.rule == "STT102"]
    assert (twice.severity, twice.where) == (Severity.ERROR, other)
    account.applications[sid]["voice_url"] = "https://elsewhere.example.com/"
    assert not [
        item
        for item in await checked(account, ours, origin=ORIGIN, account_sid=account.sid, numbers=("+1999",))
        if item.rule == "STT102"
    ]
    account.faults.add(Fault(f"/api/*/Applications/{sid}.json", status=403, times=None))
    findings = await checked(account, ours, origin=ORIGIN, account_sid=account.sid, numbers=("+1999",))
    [doubt] = [item for item in findings if item.rule == "STT106"]
    assert (doubt.severity, doubt.where) == (Severity.ERROR, sid)
    assert NUMBER in doubt.message


ROWS_THAT_SAY_NOTHING: list[Any] = [None, {"VOICE": {}}, {"VOICE": None}, {"voice": {"captureRules": None}}]


@pytest.mark.parametrize("shown", [*ROWS_THAT_SAY_NOTHING, ...])
async def test_a_row_of_the_list_that_says_nothing_is_read_singly(
    account: SandboxAccount, shown: Any
) -> None:
    ours = add(account)
    other = add(account, channelSettings={"VOICE": {"captureRules": [RULE]}}, displayName="other")
    row: dict[str, Any] = {"id": other, "displayName": "other"}
    if shown is not ...:
        row["channelSettings"] = shown
    listed = json.dumps(
        {"configurations": [account.configurations[ours], row], "meta": {"key": "configurations"}}
    )
    path = "/conversations/v2/ControlPlane/Configurations"
    account.faults.add(Fault(path, status=200, body=listed, times=None))
    findings = await checked(account, ours, numbers=(NUMBER,))
    assert [(item.rule, item.where) for item in findings] == [("STT102", other)]
    account.faults.add(Fault(f"{path}/{other}", status=503, times=None))
    findings = await checked(account, ours, numbers=(NUMBER,))
    assert [(item.rule, item.where, item.severity) for item in findings] == [
        ("STT106", other, Severity.ERROR)
    ]


@pytest.mark.parametrize("field", ["displayName", "uniqueName"])
async def test_the_name_of_a_configuration_hides_nothing(account: SandboxAccount, field: str) -> None:
    ours = add(account)
    other = add(account, channelSettings={"VOICE": {"captureRules": [RULE]}})
    account.configurations[other][field] = "acme-old"
    findings = await checked(account, ours, in_templates=("acme-old",), numbers=("+1999",))
    assert {item.rule: item.severity for item in findings} == {
        "STT101": Severity.ERROR,
        "CFG101": Severity.WARNING,
    }
    assert "named by a template as acme-old" in findings[0].evidence
    nobody = await checked(account, ours, in_templates=("nobody",), numbers=("+1999",))
    assert [(item.rule, item.severity) for item in nobody] == [("CFG101", Severity.ERROR)]
    assert "no configuration has this name" in nobody[0].message
    assert "voice-app config list" in nobody[0].fix
    account.faults.add(Fault("/conversations/v2/ControlPlane/Configurations", status=403, times=None))
    unlisted = await checked(account, ours, in_templates=("acme-old",), numbers=("+1999",))
    assert [item.rule for item in unlisted] == ["STT106"]


async def test_numbers_are_read_on_all_pages(account: SandboxAccount) -> None:
    for n in range(1500):
        account.add_number(f"+1555020{n:04}", voice_url=f"{ORIGIN}/voice")
    async with api_of(account) as api:
        found = await looked(api, add(account), origin=ORIGIN, account_sid=account.sid)
    assert len(found.snapshot.numbers) == 1501


async def test_the_configuration_behind_a_conversation_in_a_template_is_read(account: SandboxAccount) -> None:
    ours, other = add(account), add(account, displayName="other")
    async with api_of(account) as api:
        conversation = await open_conversation(api, other)
        account.configurations[other]["channelSettings"] = {"VOICE": {"captureRules": [RULE]}}
        found = await looked(api, ours, in_templates=(conversation.id,))
    [finding] = found.findings
    assert (finding.rule, finding.where) == ("STT101", other)
    assert f"named by {conversation.id}" in finding.evidence


async def test_a_wrong_id_is_refused_and_nothing_is_asked_about_it(account: SandboxAccount) -> None:
    wrong = "conv_conversation_00000000000000000000000001"
    findings = await checked(account, wrong)
    assert [finding.rule for finding in findings] == ["CFG101"]
    assert verdict(findings) is Verdict.REFUSED
    assert not any(wrong in path for _, path, _ in account.requests)


async def test_the_check_only_ever_reads(account: SandboxAccount) -> None:
    configuration_id = add(account, intelligenceConfigurationIds=["intelligence_configuration_1"])
    await checked(account, configuration_id, origin=ORIGIN, account_sid=account.sid)
    assert {method for method, _, _ in account.requests} == {"GET"}
    paths = {path.partition("?")[0].split("/")[1] for _, path, _ in account.requests}
    assert paths == {"api", "conversations", "memory", "intelligence", "monitor"}


async def test_a_memory_store_that_is_gone_is_told_and_refuses_nothing(account: SandboxAccount) -> None:
    configuration_id = add(account)
    account.stores.clear()
    [finding] = await checked(account, configuration_id)
    assert (finding.rule, finding.severity) == ("MEM101", Severity.WARNING)


async def test_an_intelligence_configuration_that_is_gone_is_told(account: SandboxAccount) -> None:
    [finding] = await checked(account, add(account, intelligenceConfigurationIds=[LINK]))
    assert (finding.rule, finding.where) == ("INT101", LINK)


async def test_open_conversations_are_looked_at(account: SandboxAccount) -> None:
    configuration_id = add(account)
    async with api_of(account) as api:
        await open_conversation(api, configuration_id)
        account.configurations[configuration_id]["updatedAt"] = "2999-01-01T00:00:00Z"
        [finding] = (await looked(api, configuration_id)).findings
    assert (finding.rule, finding.severity) == ("CFG121", Severity.NOTE)


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


ONE_CAUSE = {
    "401": ["the credentials"],
    **{name: ["Twilio's APIs"] for name in ("429", "429-long", "500", "503", "html-502", "timeout")},
}
"""Where the finding is that stands for everything which could not be read."""


@pytest.mark.parametrize("name", FAULTS)
@pytest.mark.parametrize("strict", [True, False])
async def test_what_cannot_be_read_is_told_with_the_reason(
    account: SandboxAccount, name: str, strict: bool
) -> None:
    fault, told = FAULTS[name]
    account.faults.add(msgspec.structs.replace(fault, times=None))
    configuration_id = add(account)
    seconds = 0.2 if name == "timeout" else 10.0
    findings = await checked(account, configuration_id, strict=strict, seconds=seconds)
    doubts = [finding for finding in findings if finding.rule == "STT106"]
    assert [finding.where for finding in doubts] == ONE_CAUSE.get(
        name, [configuration_id, "all configurations"]
    )
    assert {finding.severity for finding in doubts} == {Severity.ERROR if strict else Severity.WARNING}
    assert verdict(findings) is Verdict.UNKNOWN
    assert told in report(doubts).plain


@pytest.mark.parametrize(
    ("path", "rule"),
    [
        ("/memory/*", "MEM104"),
        ("/intelligence/*", "INT105"),
        ("/conversations/v2/Conversations", "CFG125"),
        ("/api/*", "STT106"),
    ],
)
async def test_each_part_that_cannot_be_read_is_told_by_itself(
    account: SandboxAccount, path: str, rule: str
) -> None:
    account.faults.add(Fault(path, status=503, times=None))
    configuration_id = add(account, intelligenceConfigurationIds=[LINK])
    account.faults.add(Fault("/intelligence/*", status=404, times=None))
    findings = await checked(
        account, configuration_id, origin=ORIGIN, account_sid=account.sid, numbers=(NUMBER,)
    )
    assert [finding.rule for finding in findings if finding.rule != "INT101"] == [rule]
    assert "503" in findings[0].message
    assert verdict(findings) is Verdict.FINE


async def test_the_whole_look_is_bounded_in_time(account: SandboxAccount) -> None:
    account.faults.add(Fault(delay=30, times=None))
    async with api_of(account, seconds=30) as api, asyncio.timeout(10):
        found = await check_account(api, Scope(configuration_id=add(account)), seconds=0.2)
    assert found.verdict is Verdict.UNKNOWN
    assert "not read within 0.2 s" in report(found.findings).plain


async def test_a_deleted_configuration_cannot_be_verified(account: SandboxAccount) -> None:
    [finding] = await checked(account, "conv_configuration_00000000000000000000000001")
    assert finding.rule == "STT106"
    assert "404 (20404)" in finding.message


async def test_wrong_credentials_cannot_verify(account: SandboxAccount) -> None:
    findings = await checked(account, add(account), token="wrong")
    assert "401 (20003)" in findings[0].message
    assert "terms of service" in findings[0].fix


async def test_a_closed_port_cannot_verify(account: SandboxAccount) -> None:
    async with api_of(account) as api:
        pass
    async with aiohttp.ClientSession() as session:
        gone = TwilioApi(
            session,
            Credentials(account.sid, TOKEN),
            base_url=api.url("", "").rstrip("/"),
            patience=Patience(attempts=1),
        )
        found = await looked(gone, add(account))
    assert found.verdict is Verdict.UNKNOWN
    assert "no connection" in found.findings[0].message


async def test_a_network_that_is_down_is_one_finding(account: SandboxAccount) -> None:
    """Whatever could not be read for it: configurations, numbers, conversations."""
    configuration_id = add(account)
    async with aiohttp.ClientSession() as session:
        gone = TwilioApi(
            session,
            Credentials(account.sid, TOKEN),
            base_url="http://127.0.0.1:9",
            patience=Patience(attempts=1),
        )
        report = await looked(gone, configuration_id, origin=ORIGIN, account_sid=account.sid)
    [finding] = report.findings
    assert (finding.rule, finding.where) == ("STT106", "Twilio's APIs")
    assert "cannot be reached" in finding.message
    assert [line.removesuffix(" could not be read") for line in sorted(finding.evidence)] == sorted(
        f"{item.part} {item.where}".strip() for item in report.snapshot.unread
    )
    assert len(finding.evidence) == 5
    assert report.exit_code == 3


async def test_what_fails_for_two_causes_is_two_findings(account: SandboxAccount) -> None:
    configuration_id = add(account)
    account.faults.add(Fault("/conversations/*", status=500, times=None))
    account.faults.add(Fault("/api/*", status=403, times=None))
    findings = await checked(account, configuration_id, origin=ORIGIN, account_sid=account.sid)
    assert {finding.where for finding in findings} == {"Twilio's APIs", "our numbers"}


async def test_a_passing_weakness_of_the_network_is_survived(account: SandboxAccount) -> None:
    account.faults.add(Fault(status=503, times=1))
    assert await checked(account, add(account)) == []


async def test_the_facts_say_what_the_verdict_rests_on(account: SandboxAccount) -> None:
    configuration_id = add(account, displayName="acme")
    async with api_of(account) as api:
        found = await looked(api, configuration_id, origin=ORIGIN, account_sid=account.sid)
    told = dict(facts(found.snapshot))
    assert told["configuration"].startswith(f"{configuration_id} (acme, version 1), changed ")
    assert told["our numbers"] == f"{NUMBER}; of the account's 1, 1 lead here"
    assert "ACTIVE" in told["memory store"]
    assert told["account"] == "1 configuration, none with VOICE capture rules"


def test_an_overview_begins_with_the_verdict_and_groups_by_severity() -> None:
    findings = [
        Finding("NUM103", Severity.NOTE, "+15550100001", "no fallback"),
        Finding("STT101", Severity.ERROR, "conv_configuration_2", "captures"),
    ]
    text = overview(Verdict.REFUSED, [("account", "AC1"), ("our numbers", "none")], findings).plain
    assert text == (
        "Refused — 1 error, 1 note\n"
        "\n"
        "  account      AC1\n"
        "  our numbers  none\n"
        "\n"
        "errors (1)\n"
        "──────────\n"
        "error STT101 conv_configuration_2: captures\n"
        "\n"
        "notes (1)\n"
        "─────────\n"
        "note NUM103 +15550100001: no fallback"
    )


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


async def test_a_hostile_name_cannot_steer_the_terminal(account: SandboxAccount) -> None:
    settings: dict[str, Any] = {"VOICE": {"captureRules": [{"from": "\x1b[2J", "to": "[red]x[/]"}]}}
    configuration_id = add(account, displayName="\x1b]0;x\x07\r\n", channelSettings=settings)
    async with api_of(account) as api:
        found = await looked(api, configuration_id)
    text = overview(found.verdict, facts(found.snapshot), found.findings)
    assert "\x1b" not in text.plain
    assert "\r" not in text.plain
    assert "[red]x[/]" in text.plain


@pytest.mark.parametrize("patch", [True, False])
async def test_twilios_quickstart_is_refused_then_fixed_as_told_then_accepted(
    account: SandboxAccount, patch: bool
) -> None:
    account.behaviour.patch = patch
    account.behaviour.retry_after = 0
    timeouts = {"inactive": 5, "closed": 30}
    configuration_id = add(
        account,
        displayName="tac-quickstart",
        channelSettings={
            "SMS": {"captureRules": [RULE]},
            "VOICE": {"statusTimeouts": timeouts, "captureRules": [RULE]},
        },
    )
    async with api_of(account) as api:
        [finding] = (await looked(api, configuration_id)).refusals
        assert finding.rule == "STT101"
        body = re.search(r"\{.*\}", finding.fix)
        assert body is not None
        await Configurations(api).update(configuration_id, json.loads(body[0]))
        assert (await looked(api, configuration_id)).refusals == []
    settings = account.configurations[configuration_id]["channelSettings"]
    assert settings == {
        "SMS": {"captureRules": [RULE]},
        "VOICE": {"statusTimeouts": timeouts, "captureRules": []},
    }
