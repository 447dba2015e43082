"""The client of Conversation Intelligence, over real HTTP."""

from __future__ import annotations

from typing import Any

import pytest

from voice_app.sandbox.twilio import (
    SENTIMENT,
    SUMMARY,
    CallStart,
    LocalTranscriber,
    SandboxAccount,
    new_id,
)
from voice_app.twilio import ApiError, Intelligence, OperatorResult, Trouble, TwilioApi

CALL = "CA" + "1" * 32
CALLER, NUMBER = "+15550100002", "+15550100001"


@pytest.fixture
def intelligence(api: TwilioApi) -> Intelligence:
    return Intelligence(api)


def rule(on: str = "CONVERSATION_END", *operators: str, count: int | None = None) -> dict[str, Any]:
    trigger: dict[str, Any] = {"on": on} | ({"parameters": {"count": count}} if count else {})
    return {"operators": [{"id": item} for item in operators or (SUMMARY,)], "triggers": [trigger]}


async def analysed(account: SandboxAccount, *rules: dict[str, Any]) -> str:
    """A call whose conversation the rules have read; gives the conversation's id."""
    linked = [account.add_intelligence(rules=list(rules))["id"]]
    configuration_id = account.add_configuration(intelligenceConfigurationIds=linked)
    transcriber = LocalTranscriber(account)
    conversation_id = await transcriber.call_started(
        CallStart(CALL, caller=CALLER, number=NUMBER, configuration_id=configuration_id)
    )
    assert conversation_id is not None
    await transcriber.spoken(CALL, "caller", "I want a refund.")
    await transcriber.spoken(CALL, "agent", "Of course, one moment.")
    await transcriber.call_ended(CALL)
    return conversation_id


class TestReading:
    async def test_a_configuration_tells_which_operators_run_when(
        self, intelligence: Intelligence, account: SandboxAccount
    ) -> None:
        wanted = rule("COMMUNICATION", SENTIMENT, count=5)
        wanted["actions"] = [{"type": "WEBHOOK", "method": "POST", "url": "https://voice.example.com/x"}]
        made = account.add_intelligence(displayName="calls", rules=[wanted, rule()])
        found = await intelligence.configuration(made["id"])
        assert (found.display_name, len(found.rules)) == ("calls", 2)
        assert [item.id for item in found.rules[0].operators] == [SENTIMENT]
        assert (found.rules[0].triggers[0].on, found.rules[0].triggers[0].count) == ("COMMUNICATION", 5)
        assert found.rules[1].triggers[0].count == 1
        assert found.rules[0].actions[0].url == "https://voice.example.com/x"

    async def test_an_operator_tells_whose_it_is_and_what_it_says(
        self, intelligence: Intelligence, account: SandboxAccount
    ) -> None:
        summary = await intelligence.operator(SUMMARY)
        assert (summary.display_name, summary.author, summary.output_format) == ("Summary", "TWILIO", "TEXT")

    @pytest.mark.parametrize("method", ["configuration", "operator"])
    async def test_what_does_not_exist_is_not_found(self, intelligence: Intelligence, method: str) -> None:
        prefix = {
            "configuration": "intelligence_configuration_",
            "operator": "intelligence_operator_",
        }[method]
        with pytest.raises(ApiError) as raised:
            await getattr(intelligence, method)(new_id(prefix))
        assert raised.value.trouble is Trouble.NOT_FOUND

    async def test_a_rule_is_no_configuration(
        self, intelligence: Intelligence, account: SandboxAccount
    ) -> None:
        with pytest.raises(ValueError, match="begins with intelligence_configuration_"):
            await intelligence.configuration(new_id("intelligence_configurationrule_"))
        assert not account.requests


class TestResults:
    async def test_they_are_read_by_conversation(
        self, intelligence: Intelligence, account: SandboxAccount
    ) -> None:
        conversation_id = await analysed(account, rule("CONVERSATION_END", SUMMARY, SENTIMENT))
        found = await intelligence.results(conversation_id=conversation_id)
        assert [(item.operator.id, item.text) for item in found] == [
            (SUMMARY, "The customer said: I want a refund."),
            (SENTIMENT, "neutral"),
        ]
        assert await intelligence.results(conversation_id=new_id("conv_conversation_")) == []

    @pytest.mark.parametrize(
        ("result", "text"),
        [
            ({"text": "A refund."}, "A refund."),
            ({"label": "positive"}, "positive"),
            ({"score": 3, "text": "ok"}, '{"score":3,"text":"ok"}'),
            ({"entities": [1]}, '{"entities":[1]}'),
            ("a word", '"a word"'),
            (None, ""),
        ],
    )
    def test_every_kind_of_result_is_one_text(self, result: Any, text: str) -> None:
        assert OperatorResult.read({"id": "x", "result": result}).text == text
