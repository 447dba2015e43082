"""The double's Intelligence, driven by the official SDK and by hand, over real HTTP."""

from __future__ import annotations

from typing import Any

import aiohttp
import pytest
from twilio.base.exceptions import TwilioRestException
from twilio.rest.intelligence.v3.configuration import ConfigurationList
from twilio.rest.intelligence.v3.operator import OperatorList

from support.official import Official
from voice_app.sandbox.twilio import (
    SENTIMENT,
    SUMMARY,
    CallStart,
    LocalTranscriber,
    SandboxAccount,
    new_id,
)
from voice_app.sandbox.twilio.conversation_store import settle

TOKEN = "token-of-the-test"
CALL = "CA" + "1" * 32
CALLER, NUMBER = "+15550100002", "+15550100001"
HOOK = {"type": "WEBHOOK", "method": "POST", "url": "https://voice.example.com/intelligence/results"}


@pytest.fixture
def account() -> SandboxAccount:
    return SandboxAccount(token=TOKEN)


@pytest.fixture
def sdk(base_url: str, account: SandboxAccount) -> Official:
    return Official(base_url, account.sid, TOKEN)


def rule(on: str = "CONVERSATION_END", *operators: str, count: int | None = None) -> dict[str, Any]:
    trigger: dict[str, Any] = {"on": on} | ({"parameters": {"count": count}} if count else {})
    return {"operators": [{"id": item} for item in operators or (SUMMARY,)], "triggers": [trigger]}


class TestTheOfficialSdk:
    async def test_a_configuration_lives_its_whole_life(self, sdk: Official) -> None:
        request = ConfigurationList.CreateConfigurationRequest(
            {"displayName": "calls", "description": "", "rules": [rule() | {"actions": [HOOK]}]}
        )
        made = await sdk(
            lambda client: client.intelligence.v3.configurations.create(create_configuration_request=request)
        )
        assert (made.display_name, made.version, made.rules[0]["actions"]) == ("calls", 1, [HOOK])
        changed = ConfigurationList.UpdateConfigurationRequest(
            {"displayName": "calls", "rules": [made.rules[0], rule("COMMUNICATION", SENTIMENT, count=5)]}
        )
        context = await sdk(lambda client: client.intelligence.v3.configurations(made.id))
        after = await sdk(lambda client: context.update(update_configuration_request=changed))
        assert (after.version, after.rules[0]["id"]) == (2, made.rules[0]["id"])
        assert len({item["id"] for item in after.rules}) == 2
        listed = await sdk(lambda client: client.intelligence.v3.configurations.list())
        assert [item.id for item in listed] == [made.id]
        assert await sdk(lambda client: context.delete()) is True
        with pytest.raises(TwilioRestException) as raised:
            await sdk(lambda client: context.fetch())
        assert raised.value.status == 404

    async def test_operators_are_twilios_and_our_own(self, sdk: Official, account: SandboxAccount) -> None:
        wanted = OperatorList.LanguageOperator(
            {"displayName": "Mood", "outputFormat": "CLASSIFICATION", "prompt": "How is the customer?"}
        )
        made = await sdk(lambda client: client.intelligence.v3.operators.create(language_operator=wanted))
        assert (made.author, made.version) == ("SELF", 1)
        fetched = await sdk(lambda client: client.intelligence.v3.operators(SENTIMENT).fetch())
        assert (fetched.author, fetched.output_format) == ("TWILIO", "CLASSIFICATION")
        listed = await sdk(lambda client: client.intelligence.v3.operators.list(page_size=2))
        assert {item.id for item in listed} == set(account.operators)

    async def test_results_are_listed_fetched_and_deleted(
        self, sdk: Official, account: SandboxAccount
    ) -> None:
        conversation_id = await talked(account, rule("CONVERSATION_END", SUMMARY, SENTIMENT))
        results = await sdk(
            lambda client: client.intelligence.v3.operator_results.list(conversation_id=conversation_id)
        )
        assert [item.result for item in results] == [
            {"text": "The customer said: I want a refund."},
            {"label": "neutral"},
        ]
        context = await sdk(lambda client: client.intelligence.v3.operator_results(results[0].id))
        assert (await sdk(lambda client: context.fetch())).operator["id"] == SUMMARY
        assert await sdk(lambda client: context.delete()) is True
        assert [item["operator"]["id"] for item in account.results.values()] == [SENTIMENT]


async def talked(account: SandboxAccount, *rules: dict[str, Any], end: bool = True) -> str:
    """A conversation that the rules may read; gives its id."""
    linked = [account.add_intelligence(rules=list(rules))["id"]]
    configuration_id = account.add_configuration(intelligenceConfigurationIds=linked)
    transcriber = LocalTranscriber(account)
    conversation_id = await transcriber.call_started(
        CallStart(CALL, caller=CALLER, number=NUMBER, configuration_id=configuration_id)
    )
    assert conversation_id is not None
    await transcriber.spoken(CALL, "caller", "I want a refund.")
    await transcriber.spoken(CALL, "agent", "Of course, one moment. I will look.")
    if end:
        await transcriber.call_ended(CALL)
    return conversation_id


class TestRules:
    async def test_a_rule_on_communications_runs_on_every_so_many_fragments(
        self, account: SandboxAccount
    ) -> None:
        await talked(account, rule("COMMUNICATION", SENTIMENT, count=2), end=False)
        (conversation,) = account.conversations.values()
        assert (len(conversation.communications), len(account.results)) == (4, 2)

    async def test_a_rule_without_a_trigger_waits_to_be_asked(self, account: SandboxAccount) -> None:
        await talked(account, {"operators": [{"id": SUMMARY}]})
        assert not account.results

    async def test_an_inactive_conversation_has_a_trigger_of_its_own(self) -> None:
        now = 0.0
        account = SandboxAccount(clock=lambda: now)
        voice = {"VOICE": {"statusTimeouts": {"inactive": 5, "closed": 30}}}
        linked = [account.add_intelligence(rules=[rule("CONVERSATION_INACTIVE")])["id"]]
        configuration_id = account.add_configuration(
            channelSettings=voice, intelligenceConfigurationIds=linked
        )
        transcriber = LocalTranscriber(account)
        await transcriber.call_started(
            CallStart(CALL, caller=CALLER, number=NUMBER, configuration_id=configuration_id)
        )
        await transcriber.spoken(CALL, "caller", "Hello?")
        await transcriber.call_ended(CALL)
        now = 5 * 60
        settle(account)
        now = 30 * 60
        settle(account)
        triggers = [item["executionDetails"]["trigger"]["on"] for item in account.results.values()]
        assert triggers == ["CONVERSATION_INACTIVE"]

    async def test_what_is_linked_later_does_not_reach_an_open_conversation(
        self, account: SandboxAccount
    ) -> None:
        await talked(account, rule(), end=False)
        (configuration,) = account.configurations.values()
        configuration["intelligenceConfigurationIds"] = []
        await LocalTranscriber(account).call_ended(CALL)
        assert len(account.results) == 1

    async def test_an_operator_of_ones_own_answers_in_its_own_schema(self, account: SandboxAccount) -> None:
        operator_id = new_id("intelligence_operator_")
        account.operators[operator_id] = {
            "id": operator_id,
            "version": 1,
            "outputFormat": "JSON",
            "outputSchema": {"type": "object", "properties": {"topic": {"type": "string"}}},
        }
        await talked(account, rule("CONVERSATION_END", operator_id))
        assert [list(item["result"]) for item in account.results.values()] == [["topic"]]


@pytest.mark.parametrize(
    "body",
    [
        {"displayName": "x"},
        {"displayName": "", "rules": []},
        {"displayName": "x" * 129, "rules": []},
        {"displayName": "x", "rules": [{"operators": []}]},
        {"displayName": "x", "rules": [rule()] * 6},
        {"displayName": "x", "rules": [rule("CONVERSATION_END", *[SUMMARY] * 6)]},
        {"displayName": "x", "rules": [rule() | {"triggers": [{"on": "CONVERSATION_END"}] * 2}]},
        {"displayName": "x", "rules": [rule("COMMUNICATION", count=21)]},
        {"displayName": "x", "rules": [rule("NEVER")]},
        {"displayName": "x", "rules": [rule() | {"actions": [HOOK] * 3}]},
        {"displayName": "x", "rules": [rule() | {"actions": [HOOK | {"method": "GET"}]}]},
        {"displayName": "x", "rules": [rule("CONVERSATION_END", new_id("intelligence_operator_"))]},
        {"displayName": "x", "rules": [], "owner": "me"},
    ],
)
async def test_what_is_not_documented_is_refused(base_url: str, account: SandboxAccount, body: Any) -> None:
    headers = {"Authorization": aiohttp.encode_basic_auth(account.sid, TOKEN)}
    url = f"{base_url}/intelligence/v3/ControlPlane/Configurations"
    async with aiohttp.ClientSession(headers=headers) as session, session.post(url, json=body) as response:
        assert response.status == 400
    async with aiohttp.ClientSession(headers=headers) as session, session.post(url, data=body) as response:
        assert (response.status, (await response.json())["code"]) == (415, 20422)
    assert not account.intelligence
